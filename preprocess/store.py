"""Writes the prepared dataset: TFDS over ArrayRecord shards, without TensorFlow."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import pathlib
import shutil
import tempfile
from collections.abc import Iterator
from collections.abc import Sequence as Series

import numpy as np

from fer_jax.faces.landmarks import (
    ALIGNED,
    MEAN_FACE,
    Framing,
    Graph,
    centre,
    inner,
    make_graph,
    save_graph,
)
from fer_jax.faces.sequence import Sequence
from fer_jax.storage import CHECKSUMS, read_regular, write_checksums

from . import PREPROCESS_VERSION
from .clip import Clip, SourceError, UsageError

NAME = "landmarks"
CACHE = ".clips"  # cache of finished clips, in the dataset's directory
INFO = "dataset_info.json"  # written last: its presence means that the dataset is complete
_OWN_FILES = (
    INFO, "features.json", "metadata.json", "label.labels.txt", "graph.json", "report.json",
    CHECKSUMS,
)  # fmt: skip
_PARTIAL = ".writing-"
_EXAMPLES_PER_SHARD = 1024
# Least clips and frames in a batch; the writer rewrites its metadata with every batch.
_BATCH, _BATCH_FRAMES = 8, 1000


def write_dataset(
    out: pathlib.Path,
    examples,
    *,
    splits: Series[str],
    classes: Series[str],
    action_units: Series[str] | None,
    report: dict,
    crop_size: int = 0,
    votes: Series[str] = (),
    other_votes: Series[str] = (),
    label_from_votes: bool = False,
    framing: Framing = ALIGNED,
) -> None:
    """Writes shards, graph and report; `out` changes only once everything is written.

    Args:
      out: the dataset's directory; other files in it stay.
      examples: function without arguments that returns an iterator of `(clip, sequence)`; called
        twice, so that no sequences are held.
      splits: names of the splits that have examples.
      classes: class names in the order of their ids.
      action_units: names of the columns of `Sequence.action_units`, or None.
      report: becomes `report.json`.
      crop_size: side of the crops, pixels; 0 without crops.
      votes: names of the emotions of `Clip.votes`; empty without votes.
      other_votes: names of the answers of `Clip.other_votes`.
      label_from_votes: whether classes are those that votes choose, not labels of their own.
      framing: position and size of faces in the crops.
    """
    for left_by_a_kill in out.glob(f"{_PARTIAL}*"):
        shutil.rmtree(left_by_a_kill, ignore_errors=True)
    partial = pathlib.Path(tempfile.mkdtemp(prefix=_PARTIAL, dir=out))
    try:
        graph = _graph(examples())
        features = _features(classes, action_units, crop_size, votes, other_votes)
        metadata = {
            **report["request"],
            "preprocess_version": PREPROCESS_VERSION,
            "action_units": list(action_units or ()),
            "crop_size": crop_size,
            "votes": list(votes),
            "other_votes": list(other_votes),
            "label_from_votes": label_from_votes,
            "framing": framing._asdict(),
        }
        info = _info(partial, features, metadata)
        try:
            _write_shards(info, examples(), splits)
        except RuntimeError as error:  # the writer's own, of a full disk
            raise _writing_error(error, out) from error
        save_graph(graph, partial / "graph.json")
        (partial / "report.json").write_text(json.dumps(report, indent=1, ensure_ascii=False))
        write_checksums(partial, list(partial.iterdir()))
        _move_in(partial, out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _writing_error(error: RuntimeError, out: pathlib.Path) -> OSError:
    """Makes an error of storage of one of the writer of shards, which has it in its text alone."""
    numbers = (number for number in errno.errorcode if os.strerror(number) in str(error))
    number = next(numbers, errno.EIO)
    return OSError(number, os.strerror(number), os.fspath(out))


def _move_in(partial: pathlib.Path, out: pathlib.Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        (out / INFO).unlink()
    new = {path.name for path in partial.iterdir()}
    for old in own_files(out):
        if old.name not in new:
            old.unlink()
    for path in sorted(partial.iterdir(), key=lambda path: path.name == INFO):
        os.replace(path, out / path.name)


def own_files(out: pathlib.Path) -> list[pathlib.Path]:
    """Lists the files of a prepared dataset in `out`; other files there are never touched."""
    named = [out / name for name in _OWN_FILES if (out / name).exists()]
    return named + list(out.glob(f"{NAME}-*.array_record*"))


def check_target(out: pathlib.Path, request: dict, overwrite: bool) -> None:
    """Refuses to replace the dataset of another request, or to write among foreign files.

    Raises:
      SourceError: `out` is not free for this request; the message says what to do.
    """
    if out.exists() and not out.is_dir():
        raise UsageError(f"--out {out} is a file: name a directory")
    if overwrite or not out.exists():
        return
    if not (out / INFO).exists():
        foreign = [p.name for p in out.iterdir() if not p.name.startswith(".")]
        if foreign and not (out / CACHE).exists():
            raise SourceError(
                f"--out {out} contains other files ({', '.join(sorted(foreign)[:3])}): name an "
                "empty or new directory, or add --overwrite to put the dataset beside them"
            )
        return
    earlier, request = _without_empty(read_report(out).get("request")), _without_empty(request)
    if earlier != request:
        names = earlier.keys() | request.keys()
        changed = sorted(k for k in names if earlier.get(k) != request.get(k)) if earlier else ()
        raise SourceError(
            f"{out} already contains a dataset that was prepared differently (other "
            f"{', '.join(changed) or 'program'}): name another --out, or add --overwrite"
        )


def _without_empty(request: dict | None) -> dict:
    """Drops options that are off, which earlier versions may not have written."""
    pairs = {
        key: _without_empty(value) if isinstance(value, dict) else value
        for key, value in (request or {}).items()
    }
    return {key: value for key, value in pairs.items() if value}


def read_report(out: pathlib.Path) -> dict:
    """Returns `report.json` of a prepared dataset, empty if there is none or it is unreadable."""
    try:
        report = json.loads(read_regular(out / "report.json"))
    except (OSError, ValueError, RecursionError):
        return {}
    valid = isinstance(report, dict) and isinstance(report.get("request", {}), dict)
    return report if valid else {}


def _graph(examples: Iterator[tuple[Clip, Sequence]]) -> Graph:
    """Makes the graph of the mean of the centred 51 points over all detected training frames.

    Without training frames or landmarks it is the graph of the fixed mean face. Without official
    splits all clips are in `train`. Why: docs/papers/st_bln.md.
    """
    total, frames = np.zeros((51, 2)), 0
    for clip, sequence in examples:
        if clip.split == "train":
            points = inner(sequence.landmarks[sequence.detected].astype(np.float64))
            points = points[np.isfinite(points).all((1, 2))]
            total += centre(points).sum(0)
            frames += len(points)
    if not frames:
        return make_graph(centre(inner(MEAN_FACE)))
    try:
        return make_graph(total / frames)
    except ValueError as error:
        raise SourceError(f"the landmarks of this dataset form no face: {error}") from error


def _info(directory: pathlib.Path, features: dict, metadata: dict):
    """Returns the `DatasetInfo` that describes the dataset to TFDS."""
    import tensorflow_datasets as tfds

    identity = tfds.core.dataset_info.DatasetIdentity(
        name=NAME,
        version=tfds.core.Version("1.0.0"),
        data_dir=str(directory),
        module_name="preprocess.store",
    )
    what = "Facial landmark sequences" + (" and face crops" if metadata["crop_size"] else "")
    return tfds.core.DatasetInfo(
        builder=identity,
        description=f"{what} prepared from {metadata['dataset']}.",
        features=tfds.features.FeaturesDict(features),
        metadata=tfds.core.MetadataDict(metadata),
        disable_shuffling=True,
    )


def _features(classes, action_units, crop_size: int, votes, other_votes) -> dict:
    import tensorflow_datasets as tfds

    scalar, text, tensor = tfds.features.Scalar, tfds.features.Text, tfds.features.Tensor
    features = {
        "clip_id": text(),
        "subject": text(),
        "label": tfds.features.ClassLabel(names=list(classes)),
        "fps": scalar(np.float32),
        "frame_size": tensor(shape=(2,), dtype=np.int32),
        "frame_index": tensor(shape=(None,), dtype=np.int32),
        "times": tensor(shape=(None,), dtype=np.float64),
        "detected": tensor(shape=(None,), dtype=np.bool_),
        "landmarks": tensor(shape=(None, 68, 2), dtype=np.float32),
    }
    if action_units:
        features["action_units"] = tensor(shape=(None, len(action_units)), dtype=np.float32)
    if votes:
        features["votes"] = tensor(shape=(len(votes),), dtype=np.float32)
    if other_votes:  # beside `votes`, which earlier versions read as those for emotions
        features["other_votes"] = tensor(shape=(len(other_votes),), dtype=np.float32)
    if crop_size:
        # Unencoded, each byte becomes a protocol-buffer integer: larger and slower to read.
        features["crops"] = tensor(shape=(None,), dtype=np.uint8, encoding="bytes")
        features["crop_offsets"] = tensor(shape=(None,), dtype=np.int64)
        features["crop_landmarks"] = tensor(shape=(None, 68, 2), dtype=np.float32)
    return features


def _write_shards(info, examples, splits) -> None:
    import tensorflow_datasets as tfds

    writer = tfds.core.SequentialWriter(info, _EXAMPLES_PER_SHARD, file_format="array_record")
    writer.initialize_splits(list(splits))
    for batch in _batches(examples):
        by_split: dict[str, list[dict]] = {}
        for clip, sequence in batch:
            example = _example(clip, sequence, info.features)
            by_split.setdefault(clip.split, []).append(example)
        writer.add_examples(by_split)
    writer.close_all()


def _batches(examples: Iterator[tuple[Clip, Sequence]]) -> Iterator[list[tuple[Clip, Sequence]]]:
    batch, frames = [], 0
    for clip, sequence in examples:
        batch.append((clip, sequence))
        frames += len(sequence.detected)
        if len(batch) >= _BATCH and frames >= _BATCH_FRAMES:
            yield batch
            batch, frames = [], 0
    if batch:
        yield batch


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
