"""Writes the prepared dataset: TFDS over ArrayRecord shards, without TensorFlow."""

from __future__ import annotations

import contextlib
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

from . import PREPROCESS_VERSION
from .clip import Clip, SourceError

NAME = "landmarks"
CACHE = ".clips"  # finished clips, in the dataset's directory
INFO = "dataset_info.json"  # written last: a directory with it is complete
_OWN_FILES = (
    INFO, "features.json", "metadata.json", "label.labels.txt", "graph.json", "report.json",
)  # fmt: skip
_PARTIAL = ".writing-"
_EXAMPLES_PER_SHARD = 1024
# Least clips and frames held at a time; the writer renews its metadata with every batch.
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
    framing: Framing = ALIGNED,
) -> None:
    """Writes shards, graph and report; the directory changes only once everything is written.

    Args:
      out: the dataset's directory; what else lies in it stays.
      examples: function without arguments that gives an iterator of `(clip, sequence)`; it is
        called twice, so nothing is held.
      splits: names of the splits that get examples.
      classes: class names in the order of their ids.
      action_units: names of the columns of `Sequence.action_units`, None without them.
      report: becomes `report.json`.
      crop_size: side of the crops that every sequence has, pixels; 0 when none has any.
      votes: names of the emotions of `Clip.votes`; empty without them.
      framing: how faces lie in the crops.
    """
    for left_by_a_kill in out.glob(f"{_PARTIAL}*"):
        shutil.rmtree(left_by_a_kill, ignore_errors=True)
    partial = pathlib.Path(tempfile.mkdtemp(prefix=_PARTIAL, dir=out))
    try:
        graph = _graph(examples())
        info = _info(partial, classes, action_units, crop_size, votes, framing, report["request"])
        _write_shards(info, examples(), splits)
        save_graph(graph, partial / "graph.json")
        (partial / "report.json").write_text(json.dumps(report, indent=1, ensure_ascii=False))
        _move_in(partial, out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


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
    """Lists the files of a prepared dataset in `out`; nothing else in there is ever touched."""
    named = [out / name for name in _OWN_FILES if (out / name).exists()]
    return named + list(out.glob(f"{NAME}-*.array_record*"))


def check_target(out: pathlib.Path, request: dict, overwrite: bool) -> None:
    """Refuses to replace what another request prepared, or a directory with other things in it.

    Raises:
      SourceError: and how to go on.
    """
    if out.exists() and not out.is_dir():
        raise SourceError(f"--out {out} is a file: name a directory")
    if overwrite or not out.exists():
        return
    if not (out / INFO).exists():
        foreign = [p.name for p in out.iterdir() if not p.name.startswith(".")]
        if foreign and not (out / CACHE).exists():
            raise SourceError(
                f"--out {out} holds other things ({', '.join(sorted(foreign)[:3])}): name an empty "
                "or new directory, or add --overwrite to put the dataset beside them"
            )
        return
    earlier, request = _said(read_report(out).get("request")), _said(request)
    if earlier != request:
        names = earlier.keys() | request.keys()
        changed = sorted(k for k in names if earlier.get(k) != request.get(k)) if earlier else ()
        raise SourceError(
            f"{out} already holds a dataset that was prepared otherwise (other "
            f"{', '.join(changed) or 'program'}): name another --out, or add --overwrite"
        )


def _said(request: dict | None) -> dict:
    """Leaves out what a request does not ask for, which older programs could not even name."""
    said = {
        key: _said(value) if isinstance(value, dict) else value
        for key, value in (request or {}).items()
    }
    return {key: value for key, value in said.items() if value}


def read_report(out: pathlib.Path) -> dict:
    """Returns `report.json` of a prepared dataset, empty when there is none to read."""
    try:
        return json.loads((out / "report.json").read_text())
    except (OSError, ValueError):
        return {}


def _graph(examples: Iterator[tuple[Clip, Sequence]]) -> Graph:
    """Makes the graph of the mean of the centred 51 points over all detected training frames.

    A set without any, or without landmarks, gets the graph of the fixed mean face. Without official
    splits all clips are in `train`. Source: ST-BLN specification, section 2.4.
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
        raise SourceError(f"the landmarks of this dataset make no face: {error}") from error


def _info(directory, classes, action_units, crop_size: int, votes, framing: Framing, request: dict):
    """Describes the dataset to TFDS: `DatasetInfo`."""
    import tensorflow_datasets as tfds

    identity = tfds.core.dataset_info.DatasetIdentity(
        name=NAME,
        version=tfds.core.Version("1.0.0"),
        data_dir=str(directory),
        module_name="preprocess.store",
    )
    metadata = {
        **request,
        "preprocess_version": PREPROCESS_VERSION,
        "action_units": list(action_units or ()),
        "crop_size": crop_size,
        "votes": list(votes),
        "framing": framing._asdict(),
    }
    what = "Facial landmark sequences" + (" and face crops" if crop_size else "")
    return tfds.core.DatasetInfo(
        builder=identity,
        description=f"{what} prepared from {request['dataset']}.",
        features=tfds.features.FeaturesDict(_features(classes, action_units, crop_size, votes)),
        metadata=tfds.core.MetadataDict(metadata),
        disable_shuffling=True,
    )


def _features(classes, action_units, crop_size: int, votes) -> dict:
    import tensorflow_datasets as tfds

    scalar, text, tensor = tfds.features.Scalar, tfds.features.Text, tfds.features.Tensor
    features = {
        "clip_id": text(),
        "subject": text(),
        "label": tfds.features.ClassLabel(names=list(classes)),
        "fps": scalar(np.float32),
        "frame_size": tensor(shape=(2,), dtype=np.int32),
        "frame_index": tensor(shape=(None,), dtype=np.int32),
        "detected": tensor(shape=(None,), dtype=np.bool_),
        "landmarks": tensor(shape=(None, 68, 2), dtype=np.float32),
    }
    if action_units:
        features["action_units"] = tensor(shape=(None, len(action_units)), dtype=np.float32)
    if votes:
        features["votes"] = tensor(shape=(len(votes),), dtype=np.float32)
    if crop_size:
        # As numbers, each byte would be an integer of a protocol buffer: larger, slower to read.
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
    arrays = [name for name in features if name not in example]
    return example | {n: np.asarray(getattr(sequence, n), features[n].np_dtype) for n in arrays}
