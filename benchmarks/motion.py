"""Motion of faces against the noise of their landmarks, and how many are marked "no motion".

    python -m benchmarks.motion MANIFEST... VIDEO...

A row for every class of each manifest of landmark files, whole clips, and one for every person of
each video, windows of two seconds. Motion is in eye distances, see `faces.quality.motion`.
"""

from __future__ import annotations

import argparse
import csv
import pathlib
from collections.abc import Iterator

import numpy as np

from fer_jax.faces import quality
from fer_jax.faces.landmark_csv import read_landmark_csv
from fer_jax.faces.tracker import follow
from fer_jax.predict.people import LEAST_MOTION, OVER_NOISE

WINDOW = 2.0  # seconds
FPS = 25.0  # of videos that state none
COLUMNS = "motion: least | median | most | times the noise: least | median | most | no motion"


def classes_of(manifest: pathlib.Path) -> Iterator[tuple[str, list[np.ndarray]]]:
    """Yields every class and the landmarks `[T, 68, 2]` of its clips."""
    clips: dict[str, list] = {}
    with manifest.open(newline="") as file:
        for row in csv.DictReader(file):
            sequence = read_landmark_csv(manifest.parent / row["path"], FPS)[0]
            seen = sequence.landmarks[sequence.detected]
            clips.setdefault(row["label"], []).append(seen)
    yield from ((f"{manifest.parent.name}, {label}", found) for label, found in clips.items())


def people_of(video: pathlib.Path) -> Iterator[tuple[str, list[np.ndarray]]]:
    """Yields every person of a video and the landmarks `[T, 68, 2]` of windows, half over half."""
    tracks: dict[int, list[np.ndarray]] = {}
    clip = follow(video)
    for _, _, faces in clip:
        for face in faces:
            tracks.setdefault(face.track, []).append(face.landmarks)
    length = round(WINDOW * (clip.frames.fps or FPS))
    for track, points in tracks.items():
        starts = range(0, len(points) - length + 1, length // 2)
        windows = [np.stack(points[start : start + length]) for start in starts]
        if windows:
            yield f"{video.name}, person {track + 1}", windows


def line(name: str, found: list[np.ndarray]) -> str:
    """Returns a row of the table."""
    moved, noise = np.array([quality.motion(points) for points in found]).T
    marked = int((moved < np.clip(OVER_NOISE * noise, *LEAST_MOTION)).sum())
    cells = [f"{value:.4f}" for value in np.percentile(moved, [0, 50, 100])]
    cells += [f"{value:.1f}" for value in np.percentile(moved / noise, [0, 50, 100])]
    return f"| {name} | {' | '.join(cells)} | {marked} of {len(found)} |"


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="+", type=pathlib.Path, metavar="FILE")
    print(f"| clips | {COLUMNS} |\n|{'---|' * 8}")
    for file in parser.parse_args().files:
        groups = classes_of(file) if file.suffix == ".csv" else people_of(file)
        for name, found in groups:
            print(line(name, found), flush=True)


if __name__ == "__main__":
    main()
