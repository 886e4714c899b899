"""Storage and processes: full disks, two writers, failed drawings, kills, Ctrl-C."""

from __future__ import annotations

import collections
import pathlib
import shutil
import signal
import subprocess
import sys
import time

from benchmarks.faults import processes
from benchmarks.faults.__main__ import WELL
from benchmarks.field.inputs import SAMPLES, Answer, Inputs, Row, command, line_with
from configs import pstbln_synthetic
from fer_jax import storage
from fer_jax.systems.st_bln.search_report import found_config

INTERRUPTS = 6
# Checkpoints by time alone, every tenth of a second instead of every minute.
OFTEN = """
import sys
from fer_jax import commands
from fer_jax.training import checkpoint
checkpoint.CHECKPOINT_SECONDS = 0.1
sys.exit(commands.main(sys.argv[1:]))
"""


def _workdir_is_a_file(inputs: Inputs) -> Answer:
    file = inputs.folder / "a_file"
    file.write_text("")
    code, text = command(*inputs.small.train_arguments(file))
    line = line_with(text, "error")
    return Answer(f"exit code {code}: {line}", code in (1, 2) and "a_file" in line)


def _full_disk(inputs: Inputs) -> Answer:
    out = inputs.folder / "table.csv"
    out.write_text("an earlier table\n")
    process = processes.start(
        ["predict", inputs.bundle, inputs.data / "csvs" / "ok.csv", "--out", out], 1000
    )
    text, _ = process.communicate(timeout=300)
    line, kept = line_with(text, "error"), out.read_text() == "an earlier table\n"
    said = f"exit code {process.returncode}: {line}; "
    said += f"the earlier table is {'kept' if kept else 'lost'}"
    return Answer(said, process.returncode == 1 and "table.csv" in line and kept)


def _two_writers(inputs: Inputs) -> Answer:
    copy = inputs.folder / "used"
    shutil.copytree(inputs.small.workdir, copy)
    with storage.lock(copy):
        code, text = command(*inputs.small.train_arguments(copy))
    line = line_with(text, "is in use by process")
    return Answer(f"exit code {code}: {line}", code == 1 and bool(line))


def _found_config(inputs: Inputs) -> Answer:
    config = pstbln_synthetic.get_config()
    config.name, config.data.path = 'a"""\nimport os', "x'; raise SystemExit('code ran') #"
    config.optimizer.clip_norm = float("inf")
    space: dict = {}
    exec(compile(found_config(config, pathlib.Path("found.py")), "found.py", "exec"), space)
    back = space["get_config"]()
    same = back.data.path == config.data.path and back.optimizer.clip_norm == float("inf")
    return Answer(f"values given back: {'yes' if same else 'no'}", same)


def _failed_figure(inputs: Inputs) -> Answer:
    blocked = inputs.folder / "blocked"
    blocked.write_text("a file")
    code, text = command("predict", inputs.bundle, inputs.data / "csvs" / "ok.csv", "--figure",
                         blocked / "f.png", "--mc-samples", SAMPLES)  # fmt: skip
    line = line_with(text, "not drawn")
    return Answer(f"exit code {code}: {line}", code == 2 and bool(line))


def _corrected_run(inputs: Inputs) -> Answer:
    workdir = inputs.folder / "corrected"
    arguments = inputs.small.train_arguments(workdir)
    nowhere = f"--config.data.path={inputs.folder / 'nowhere'}"
    first, _ = command(*(nowhere if each.startswith("--config.data.path") else each
                         for each in arguments))  # fmt: skip
    second, _ = command(*arguments)
    said = f"exit code {first}, then in the same work directory {second}"
    return Answer(said, first == 1 and second == 0)


def _killed_before_a_checkpoint_by_epochs(inputs: Inputs) -> Answer:
    workdir = inputs.folder / "killed"
    arguments = inputs.small.train_arguments(workdir, epochs=400)
    arguments.append("--config.train.checkpoint_every_epochs=10000")
    process = subprocess.Popen([sys.executable, "-c", OFTEN, *arguments],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
    until = time.monotonic() + 120
    while len(list(workdir.rglob("checkpoints/**/*.msgpack"))) < 2 and time.monotonic() < until:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    names = (file.stem for file in workdir.rglob("checkpoints/**/*.msgpack"))
    epochs = [int(name) for name in names if name.isdecimal()]
    code, text = command(*arguments)
    rows = (workdir / "metrics.jsonl").read_text().count("\n")
    said = f"checkpoints of epochs {sorted(epochs)}; then exit code {code}, {rows} rows logged"
    right = 0 < max(epochs, default=0) < 400 and "begins anew" not in text
    return Answer(said, right and code == 0 and rows == 400)


def _interrupts(inputs: Inputs) -> Answer:
    ends = collections.Counter(c.end for c in processes.interrupts(inputs.small, INTERRUPTS, 0))
    well = sum(ends[end] for end in WELL)
    said = f"{well} of {INTERRUPTS} out within {processes.LEAVES_WITHIN:g} s, in a few words"
    return Answer(said, well == INTERRUPTS)


ROWS = [
    Row("F3", "a work directory that is a file", "--workdir", _workdir_is_a_file, slow=True),
    Row("F4", "a full disk", "predict --out over an earlier table", _full_disk, slow=True),
    Row("F10", "two trainings in one work directory", "a lock that is held", _two_writers,
        slow=True),
    Row("F12", "quotes, line ends and infinity in a config", "found.py", _found_config),
    Row("F12b", "a figure that cannot be drawn", "predict --figure", _failed_figure),
    Row("F13", "a failed setup, then the corrected run", "data.path", _corrected_run, slow=True),
    Row("F14", "killed before a checkpoint by epochs", "400 epochs",
        _killed_before_a_checkpoint_by_epochs, slow=True),
    Row("F15", "Ctrl-C at random moments", "preparation, training, prediction", _interrupts,
        slow=True),
]  # fmt: skip
