"""Landmark files of drawn people for `benchmarks.growth`, in any number of each kind.

    python -m benchmarks.growth_data FOLDER --clips 512 --frames 16 --people 32 --classes 4
    python -m benchmarks.growth_data FOLDER --frames 64 --people 8 --together

Writes OpenFace CSVs into FOLDER/files and their manifest FOLDER/clips.csv; with `--together` one
CSV, which shows all people at once, and no manifest. Labels only count up: nothing is learnt from
classes beyond the seven that are drawn.
"""

from __future__ import annotations

import argparse
import csv
import pathlib

import numpy as np

from fer_jax.synthetic.clips import make_clip, make_identity

HEAD = ",".join(["frame", "face_id", *(f"{axis}_{index}" for axis in "xy" for index in range(68))])
APART = 600  # pixels between people of one recording


def write_clips(folder: pathlib.Path, clips: int, frames: int, people: int, classes: int) -> None:
    """Writes `clips` files of `frames` frames, about as many for each person and class."""
    identities = [make_identity(0, person) for person in range(people)]
    with (folder / "clips.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "subject", "label"])
        for number in range(clips):
            index, person = divmod(number, people)
            clip = make_clip(0, person, index, frames=frames, identity=identities[person])
            path, label = f"files/{number}.csv", f"c{(index + person) % classes:03d}"
            _save(folder / path, [clip.landmarks])
            rows.writerow([path, f"p{person:04d}", label])


def write_recording(folder: pathlib.Path, frames: int, people: int) -> None:
    """Writes a file that shows people side by side."""
    faces = [make_clip(0, person, 1, frames=frames).landmarks for person in range(people)]
    _save(folder / "files/together.csv", [face + (APART * n, 0) for n, face in enumerate(faces)])


def _save(file: pathlib.Path, faces: list[np.ndarray]) -> None:
    """Writes the CSV of faces `[T, 68, 2]`, frame by frame."""
    points = np.swapaxes(np.array(faces), 0, 1)  # [T, people, 68, 2]
    frames, people = points.shape[:2]
    numbers = np.indices((frames, people)).reshape(2, -1).T + (1, 0)
    table = np.hstack([numbers, np.swapaxes(points, 2, 3).reshape(frames * people, -1)])
    np.savetxt(file, table, delimiter=",", header=HEAD, comments="", fmt="%.2f")


def main(arguments: list[str] | None = None) -> None:
    """Runs the command line."""
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    parser.add_argument("folder", type=pathlib.Path)
    for name in ("clips", "frames", "people", "classes"):
        parser.add_argument(f"--{name}", type=int, default=1)
    parser.add_argument("--together", action="store_true", help="one file of all people")
    options = parser.parse_args(arguments)
    (options.folder / "files").mkdir(parents=True)
    if options.together:
        write_recording(options.folder, options.frames, options.people)
    else:
        write_clips(options.folder, options.clips, options.frames, options.people, options.classes)


if __name__ == "__main__":
    main()
