"""How often dlib detects the drawn faces, and how exact its landmarks are.

Run: python -m benchmarks.synthetic_detection [--subjects 12] [--difficulty 0.5] [--openface DIR]
     python -m benchmarks.synthetic_detection --database studio (or film, cartoon)

Draws faces of all identities, emotions and poses, runs dlib (frontal face detector without
upsampling, 68-point predictor) and compares with the known points. Targets: detected in >= 95% of
the frames (90% in the three databases), RMSE <= 4% of the eye distance. Needs the `preprocess`
extra.
"""

from __future__ import annotations

import argparse
import csv
import pathlib
import time

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.preprocess import dlib_models
from fer_jax.faces.detector import LandmarkModelError
from fer_jax.faces.landmarks import eye_distance
from fer_jax.synthetic.clips import (
    DATABASES,
    DEFAULT_DIFFICULTY,
    EMBEDDED,
    Database,
    make_clip,
    make_identity,
)
from fer_jax.synthetic.render import fit_to_frame, render

REGIONS = {
    "jaw": slice(0, 17),
    "brows": slice(17, 27),
    "nose": slice(27, 36),
    "eyes": slice(36, 48),
    "mouth": slice(48, 68),
}


def make_finder():
    """Returns a function image -> landmarks `[68, 2]` or None.

    Raises:
      ImportError: dlib or its 68-point model is missing.
    """
    try:
        detector, predictor = dlib_models()
    except LandmarkModelError as error:
        raise ImportError(str(error)) from error

    def find(image: np.ndarray) -> np.ndarray | None:
        boxes = detector(image, 0)
        if not boxes:
            return None
        shape = predictor(image, max(boxes, key=lambda box: box.area()))
        return np.array([(point.x, point.y) for point in shape.parts()], np.float64)

    return find


def squared_error(found: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Squared distance of every point `[68]`, in squared eye distances."""
    return ((found - truth) ** 2).sum(-1) / eye_distance(truth) ** 2


def measure(find, sequences, database: Database = EMBEDDED) -> dict:
    """Draws and detects sequences of (name, landmarks `[T, 68, 2]`, identity, seed)."""
    names, errors, drawing = [], [], 0.0
    manner = {"frame_size": database.camera.frame_size, "style": database.style}
    for name, landmarks, identity, seed in sequences:
        start = time.perf_counter()
        frames = list(render(landmarks, identity, seed=seed, **manner))
        drawing += time.perf_counter() - start
        for frame, truth in zip(frames, landmarks, strict=True):
            found = find(frame)
            lost = np.full(68, np.nan)
            errors.append(lost if found is None else squared_error(found, truth))
            names.append(name)
    if not names:
        raise ValueError("there is no frame to measure")
    return {
        "names": np.array(names),
        "errors": np.array(errors),
        "milliseconds": 1000 * drawing / len(names),
    }


def synthetic_sequences(
    subjects: int, difficulty: float, seed: int, frames: int, database: Database = EMBEDDED
):
    """Yields a few evenly spaced frames of one clip per subject and class."""
    for subject in track(range(subjects), "drawing and detecting"):
        for index, label in enumerate(database.labels):
            clip = make_clip(seed, subject, index, difficulty=difficulty, database=database)
            pick = np.linspace(0, len(clip.true_landmarks) - 1, frames).round().astype(int)
            yield label, clip.true_landmarks[pick], clip.identity, 1000 * subject + index


def openface_sequences(folder: pathlib.Path, frames: int, limit: int):
    """Yields a few frames of each OpenFace CSV of a folder, with random identities."""
    files = sorted(folder.rglob("*.csv"))
    files = [file for file in files if file.name != "manifest.csv"]
    for index in track(range(0, len(files), max(1, len(files) // limit)), "real sequences"):
        with files[index].open(newline="") as handle:
            rows = list(csv.DictReader(handle, skipinitialspace=True))
        rows = [row for row in rows if row["success"] == "1"]
        if not rows:
            continue
        points = np.array([[[row[f"{a}_{i}"] for a in "xy"] for i in range(68)] for row in rows])
        points = fit_to_frame(points.astype(np.float64))
        pick = np.linspace(0, len(points) - 1, frames).round().astype(int)
        label = files[index].stem.split("_", 1)[-1].rsplit("_r", 1)[0]
        yield label, points[pick], make_identity(0, index % 30), index


def summarise(result: dict, where=slice(None)) -> list[str]:
    """Returns frames, found %, RMSE of all points and of each region as table cells."""
    errors = result["errors"][where]
    found = errors[~np.isnan(errors[:, 0])]
    cells = [str(len(errors)), f"{100 * len(found) / len(errors):.1f}"]
    parts = [slice(None), *REGIONS.values()]
    return cells + [f"{100 * np.sqrt(found[:, part].mean()):.2f}" for part in parts]


def print_table(title: str, result: dict) -> None:
    """Prints one row per class and one for all, and names the worst class."""
    table = Table(title=title)
    for column in ("class", "frames", "found %", "RMSE %", *REGIONS):
        table.add_column(column, justify="left" if column == "class" else "right")
    classes = sorted(set(result["names"]))
    rows = {name: summarise(result, result["names"] == name) for name in classes}
    for name, cells in rows.items():
        table.add_row(name, *cells)
    table.add_section()
    table.add_row("all", *summarise(result))
    console = Console(width=120)
    console.print(table)
    least = min(classes, key=lambda name: float(rows[name][1]))
    worst = max(classes, key=lambda name: float(rows[name][2]))
    console.print(f"RMSE in % of the eye distance; least found: {least}; worst RMSE: {worst}")
    console.print(f"drawing: {result['milliseconds']:.1f} ms a frame")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--subjects", type=int, default=12)
    parser.add_argument("--frames", type=int, default=5, help="frames per clip")
    parser.add_argument("--difficulty", type=float, default=DEFAULT_DIFFICULTY)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--database", choices=sorted(DATABASES), help="(default: the embedded one)")
    parser.add_argument("--openface", type=pathlib.Path, help="also draw these real sequences")
    parser.add_argument("--clips", type=int, default=120, help="largest number of real sequences")
    flags = parser.parse_args()
    find = make_finder()
    database = DATABASES.get(flags.database, EMBEDDED)
    clips = synthetic_sequences(
        flags.subjects, flags.difficulty, flags.seed, flags.frames, database
    )
    title = f"{flags.database or 'synthetic faces'}, difficulty {flags.difficulty}"
    print_table(title, measure(find, clips, database))
    if flags.openface:
        clips = openface_sequences(flags.openface, flags.frames, flags.clips)
        print_table(f"real sequences of {flags.openface.name}", measure(find, clips))


if __name__ == "__main__":
    main()
