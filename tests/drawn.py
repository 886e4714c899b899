"""Prepared datasets with crops, written without drawing or finding faces: pictures of noise."""

import numpy as np

from fer_jax.faces.crop import cut_crop, encode_jpeg, pack
from fer_jax.faces.sequence import Sequence
from fer_jax.synthetic.clips import EMBEDDED, make_clip, splits
from preprocess.clip import Clip
from preprocess.datasets.synthetic import ACTION_UNITS
from preprocess.store import write_dataset


def write_drawn(out, size, database=EMBEDDED, frames=None):
    """Writes what `preprocess synthetic --crops` prepares: 3 people, each class once a person.

    Args:
      out: folder, which exists.
      size: side of the crops, pixels.
      database: one of `synthetic.clips.DATABASES`, or the embedded one.
      frames: of every clip; drawn from the database's range when left out.
    """
    people = {each: split for split, names in splits(3, database).items() for each in names}

    def examples():
        rng = np.random.default_rng(0)
        for subject, person in enumerate(sorted(people)):
            for index, label in enumerate(database.labels):
                made = make_clip(0, subject, index, frames=frames, database=database)
                image = rng.integers(0, 256, (*made.frame_size[::-1], 3), np.uint8)
                cut = [cut_crop(image, points, size) for points in made.landmarks]
                files, offsets = pack([encode_jpeg(crop) for crop, _ in cut])
                count = len(cut)
                sequence = Sequence(
                    made.landmarks, np.ones(count, bool), np.arange(count, dtype=np.int32),
                    made.fps, made.frame_size, made.action_units, files, offsets,
                    np.stack([points for _, points in cut]),
                )  # fmt: skip
                clip = Clip(made.clip_id, person, label, None, people[person])
                yield clip, lambda sequence=sequence: sequence

    write_dataset(
        out, list(examples()), splits=list(dict.fromkeys(people.values())), classes=database.labels,
        action_units=ACTION_UNITS, crop_size=size, report={"request": {"dataset": "synthetic"}},
    )  # fmt: skip
