"""Writes the shards of a prepared dataset, several at a time; holds one clip at a time."""

from __future__ import annotations

import contextlib
import errno
import os
import pathlib
import uuid
from collections.abc import Callable
from collections.abc import Sequence as Series
from typing import NamedTuple

import numpy as np

from fer_jax.faces.landmarks import centre, inner
from fer_jax.faces.sequence import Sequence
from fer_jax.storage import checksum

from ..clip import Clip, SourceError
from ..workers import Crash, launch

SUFFIX = "array_record"
_CLIPS = 1024  # of a shard
_FEW = 3  # shards that are written before other processes would have started

Example = tuple[Clip, Callable[[], Sequence]]


class Fields(NamedTuple):
    """What the fields of an example depend on, see `store.write_dataset`."""

    classes: tuple[str, ...]
    action_units: tuple[str, ...]
    crop_size: int
    votes: tuple[str, ...]
    other_votes: tuple[str, ...]

    def features(self) -> dict:
        """Returns the features of TFDS by their names."""
        import tensorflow_datasets as tfds

        scalar, text, tensor = tfds.features.Scalar, tfds.features.Text, tfds.features.Tensor
        features = {
            "clip_id": text(),
            "subject": text(),
            "label": tfds.features.ClassLabel(names=list(self.classes)),
            "fps": scalar(np.float32),
            "frame_size": tensor(shape=(2,), dtype=np.int32),
            "frame_index": tensor(shape=(None,), dtype=np.int32),
            "times": tensor(shape=(None,), dtype=np.float64),
            "detected": tensor(shape=(None,), dtype=np.bool_),
            "landmarks": tensor(shape=(None, 68, 2), dtype=np.float32),
        }
        if self.action_units:
            units = len(self.action_units)
            features["action_units"] = tensor(shape=(None, units), dtype=np.float32)
        if self.votes:
            features["votes"] = tensor(shape=(len(self.votes),), dtype=np.float32)
        if self.other_votes:  # beside `votes`, which earlier versions read as those for emotions
            features["other_votes"] = tensor(shape=(len(self.other_votes),), dtype=np.float32)
        if self.crop_size:
            # Unencoded, each byte becomes a protocol-buffer integer: larger and slower to read.
            features["crops"] = tensor(shape=(None,), dtype=np.uint8, encoding="bytes")
            features["crop_offsets"] = tensor(shape=(None,), dtype=np.int64)
            features["crop_landmarks"] = tensor(shape=(None, 68, 2), dtype=np.float32)
        return features


class Shard(NamedTuple):
    """A shard that is written.

    Attributes:
      file: its place.
      clips: number of its clips.
      size: bytes of its examples.
      checksum: of the file.
      points: `[51, 2]` sum of the centred points over the frames with a face, in split train.
      frames: number of frames in this sum.
    """

    file: pathlib.Path
    clips: int
    size: int
    checksum: str
    points: np.ndarray
    frames: int


class _Task(NamedTuple):
    file: pathlib.Path
    examples: list[Example]
    fields: Fields


def write_shards(
    stem: pathlib.Path,
    examples: Series[Example],
    splits: Series[str],
    fields: Fields,
    workers,
    written: Callable[[int], None],
) -> dict[str, list[Shard]]:
    """Writes the shards of all splits, each in the order of its examples.

    Args:
      stem: folder, and the beginning of the files' names.
      examples, splits, fields, workers, written: see `store.write_dataset`.

    Returns:
      The shards of each split, in order.

    Raises:
      ClusterError: this machine does not see what others wrote.
    """
    of_split: dict[str, list[Example]] = {split: [] for split in splits}
    for example in examples:
        of_split[example[0].split].append(example)
    tasks = {
        split: [
            _Task(stem.with_name(f"{stem.name}-{split}.{SUFFIX}-{number:05d}"), chosen, fields)
            for number, chosen in enumerate(_divided(own))
        ]
        for split, own in of_split.items()
    }
    all_tasks = [task for own in tasks.values() for task in own]
    if workers is None or len(all_tasks) <= _FEW:
        done = ((task, _write(task)) for task in all_tasks)
    else:
        done = workers.each(_write, all_tasks)
    shards = {}
    for task, shard in done:
        if isinstance(shard, Crash):
            raise SourceError(f"writing {task.file.name} failed: {shard.why}")
        shards[task.file] = shard
        written(shard.clips)
    launch.await_files(stem.parent, {shard.file.name for shard in shards.values()})
    return {split: [shards[task.file] for task in own] for split, own in tasks.items()}


def _divided(examples: list[Example]) -> list[list[Example]]:
    return [examples[start : start + _CLIPS] for start in range(0, len(examples), _CLIPS)]


def _write(task: _Task) -> Shard:
    """Writes a shard; the file is there once it is complete."""
    import tensorflow_datasets as tfds
    from array_record.python import array_record_module

    features = tfds.features.FeaturesDict(task.fields.features())
    info = features.get_serialized_info()
    serializer = tfds.core.example_serializer.ExampleSerializer(info)
    size, frames, points = 0, 0, np.zeros((51, 2))
    # a worker that is only thought to be dead may write the same shard
    partial = task.file.with_name(f".{task.file.name}.{uuid.uuid4().hex}")
    try:
        writer = array_record_module.ArrayRecordWriter(os.fspath(partial), "group_size:1")
        for clip, load in task.examples:
            sequence = load()
            example = features.encode_example(_example(clip, sequence, features))
            record = serializer.serialize_example(example)
            writer.write(record)
            size += len(record)
            if clip.split == "train":
                face = _centred(sequence)
                points += face.sum(0)
                frames += len(face)
        writer.close()
        os.replace(partial, task.file)
    except RuntimeError as error:  # the writer's own, of a full disk
        raise _writing_error(error, task.file.parent) from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink()
    return Shard(task.file, len(task.examples), size, checksum(task.file), points, frames)


def _centred(sequence: Sequence) -> np.ndarray:
    """Returns the centred points of the frames with a face, `[frames, 51, 2]`."""
    points = inner(sequence.landmarks[sequence.detected].astype(np.float64))
    return centre(points[np.isfinite(points).all((1, 2))])


def _writing_error(error: RuntimeError, folder: pathlib.Path) -> OSError:
    """Makes an error of storage of one of the writer of shards, which has it in its text alone."""
    numbers = (number for number in errno.errorcode if os.strerror(number) in str(error))
    number = next(numbers, errno.EIO)
    return OSError(number, os.strerror(number), os.fspath(folder))


def _example(clip: Clip, sequence: Sequence, features) -> dict:
    example = {
        "clip_id": clip.clip_id,
        "subject": clip.subject,
        "label": clip.label,
        "fps": np.float32(sequence.fps),
        "frame_size": np.array(sequence.frame_size, np.int32),
    }
    if "votes" in features:
        example["votes"] = np.array(clip.votes, np.float32)
    if "other_votes" in features:
        example["other_votes"] = np.array(clip.other_votes, np.float32)
    if sequence.times is None:
        example["times"] = np.full(len(sequence.detected), np.nan)
    arrays = [name for name in features if name not in example]
    return example | {n: np.asarray(getattr(sequence, n), features[n].np_dtype) for n in arrays}
