"""Writes clips for a first prediction: drawn people of the test split, or a portrait that blurs.

    python -m fer_jax.synthetic.demo --out data/clips
    python -m fer_jax.synthetic.demo --out data/portrait --portrait

The portrait is the real one that comes with the package. It blurs until it cannot be read.
"""

from __future__ import annotations

import argparse
import pathlib

import cv2
import numpy as np

from fer_jax import shipped
from fer_jax.synthetic import clips

_BLUR = 3.8  # pixels: standard deviation in the last frame; the face is 92 pixels wide


def write_clips(out: pathlib.Path, count: int, subjects: int = 30, seed: int = 0) -> list[str]:
    """Renders `count` clips of the subjects of the test split, in turn.

    Args:
      out: directory, created when missing; files are named SUBJECT_INDEX_CLASS.mp4.
      count: number of clips; the class changes from clip to clip.
      subjects, seed: of the dataset prepared by `python -m preprocess synthetic`.

    Returns:
      The paths of the files.
    """
    out.mkdir(parents=True, exist_ok=True)
    test_subjects = clips.splits(subjects)["test"]
    paths = []
    for index in range(count):
        subject = int(test_subjects[index % len(test_subjects)][1:])
        clip = clips.make_clip(seed, subject, index, difficulty=clips.DEFAULT_DIFFICULTY)
        path = out / f"{clip.clip_id}_{clip.label}.mp4"
        frames = clips.render(clip.true_landmarks, clip.identity, seed=index)
        clips.write_video(path, frames, clip.fps)
        paths.append(str(path))
    return paths


def write_portrait(out: pathlib.Path, frames: int = 75, fps: float = 25.0) -> str:
    """Writes the portrait as a video that blurs steadily, `blurring.mp4`; returns its path."""
    out.mkdir(parents=True, exist_ok=True)
    sharp = cv2.cvtColor(cv2.imread(str(shipped.PORTRAIT)), cv2.COLOR_BGR2RGB)
    widths = np.linspace(0, _BLUR, frames)
    images = [sharp, *(cv2.GaussianBlur(sharp, (0, 0), width) for width in widths[1:])]
    clips.write_video(out / "blurring.mp4", images, fps)
    return str(out / "blurring.mp4")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=pathlib.Path, required=True, help="directory of the clips")
    parser.add_argument("--count", type=int, default=7, help="clips (default 7)")
    parser.add_argument("--portrait", action="store_true", help="the portrait that blurs, instead")
    options = parser.parse_args()
    written = (
        [write_portrait(options.out)]
        if options.portrait
        else write_clips(options.out, options.count)
    )
    print(*written, sep="\n")


if __name__ == "__main__":
    main()
