"""CPU time of starting commands, and time of run.py up to the end of its first epoch.

    python -m benchmarks.startup

Prepares the synthetic dataset if it is missing. A start is the user and system CPU time of a new
process, the median of five. Then one epoch runs twice, each in a new process, with a compilation
cache that is empty the first time.
"""

from __future__ import annotations

import json
import pathlib
import statistics
import subprocess
import sys
import tempfile

from rich.console import Console
from rich.table import Table

from benchmarks import child

DATA = pathlib.Path("data/synthetic")
STARTS = 5
# Runs the command line of run.py up to the first compilation.
_UNCOMPILED_RUN = """
import sys
from fer_jax.training import program
program.compile_ahead = lambda *arguments: sys.exit()
from fer_jax.commands import train
train.main(sys.argv[1:])
"""
# Runs run.py and adds up the time of XLA's compilations.
_WATCHED_RUN = """
import json, sys, time
started = time.perf_counter()
import jax
seconds = {"backend_compile": 0.0, "cache_retrieval": 0.0}
def listen(name, duration, **_):
    if name == "/jax/core/compile/backend_compile_duration":
        seconds["backend_compile"] += duration
    if name == "/jax/compilation_cache/cache_retrieval_time_sec":
        seconds["cache_retrieval"] += duration
jax.monitoring.register_event_duration_secs_listener(listen)
from absl import logging
logging.set_verbosity(logging.WARNING)
from configs import stbln_synthetic
from fer_jax.systems import run
from fer_jax.training import loop
jax.config.update("jax_compilation_cache_dir", sys.argv[1])
config = stbln_synthetic.get_config()
config.data.path = sys.argv[2]
config.train.epochs = 1
real = loop.train_epoch
def first(*arguments):
    result = real(*arguments)
    seconds["first_epoch"] = time.perf_counter() - started
    print("SECONDS " + json.dumps(seconds), flush=True)
    sys.exit()
loop.train_epoch = first
run(config, sys.argv[3])
"""


def _measure(cache: str) -> dict:
    with tempfile.TemporaryDirectory() as workdir:
        command = [sys.executable, "-c", _WATCHED_RUN, cache, str(DATA), workdir]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    for line in done.stdout.splitlines():
        if line.startswith("SECONDS "):
            return json.loads(line.removeprefix("SECONDS "))
    raise SystemExit(f"the run failed:\n{done.stdout}\n{done.stderr}")


def _starts(workdir: str) -> dict[str, list[str]]:
    """Arguments of Python for each measured start."""
    run = ["--config", "stbln_synthetic", "--workdir", workdir, f"--config.data.path={DATA}"]
    return {
        "python alone": ["-c", "pass"],
        "import fer_jax": ["-c", "import fer_jax"],
        "fer-jax --help": ["-m", "fer_jax", "--help"],
        "fer-jax predict --help": ["-m", "fer_jax", "predict", "--help"],
        "fer_jax.load_model, imports": ["-c", "import fer_jax.predict.load"],
        "run.py, to the first compile": ["-c", _UNCOMPILED_RUN, *run],
    }


def main() -> None:
    if not (DATA / "dataset_info.json").exists():
        prepare = [sys.executable, "-m", "preprocess", "synthetic", "--out", str(DATA)]
        subprocess.run(prepare, check=True)
    starts = Table("start", "CPU, s")
    with tempfile.TemporaryDirectory() as workdir:
        for name, arguments in _starts(workdir).items():
            seconds = statistics.median(child.run(arguments).core_seconds for _ in range(STARTS))
            starts.add_row(name, f"{seconds:.2f}")
    Console(width=100).print(starts)
    table = Table("run", "start to end of first epoch, s", "compiling, s", "reading cache, s")
    with tempfile.TemporaryDirectory() as cache:
        for name in ("first (empty cache)", "second (cache)"):
            row = _measure(cache)
            table.add_row(
                name,
                f"{row['first_epoch']:.1f}",
                f"{row['backend_compile'] - row['cache_retrieval']:.1f}",
                f"{row['cache_retrieval']:.1f}",
            )
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
