"""Writes the prepared dataset: TFDS over ArrayRecord shards, without TensorFlow."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import shutil
import tempfile
from collections.abc import Callable
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

from .. import PREPROCESS_VERSION
from ..clip import Clip, SourceError, UsageError
from .shards import SUFFIX, Fields, Shard, write_shards

NAME = "landmarks"
CACHE = ".clips"  # cache of finished clips, in the dataset's directory
INFO = "dataset_info.json"  # written last: its presence means that the dataset is complete
_OWN_FILES = (
    INFO, "features.json", "metadata.json", "label.labels.txt", "graph.json", "report.json",
    CHECKSUMS,
)  # fmt: skip
_PARTIAL = ".writing-"


def write_dataset(
    out: pathlib.Path,
    examples: Series[tuple[Clip, Callable[[], Sequence]]],
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
    workers=None,
    written: Callable[[int], None] = lambda clips: None,
) -> None:
    """Writes shards, graph and report; `out` changes only once everything is written.

    Args:
      out: the dataset's directory; other files in it stay.
      examples: clips and what loads their sequences, one at a time: none are held.
      splits: names of the splits that have examples.
      classes: class names in the order of their ids.
      action_units: names of the columns of `Sequence.action_units`, or None.
      report: becomes `report.json`.
      crop_size: side of the crops, pixels; 0 without crops.
      votes: names of the emotions of `Clip.votes`; empty without votes.
      other_votes: names of the answers of `Clip.other_votes`.
      label_from_votes: whether classes are those that votes choose, not labels of their own.
      framing: position and size of faces in the crops.
      workers: who writes many shards, `workers.processes.Processes` or `workers.cluster.Cluster`;
        None: this process.
      written: is called with the number of clips of each shard that is written.
    """
    for left_by_a_kill in out.glob(f"{_PARTIAL}*"):
        shutil.rmtree(left_by_a_kill, ignore_errors=True)
    partial = pathlib.Path(tempfile.mkdtemp(prefix=_PARTIAL, dir=out))
    try:
        fields = Fields(tuple(classes), tuple(action_units or ()), crop_size, tuple(votes),
                        tuple(other_votes))  # fmt: skip
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
        shards = write_shards(partial / NAME, examples, splits, fields, workers, written)
        _write_info(partial, fields, metadata, shards)
        save_graph(_graph(shards.get("train", [])), partial / "graph.json")
        with (partial / "report.json").open("w", encoding="utf-8") as file:
            json.dump(report, file, indent=1, ensure_ascii=False)  # row by row
        sums = {shard.file.name: shard.checksum for each in shards.values() for shard in each}
        write_checksums(partial, _finished(partial), known=sums)
        _move_in(partial, out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _move_in(partial: pathlib.Path, out: pathlib.Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        (out / INFO).unlink()
    finished = _finished(partial)
    new = {path.name for path in finished}
    for old in own_files(out):
        if old.name not in new:
            old.unlink()
    for path in sorted(finished, key=lambda path: path.name == INFO):
        os.replace(path, out / path.name)


def _finished(partial: pathlib.Path) -> list[pathlib.Path]:
    """Lists files that are whole; a worker that died leaves, or still writes, one with a dot."""
    return [path for path in partial.iterdir() if not path.name.startswith(".")]


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


def _graph(shards: list[Shard]) -> Graph:
    """Makes the graph of the mean of the centred 51 points over all detected training frames.

    Without training frames or landmarks it is the graph of the fixed mean face. Without official
    splits all clips are in `train`. Why: docs/papers/st_bln.md.
    """
    total, frames = np.zeros((51, 2)), 0
    for shard in shards:
        total += shard.points
        frames += shard.frames
    if not frames:
        return make_graph(centre(inner(MEAN_FACE)))
    try:
        return make_graph(total / frames)
    except ValueError as error:
        raise SourceError(f"the landmarks of this dataset form no face: {error}") from error


def _write_info(
    directory: pathlib.Path, fields: Fields, metadata: dict, shards: dict[str, list[Shard]]
) -> None:
    """Writes what describes the dataset to TFDS: its fields, and the shards of each split."""
    import tensorflow_datasets as tfds

    identity = tfds.core.dataset_info.DatasetIdentity(
        name=NAME,
        version=tfds.core.Version("1.0.0"),
        data_dir=str(directory),
        module_name="preprocess.store",
    )
    what = "Facial landmark sequences" + (" and face crops" if metadata["crop_size"] else "")
    info = tfds.core.DatasetInfo(
        builder=identity,
        description=f"{what} prepared from {metadata['dataset']}.",
        features=tfds.features.FeaturesDict(fields.features()),
        metadata=tfds.core.MetadataDict(metadata),
        disable_shuffling=True,
    )
    info.set_file_format("array_record")
    info.set_splits(
        tfds.core.splits.SplitDict(
            [_split(directory, split, written) for split, written in shards.items()]
        )
    )
    info.write_to_directory(directory)


def _split(directory: pathlib.Path, split: str, shards: list[Shard]):
    import tensorflow_datasets as tfds

    template = tfds.core.naming.ShardedFileTemplate(
        dataset_name=NAME,
        data_dir=directory,
        split=split,
        filetype_suffix=SUFFIX,
        template="{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_INDEX}",
    )
    return tfds.core.splits.SplitInfo(
        name=split,
        shard_lengths=[shard.clips for shard in shards],
        num_bytes=sum(shard.size for shard in shards),
        filename_template=template,
    )
