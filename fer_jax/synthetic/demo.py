"""Writes a few rendered clips of synthetic subjects of the test split, for a first prediction.

python -m fer_jax.synthetic.demo --out data/clips
"""

from __future__ import annotations

import argparse
import pathlib

from fer_jax.synthetic import clips


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=pathlib.Path, required=True, help="directory of the clips")
    parser.add_argument("--count", type=int, default=7, help="clips (default 7)")
    options = parser.parse_args()
    for path in write_clips(options.out, options.count):
        print(path)


if __name__ == "__main__":
    main()
