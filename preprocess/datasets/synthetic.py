"""Synthetic faces with known action units, generated here; needs no --source.

--database generates another database, with its own people, drawing, light, camera and classes, for
cross-database experiments:

  studio    in colour from the front, rest to apex; contempt, no neutral (as CK+)
  film      grey, grainy, lit and seen from the side, rest to apex to rest; neutral (as DISFA)
  cartoon   inked, from below, few pixels, JPEG; anger, fear, joy, relief, sadness (as GEMEP-FERA)
"""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Iterator

import numpy as np

from fer_jax.faces.sequence import Sequence
from fer_jax.faces.video import Frames, FrameSource
from fer_jax.synthetic import clips as synthetic_clips

from ..clip import Clip, LandmarkSource, UsageError

# Databases whose clips end at rest: their last frames show no expression.
_THERE_AND_BACK = ("film", "cartoon")
ACTION_UNITS = tuple(f"AU{unit:02d}" for unit in synthetic_clips.ACTION_UNITS)


@dataclasses.dataclass(frozen=True)
class Drawn:
    """A synthetic clip, generated when it is read.

    Attributes:
      seed, subject, index, difficulty: see `fer_jax.synthetic.clips.make_clip`.
      database: a name in `fer_jax.synthetic.clips.DATABASES`, None for the default.
    """

    seed: int
    subject: int
    index: int
    difficulty: float
    # Not in the repr, which names cache files: the clip's id already identifies the database.
    database: str | None = dataclasses.field(default=None, repr=False)

    def make(self) -> synthetic_clips.SyntheticClip:
        return synthetic_clips.make_clip(
            self.seed,
            self.subject,
            self.index,
            difficulty=self.difficulty,
            database=_database(self.database),
        )


class Tracked(Drawn, LandmarkSource):
    """Source of its landmarks, with the noise of a simulated tracker."""

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


class Rendered(Drawn, FrameSource):
    """Source of its rendered video, in which the face has to be detected."""

    @property
    def action_units(self) -> np.ndarray:
        return self.make().action_units

    def frames(self) -> Frames:
        clip = self.make()
        seed = self.seed * 100_003 + self.subject * 1009 + self.index
        images = synthetic_clips.render(
            clip.true_landmarks,
            clip.identity,
            frame_size=clip.frame_size,
            seed=seed,
            style=_database(self.database).style,
        )
        return Frames(clip.fps, clip.frame_size, len(clip.landmarks), 0, enumerate(images))


def _database(name: str | None) -> synthetic_clips.Database:
    return synthetic_clips.DATABASES[name] if name else synthetic_clips.EMBEDDED


def add_options(parser) -> None:
    parser.add_argument(
        "--database",
        choices=tuple(synthetic_clips.DATABASES),
        help="one of three that differ in people, appearance, camera and classes (default: none)",
    )
    parser.add_argument("--subjects", type=int, help=f"people (default {_sizes('subjects')})")
    parser.add_argument(
        "--clips-per-subject",
        type=int,
        help=f"clips per person (default {_sizes('clips_per_subject')})",
    )
    parser.add_argument(
        "--difficulty",
        type=float,
        default=synthetic_clips.DEFAULT_DIFFICULTY,
        help=f"0 easy to 1 hard (default {synthetic_clips.DEFAULT_DIFFICULTY})",
    )
    parser.add_argument("--seed", type=int, default=0, help="random seed (default 0)")
    parser.add_argument(
        "--render",
        action="store_true",
        help="draw the faces as video and detect the landmarks in it, instead of using known ones; "
        "--crops implies it",
    )


def _sizes(field: str) -> str:
    of_databases = (f"{name} {getattr(d, field)}" for name, d in synthetic_clips.DATABASES.items())
    return f"{getattr(synthetic_clips.EMBEDDED, field)}; {', '.join(of_databases)}"


def class_names(options) -> tuple[str, ...]:
    """Returns the classes of the chosen database."""
    return _database(options.database).labels


def config_flags(options, system: str) -> list[str]:
    """Returns flags for the config of the default database if another one was prepared."""
    if options.database not in _THERE_AND_BACK:
        return []
    flags = [f"--config.name={shlex.quote(options.out.resolve().name)}"]
    if system == "ir3d":
        flags += [f"--config.data.dataset=synthetic_{options.database}"]
        flags += ["--config.data.frame_rule=apex_pieces"]
    return flags


def clips(source, options) -> Iterator[Clip]:
    """Lists the clips of `options.subjects` people; no person is in two splits."""
    database = _database(options.database)
    # Defaults are filled in, so that giving them explicitly is the same request.
    if options.subjects is None:
        options.subjects = database.subjects
    if options.clips_per_subject is None:
        options.clips_per_subject = database.clips_per_subject
    try:
        divided = synthetic_clips.splits(options.subjects, database)
        synthetic_clips.make_clip(options.seed, 0, 0, difficulty=options.difficulty)
    except ValueError as error:
        raise UsageError(str(error)) from error
    of_subject = {subject: split for split, names in divided.items() for subject in names}
    if getattr(options, "crops", 0):
        options.render = True
    kind = Rendered if options.render else Tracked
    for person, subject in enumerate(sorted(of_subject)):
        for index in range(options.clips_per_subject):
            drawn = kind(options.seed, person, index, options.difficulty, options.database)
            label = database.labels[index % len(database.labels)]
            clip_id = f"{subject}_{index:04d}"
            yield Clip(clip_id, subject, label, drawn, of_subject[subject])
