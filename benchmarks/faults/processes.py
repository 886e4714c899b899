"""Commands in processes of their own: killed, asked to end, on a full disk, two at a time."""

from __future__ import annotations

import dataclasses
import pathlib
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from benchmarks.faults import judge, runs
from benchmarks.faults.material import Material
from fer_jax import stopping
from fer_jax.storage import sha256

LEAVES_WITHIN = 10.0  # seconds from the signal to the end of the process
_WHOLE = 300.0  # seconds for a command that nobody stops
_STARTED = 0.3  # seconds: Python itself is not tested
_EPOCHS = 30  # enough to stop a training in the middle


@dataclasses.dataclass(frozen=True)
class Job:
    """A command that is stopped.

    Attributes:
      name: of the command.
      arguments: makes the arguments of `fer-jax` from the folder of its outputs.
      result: reads what it made in that folder; results are equal or `runs.agree`.
    """

    name: str
    arguments: Callable[[pathlib.Path], list[str]]
    result: Callable[[pathlib.Path], object]


class Ended(NamedTuple):
    """The end of a command.

    Attributes:
      code: its exit code; None: it did not end in time.
      output: what it printed.
    """

    code: int | None
    output: str

    def judged(self, what: str, wanted: int | None = None) -> judge.Case:
        """Judges an end that is no success; `wanted` is the exit code, None: any."""
        if self.code is None:
            return judge.Case(what, "hang", self.output[-judge.SHOWN :])
        if wanted is not None and self.code != wanted and "Traceback" not in self.output:
            return judge.Case(what, "lost", f"exit code {self.code}\n{self.output[-800:]}")
        return judge.refusal(what, self.output, self.code)


def jobs(material: Material) -> list[Job]:
    """Returns the commands that make something."""
    sizes = ["--subjects", "4", "--clips-per-subject", "7", "--render"]
    return [
        Job("prepare", lambda out: ["prepare", "synthetic", "--out", str(out), *sizes], _stored),
        Job("train", lambda out: material.train_arguments(out, _EPOCHS), runs.table_of),
        Job("search", material.search_arguments, runs.table_of),
        Job("train on crops", material.crops_arguments, runs.table_of),
        Job("predict", lambda out: _predict(material, out), lambda out: _read(out / "table.csv")),
    ]


def _predict(material: Material, out: pathlib.Path) -> list[str]:
    out.mkdir(exist_ok=True)
    table = ["--out", str(out / "table.csv"), "--stride", "0.08"]
    return ["predict", str(material.bundle), str(material.csv), *table]


def _stored(out: pathlib.Path) -> dict[str, str]:
    """A hash of every stored clip; the bytes of shards differ from run to run."""
    import tensorflow_datasets as tfds

    hashes = {}
    for clips in tfds.builder_from_directory(out).as_data_source().values():
        for clip in clips:
            parts = (name.encode() + np.asarray(clip[name]).tobytes() for name in sorted(clip))
            hashes[clip["clip_id"].decode()] = sha256(parts)
    return hashes


def _read(path: pathlib.Path) -> str:
    return path.read_text()


def _moment(rng: np.random.Generator, seconds: float) -> float:
    """Draws when to stop a command that takes so long, some of them shorter than `_STARTED`."""
    return rng.uniform(_STARTED, max(seconds, 2 * _STARTED))


def kills(material: Material, count: int, seed: int) -> Iterator[judge.Case]:
    """Kills a command at a random moment and calls it again: the result must be the same."""
    rng = np.random.default_rng(seed)
    whole = _whole(material)
    for index in range(count):
        job, seconds, expected = whole[index % len(whole)]
        moment, out = _moment(rng, seconds), _fresh(material)
        _run(job.arguments(out), signal.SIGKILL, moment)
        what = f"seed {seed}, case {index}: {job.name} killed after {moment:.2f} s"
        yield _again(what, job, out, expected)


def interrupts(material: Material, count: int, seed: int) -> Iterator[judge.Case]:
    """Presses Ctrl-C, or asks to end, at a random moment: the command must leave in time."""
    for each in stopping.SIGNALS:
        if signal.getsignal(each) == signal.SIG_IGN:  # of a job of a shell in the background
            signal.signal(each, signal.SIG_DFL)  # else the commands would ignore it too
    rng = np.random.default_rng(seed)
    whole = _whole(material)
    for index in range(count):
        job, seconds, _ = whole[index % len(whole)]
        moment, number = _moment(rng, seconds), int(rng.choice(stopping.SIGNALS))
        what = f"{job.name}, {signal.Signals(number).name} after {moment:.2f} s"
        ended = _run(job.arguments(_fresh(material)), number, moment, LEAVES_WITHIN)
        yield _left(f"seed {seed}, case {index}: {what}", number, ended)


def _left(what: str, number: int, ended: Ended) -> judge.Case:
    """Judges how a command left after a signal."""
    if ended.code == 0:
        return judge.Case(what, "same")  # over before the signal, or while it was leaving
    if ended.code == -number and "Traceback" not in ended.output:
        return judge.Case(what, "same")  # in the last moment, or the first, of Python itself
    return ended.judged(what, 130)


def full_disk(material: Material, count: int, seed: int) -> Iterator[judge.Case]:
    """Limits the size of files, so that writing fails, and then calls the command again."""
    rng = np.random.default_rng(seed)
    whole = _whole(material)
    for index in range(count):
        job, _, expected = whole[index % len(whole)]
        out, limit = _fresh(material), int(2 ** rng.uniform(4, 18))
        what = f"seed {seed}, case {index}: {job.name} with files of at most {limit} bytes"
        ended = _run(job.arguments(out), largest_file=limit)
        if ended.code != 0 and (case := ended.judged(what)).end != "refused":
            yield case
            continue
        yield _again(what, job, out, expected)


def two_writers(material: Material, count: int, seed: int) -> Iterator[judge.Case]:
    """Starts a command twice at a time with the same outputs: one must end as if alone."""
    rng = np.random.default_rng(seed)
    whole = _whole(material)
    for index in range(count):
        job, seconds, expected = whole[index % len(whole)]
        out, delay = _fresh(material), rng.uniform(0, seconds / 2)
        what = f"seed {seed}, case {index}: {job.name} twice, {delay:.2f} s apart"
        first = start(job.arguments(out))
        time.sleep(delay)
        second = start(job.arguments(out))
        outputs = [process.communicate(timeout=_WHOLE)[0] for process in (first, second)]
        codes = [process.returncode for process in (first, second)]
        if "Traceback" in "".join(outputs):
            yield judge.Case(what, "traceback", "\n".join(outputs)[-judge.SHOWN :])
        elif 0 not in codes or not _equal(job.result(out), expected):
            yield judge.Case(what, "lost", f"exit codes {codes}\n" + "\n".join(outputs)[-800:])
        else:
            yield judge.Case(what, "same")


def _whole(material: Material) -> list[tuple[Job, float, object]]:
    """Runs each command without stopping it; returns its seconds and its result."""
    whole = []
    for job in jobs(material):
        started, out = time.monotonic(), _fresh(material)
        ended = _run(job.arguments(out))
        if ended.code != 0:
            raise SystemExit(f"error: {job.name} failed without any fault:\n{ended.output}")
        whole.append((job, time.monotonic() - started, job.result(out)))
    return whole


def _again(what: str, job: Job, out: pathlib.Path, expected) -> judge.Case:
    ended = _run(job.arguments(out))
    if ended.code is None:
        return ended.judged(what)
    if ended.code:
        return judge.Case(what, "lost", ended.output[-judge.SHOWN :])
    end = "same" if _equal(job.result(out), expected) else "changed"
    return judge.Case(what, end)


def _equal(result, expected) -> bool:
    if isinstance(result, str | dict):
        return result == expected
    return runs.agree(result, expected)


def _fresh(material: Material) -> pathlib.Path:
    out = material.folder / "stopped"
    shutil.rmtree(out, ignore_errors=True)
    return out


def _run(
    arguments: list[str],
    number: int | None = None,
    moment: float = _WHOLE,
    within: float = _WHOLE,
    largest_file: int | None = None,
) -> Ended:
    """Runs `fer-jax` to its end.

    Args:
      arguments: of the command.
      number: signal that it gets after `moment` seconds; None: none.
      moment: seconds.
      within: seconds from then on, after which it is killed.
      largest_file: bytes of a file, above which writing fails.
    """
    process = start(arguments, largest_file)
    try:
        output, _ = process.communicate(timeout=moment)
    except subprocess.TimeoutExpired:
        if number is not None:
            process.send_signal(number)
        try:
            output, _ = process.communicate(timeout=within)
        except subprocess.TimeoutExpired:
            process.kill()
            return Ended(None, process.communicate()[0])
    return Ended(process.returncode, output)


def start(arguments: list[str], largest_file: int | None = None) -> subprocess.Popen:
    process = subprocess.Popen(
        [sys.executable, "-m", "fer_jax", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
    )  # fmt: skip
    if largest_file is not None:
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (largest_file, largest_file))
    return process
