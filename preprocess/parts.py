"""Parts of a dataset that are prepared separately, as by the array jobs of a queue, and merged."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import itertools
import json
import pathlib
import re
from collections.abc import Iterator
from collections.abc import Sequence as Series
from typing import NamedTuple

from fer_jax import storage
from fer_jax.machine import write_whole

from .clip import Clip, SourceError
from .pipeline import UNREAD, Outcome

_SHOWN = 3  # clips that a message names


class Part(NamedTuple):
    """Part `index` of `count`, counted from 1 as array jobs are."""

    index: int
    count: int

    def __str__(self) -> str:
        return f"shard {self.index}/{self.count}"

    def has(self, number: int) -> bool:
        """Whether the source with this number, counted from 0 in the order of clips, is in it."""
        return number % self.count == self.index - 1

    def of(self, clips: list[Clip]) -> list[Clip]:
        """Returns the clips of this part; the people of one file are in the same part."""
        sources: dict[object, int] = {}
        chosen = []
        for position, clip in enumerate(clips):
            source = clip.source.resolve() if clip.person and not clip.problem else position
            number = sources.setdefault(source, len(sources))
            if self.has(number):
                chosen.append(clip)
        return chosen

    def record(self, cache: pathlib.Path) -> pathlib.Path:
        """The file that says that this part has ended."""
        return cache / f"shard-{self.index}-of-{self.count}.json"

    def write_record(self, cache: pathlib.Path, outcomes: Series[Outcome], files) -> None:
        """Records that this part has ended, and why clips failed that the cache does not have."""
        pairs = ((f, outcome) for f, outcome in zip(files, outcomes, strict=True) if f)
        failed = {
            file.name: dataclasses.asdict(outcome)
            for file, outcome in pairs
            if outcome.reason and not file.exists()
        }
        write_whole(self.record(cache), json.dumps(failed))


def part(text: str) -> Part:
    """Reads `I/N` of a command line."""
    found = re.fullmatch(r"(\d+)/(\d+)", text)
    if not found or not 1 <= int(found[1]) <= int(found[2]):
        raise argparse.ArgumentTypeError(
            f"{text} is no part of a whole: give I/N with I from 1 to N, as of sbatch --array=1-N"
        )
    return Part(int(found[1]), int(found[2]))


@contextlib.contextmanager
def lock(out: pathlib.Path, cache: pathlib.Path, part: Part | None) -> Iterator[None]:
    """Locks a dataset for one preparation, or for any number of parts, each of them once.

    Raises:
      InUseError: another process has it.
    """
    if part is None:
        with storage.lock(out):
            yield
    else:
        own = storage.lock(part.record(cache), f"{part} of {out}", "give another --shard")
        with storage.share(out), own:
            yield


def merged(
    cache: pathlib.Path, clips: list[Clip], outcomes: list[Outcome], files: list
) -> list[Outcome]:
    """Returns the outcomes of a dataset whose parts have read all clips.

    Args:
      cache: of finished clips.
      clips: of the dataset.
      outcomes, files: of the clips, see `pipeline.read_all`; `UNREAD` where the cache has none.

    Raises:
      SourceError: clips have not been read; the message says of which parts.
    """
    ended = _ended(cache)
    failed = {name: outcome for record in ended.values() for name, outcome in record.items()}
    whole = [
        failed.get(file.name, outcome) if file and outcome.reason == UNREAD else outcome
        for file, outcome in zip(files, outcomes, strict=True)
    ]
    unread = [c.clip_id for c, o in zip(clips, whole, strict=True) if o.reason == UNREAD]
    if unread:
        more = ", ..." if len(unread) > _SHOWN else ""
        raise SourceError(
            f"{len(unread)} of {len(clips)} clips have not been read with these "
            f"options ({', '.join(unread[:_SHOWN])}{more}); {_open(ended)}: give --shard for what "
            "is missing, or the command without --merge, which reads it"
        )
    return whole


def _ended(cache: pathlib.Path) -> dict[Part, dict[str, Outcome]]:
    """Returns the parts that have ended, and the clips that failed there."""
    found = {}
    for file in cache.glob("shard-*.json"):
        numbers = re.fullmatch(r"shard-(\d+)-of-(\d+)", file.stem)
        with contextlib.suppress(OSError, ValueError, TypeError, AttributeError, RecursionError):
            record = json.loads(storage.read_regular(file))
            failed = {name: Outcome(**fields) for name, fields in record.items()}
            found[Part(*map(int, numbers.groups()))] = failed
    return found


def _open(ended: dict[Part, dict]) -> str:
    """Says which parts have not ended."""
    if not ended:
        return "no shard has ended"
    every = (
        f"{index}/{count}"
        for count in sorted({part.count for part in ended})
        for index in range(1, count + 1)
        if Part(index, count) not in ended
    )
    missing = list(itertools.islice(every, 21))  # someone may have named millions of parts
    shown = ", ".join(missing[:20]) + (", ..." if len(missing) > 20 else "")
    return f"shards that have not ended: {shown}" if missing else "all shards that began have ended"
