"""The embedded default: parametric faces with known action units; needs no --source."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np

from fer_jax import synthetic
from preprocess.clip import Clip, Sequence, SourceError
from preprocess.video import Frames

CLASSES = synthetic.CLASSES
ACTION_UNITS = tuple(f"AU{unit:02d}" for unit in synthetic.ACTION_UNITS)


@dataclasses.dataclass(frozen=True)
class Drawn:
    """A synthetic clip that is made when it is needed.

    Attributes:
      seed, subject, index, difficulty: see `fer_jax.synthetic.make_clip`.
    """

    seed: int
    subject: int
    index: int
    difficulty: float

    def make(self) -> synthetic.SyntheticClip:
        return synthetic.make_clip(self.seed, self.subject, self.index, difficulty=self.difficulty)


class Tracked(Drawn):
    """Its landmarks as the generator's own tracker reports them."""

    def load(self) -> Sequence:
        clip = self.make()
        frames = len(clip.landmarks)
        return Sequence(
            clip.landmarks,
            np.ones(frames, bool),
            np.arange(frames, dtype=np.int32),
            clip.fps,
            clip.frame_size,
            clip.action_units,
        )


class Rendered(Drawn):
    """Its rendered video, in which the face still has to be found."""

    @property
    def action_units(self) -> np.ndarray:
        return self.make().action_units

    def frames(self) -> Frames:
        clip = self.make()
        seed = self.seed * 100_003 + self.subject * 1009 + self.index
        images = synthetic.render(clip.true_landmarks, clip.identity, seed=seed)
        return Frames(clip.fps, clip.frame_size, len(clip.landmarks), 0, enumerate(images))


def add_options(parser) -> None:
    parser.add_argument("--subjects", type=int, default=30, help="people (default 30)")
    parser.add_argument(
        "--clips-per-subject", type=int, default=28, help="clips of each person (default 28)"
    )
    parser.add_argument(
        "--difficulty",
        type=float,
        default=synthetic.DEFAULT_DIFFICULTY,
        help=f"0 easy to 1 hard (default {synthetic.DEFAULT_DIFFICULTY})",
    )
    parser.add_argument("--seed", type=int, default=0, help="of all that is drawn (default 0)")
    parser.add_argument(
        "--render",
        action="store_true",
        help="draw the faces as video and find the landmarks in it, instead of taking known ones; "
        "--crops implies it",
    )


def clips(source, options) -> Iterator[Clip]:
    """Lists the clips of `options.subjects` people; splits are disjoint in people."""
    try:
        divided = synthetic.splits(options.subjects)
        synthetic.make_clip(options.seed, 0, 0, difficulty=options.difficulty)
    except ValueError as error:
        raise SourceError(str(error)) from error
    of_subject = {subject: split for split, names in divided.items() for subject in names}
    if getattr(options, "crops", 0):
        options.render = True  # set, so that both ways to ask are the same request
    kind = Rendered if options.render else Tracked
    for number, subject in enumerate(sorted(of_subject)):
        for index in range(options.clips_per_subject):
            drawn = kind(options.seed, number, index, options.difficulty)
            label = CLASSES[index % len(CLASSES)]
            clip_id = f"{subject}_{index:04d}"
            yield Clip(clip_id, subject, label, drawn, of_subject[subject])
