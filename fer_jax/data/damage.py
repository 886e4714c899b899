"""Refuses a prepared dataset of which a file is damaged, missing or contradicts the others."""

from __future__ import annotations

import contextlib
import json
import pathlib
import sys
from collections.abc import Iterator

import numpy as np

from fer_jax import hosts
from fer_jax.data.how_to_prepare import NotPreparedError
from fer_jax.faces.labels import impossible_labels
from fer_jax.storage import CHECKSUMS, damaged_file

_AGAIN = "prepare it again with the same command and --overwrite, finished clips are kept"
_METADATA = {"preprocess_version": int, "crop_size": int, "framing": dict}
_READ = ("dataset_info.json", "features.json", "graph.json", "label.labels.txt", "metadata.json")
_LABELS = ("votes", "other_votes", "action_units")
_FARTHEST = 1e6  # pixels; landmarks farther away are damage


def check_files(path: pathlib.Path) -> None:
    """Compares every file with the checksum that preparation wrote beside it.

    Processes that train together and see the same files share the work, and all learn the result.

    Raises:
      NotPreparedError: a file is missing, damaged or no regular file.
    """
    files = [file for file in sorted(path.iterdir()) if not file.name.startswith(".")]
    for file in files:
        if not file.is_file() and not file.is_dir():
            raise NotPreparedError(f"{file} is no regular file: {_AGAIN}")
    sums, problem = path / CHECKSUMS, ""
    share = hosts.place_among_alike(_identity(sums))
    if sums.exists():
        read = [file.name for file in files if file.name in _READ or ".array_record" in file.name]
        problem = damaged_file(path, read, share)
    else:
        print(
            f"note: {path} has no {CHECKSUMS}, as an older version prepared it: damage of its "
            "files may go unnoticed",
            file=sys.stderr,
        )
    found = hosts.everyone([hosts.own_host(), problem])
    for index, (host, problem) in enumerate(found):
        if problem:
            where = f" (process {index} on {host})" if len(found) > 1 else ""
            raise NotPreparedError(f"{problem}{where}: {_AGAIN}")


def _identity(file: pathlib.Path) -> list[int]:
    """What tells a file of one disk from its copy on another; empty without the file.

    A copy may have the same inode by chance and keep the time of change, but not that of the inode.
    """
    with contextlib.suppress(FileNotFoundError):
        status = file.stat()
        return [status.st_ino, status.st_mtime_ns, status.st_ctime_ns]
    return []


@contextlib.contextmanager
def named(path: pathlib.Path) -> Iterator[None]:
    """Turns any error of the libraries that read a dataset into one line that names it.

    Raises:
      NotPreparedError: reading failed.
    """
    try:
        yield
    except (NotPreparedError, ImportError):
        raise
    except Exception as error:  # damaged bytes make the libraries fail in many ways
        reason = (str(error).strip().splitlines() or [""])[0][:150]
        raise NotPreparedError(
            f"{path} cannot be read ({type(error).__name__}: {reason}): {_AGAIN}"
        ) from error


class Readable:
    """The records of a split; one that cannot be read raises a `NotPreparedError`."""

    def __init__(self, builder, split: str, path: pathlib.Path):
        self._path = path
        with named(path):
            self._records = builder.as_data_source(split)

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[dict]:
        for index in range(len(self)):
            with named(self._path):
                example = self._records[index]
            yield example


def check_counts(builder, split: str) -> None:
    """Compares the number of clips in a split's files with the number that the dataset states.

    Raises:
      NotPreparedError: a file holds another number.
    """
    from array_record.python.array_record_module import ArrayRecordReader

    info = builder.info.splits[split]
    for file, stated in zip(info.filepaths, info.shard_lengths, strict=True):
        if not pathlib.Path(file).exists():
            raise NotPreparedError(f"{file} is missing: {_AGAIN}")
        with contextlib.closing(ArrayRecordReader(str(file))) as reader:
            found = reader.num_records()
        if found != stated:
            raise NotPreparedError(f"{file} holds {found} clips, not {stated}: {_AGAIN}")


def check_metadata(path: pathlib.Path, metadata) -> None:
    """Checks the fields of `metadata.json` that training reads.

    Raises:
      NotPreparedError: one has another type.
    """
    for name, kind in _METADATA.items():
        if not isinstance(metadata.get(name, kind()), kind):
            raise NotPreparedError(
                f"{path / 'metadata.json'} is damaged ({name} is {metadata[name]!r:.40}): {_AGAIN}"
            )


def check_classes(path: pathlib.Path, names: list[str]) -> None:
    """Compares the names of the classes with those of the report, where it can be read.

    Raises:
      NotPreparedError: they are others.
    """
    try:
        reported = list(json.loads((path / "report.json").read_text())["classes"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return
    if reported != names:
        raise NotPreparedError(
            f"{path / 'label.labels.txt'} names the classes {', '.join(names)}, not "
            f"{', '.join(map(str, reported))} as report.json beside it: {_AGAIN}"
        )


def check_record(example: dict, classes: int, path: pathlib.Path, metadata=None) -> None:
    """Checks one clip: its labels, the lengths of its arrays, and its landmarks.

    Args:
      example: the record.
      classes: number of the dataset's classes.
      path: of the dataset.
      metadata: of the dataset, which names the columns of votes and of action units.

    Raises:
      NotPreparedError: names the clip and what is wrong.
    """
    name, label = example["clip_id"], int(example["label"])
    name = name.decode(errors="replace") if isinstance(name, bytes) else name
    if not 0 <= label < classes:
        raise NotPreparedError(
            f"clip {name} has label {label}, but {path / 'label.labels.txt'} names {classes} "
            f"classes: {_AGAIN}"
        )
    for field in _LABELS:
        if field in example:
            _check_labels(example[field], field, f"clip {name} in {path}", metadata or {})
    detected, points = example["detected"], example["landmarks"]
    lengths = {len(detected), len(points), len(example["frame_index"])}
    seen = points[detected] if len(lengths) == 1 else points
    lost = np.isnan(seen).all((1, 2))  # never searched for
    if len(lengths) != 1 or not (np.abs(seen[~lost]) < _FARTHEST).all():
        what = "arrays of different length" if len(lengths) != 1 else "impossible landmarks"
        raise NotPreparedError(f"clip {name} in {path} has {what}: {_AGAIN}")


def _check_labels(values: np.ndarray, field: str, clip: str, metadata: dict) -> None:
    """Refuses labels `[C]` of a clip, or `[T, C]` of its frames, with values that none can have."""
    bad = impossible_labels(field, values)
    if not bad.any():
        return
    *frame, column = np.argwhere(bad)[0]
    names = metadata.get(field) or ()
    name = names[column] if column < len(names) else f"number {column + 1}"
    where = f", frame {frame[0]}" if frame else ""
    raise NotPreparedError(
        f"{clip} has {values[(*frame, column)]:g} in the column {name} of {field}{where}: {_AGAIN}"
    )
