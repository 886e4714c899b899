"""The framing of faces in FER-2013, and its effect on a model.

    python -m benchmarks.framing data/ferplus [--bundle runs/bilinear_small/model] [--images N]

Detects faces in validation images, enlarged fourfold, like prediction in video, and prints the eye
distance and the height of the midpoint between eyes and mouth, the values of
`fer_jax.faces.landmarks.FER2013`. With a bundle, also prints its scores on the images themselves
and on the same faces cropped again: aligned as by `python -m preprocess`, and framed as in
FER-2013. Needs the `preprocess` extra.
"""

from __future__ import annotations

import argparse
import pathlib

import cv2
import numpy as np
from rich.progress import track

import fer_jax
from fer_jax import metrics
from fer_jax.data.clips import Clips
from fer_jax.data.load import load_clips
from fer_jax.faces.crop import cut_crop
from fer_jax.faces.landmarks import (
    ALIGNED,
    FER2013,
    LEFT_EYE,
    MOUTH,
    RIGHT_EYE,
    Framing,
    eye_distance,
)
from fer_jax.faces.tracker import Tracker
from fer_jax.tasks.dimensions.scores import TOLERANCE

ENLARGED = 4  # times; dlib detects no faces below 80 pixels
BATCH = 64


def load(path: pathlib.Path, model) -> Clips:
    """Loads the dataset with the labels that a bundle was trained on."""
    if model is None:
        return load_clips(path, 1, "middles", crop_size=0, target="votes")
    rated = model.record.config["data"]
    options = {"words": rated["words"], "neutral_dominance": rated["neutral_dominance"] or None}
    return load_clips(
        path, 1, "middles", crop_size=0, classes=model.classes, target="votes", **options
    )


def find(image: np.ndarray) -> np.ndarray | None:
    """Finds the largest face of `[S, S, 3]` uint8: landmarks `[68, 2]`, its pixels, or None."""
    large = cv2.resize(image, None, fx=ENLARGED, fy=ENLARGED, interpolation=cv2.INTER_CUBIC)
    tracker = Tracker()
    face = tracker.main(tracker.step(large))
    return None if face is None else (face.landmarks + 0.5) / ENLARGED - 0.5


def placements(landmarks: np.ndarray, side: int) -> dict[str, np.ndarray]:
    """Size and position of faces, relative to the side, `[N]` each, of landmarks `[N, 68, 2]`."""
    eyes = (landmarks[:, RIGHT_EYE].mean(1) + landmarks[:, LEFT_EYE].mean(1)) / 2
    middle = ((eyes + landmarks[:, MOUTH].mean(1)) / 2 + 0.5) / side
    distance = eye_distance(landmarks) / side
    return {"eye distance": distance, "height of the middle": middle[:, 1]}


def recut(image: np.ndarray, landmarks: np.ndarray, framing: Framing) -> np.ndarray:
    """Crops a face again; beyond the image its edge is repeated."""
    side = image.shape[0]
    wide = cv2.copyMakeBorder(image, side, side, side, side, cv2.BORDER_REPLICATE)
    return cut_crop(wide, landmarks + side, side, framing)[0]


def score(model, crops: np.ndarray, labels: np.ndarray) -> str:
    """Accuracy and RMSE of each dimension for `[N, S, S, 3]`, as cells of a table."""
    parts = range(0, len(crops), BATCH)
    values = np.concatenate([model.deterministic(crops[n : n + BATCH, None]) for n in parts])
    accuracy = metrics.accuracy_at(metrics.distances(values, labels), TOLERANCE)
    return " | ".join(f"{value:.3f}" for value in (accuracy, *metrics.rmse(values, labels)))


def print_placements(landmarks: np.ndarray, side: int) -> None:
    """Prints quartiles of size and position of faces, and the framing of the median face."""
    print("| relative to the side | lower quartile | median | upper quartile |\n|---|---|---|---|")
    placed = placements(landmarks, side)
    for name, values in placed.items():
        quartiles = np.quantile(values, (0.25, 0.5, 0.75))
        print(f"| {name} | " + " | ".join(f"{value:.3f}" for value in quartiles) + " |")
    distance, height = (np.median(values) for values in placed.values())
    print(
        f"\nside of the median face: {1 / distance:.2f} eye distances, its middle at {height:.3f}"
    )


def print_scores(model, images: np.ndarray, landmarks: np.ndarray, labels: np.ndarray) -> None:
    """Prints the scores of a model on images `[N, S, S, 3]` and on their faces cropped again."""
    columns = " | ".join(f"RMSE {name}" for name in model.classes)
    print(f"\n| crops of these faces | accuracy at T={TOLERANCE:g} | {columns} |")
    print("|---|---|" + "---|" * len(model.classes))
    print(f"| the original images | {score(model, images, labels)} |")
    for name, framing in (("aligned", ALIGNED), ("as FER-2013 frames them", FER2013)):
        pairs = zip(images, landmarks, strict=True)
        crops = np.stack([recut(*pair, framing) for pair in pairs])
        print(f"| cropped again, {name} | {score(model, crops, labels)} |")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=pathlib.Path, help="prepared by: python -m preprocess ferplus")
    parser.add_argument("--bundle", help="folder model/ of a run on this dataset")
    parser.add_argument("--images", type=int, help="size of a random sample (default: all)")
    options = parser.parse_args()
    model = fer_jax.load_model(options.bundle) if options.bundle else None
    clips = load(options.data, model)
    indices = np.flatnonzero(np.asarray(clips.splits) == "validation")
    indices = np.random.default_rng(0).permutation(indices)[: options.images]
    images = [clips.crops.frames.clip(index)[0] for index in indices]
    faces = [find(image) for image in track(images, "searching", transient=True)]
    seen = [row for row, face in enumerate(faces) if face is not None]
    print(f"a face in {len(seen)} of {len(images)} validation images\n")
    if not seen:
        return
    images, landmarks = (np.stack([each[row] for row in seen]) for each in (images, faces))
    print_placements(landmarks, images.shape[1])
    if model is not None:
        print_scores(model, images, landmarks, clips.labels[indices[seen]])


if __name__ == "__main__":
    main()
