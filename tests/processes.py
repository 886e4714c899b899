"""Training commands in several processes of this machine, each with simulated devices.

As a program it is run.py without figures, which other tests draw.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import threading
import time

from tests.conftest import ROOT

_DEVICES = "--xla_force_host_platform_device_count"


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("localhost", 0))
        return taken.getsockname()[1]


def environment(devices: int) -> dict[str, str]:
    """That of this process, with so many simulated devices."""
    flags = re.sub(rf"{_DEVICES}=\d+", "", os.environ.get("XLA_FLAGS", ""))
    outside = {name: text for name, text in os.environ.items() if not name.startswith("SLURM_")}
    return outside | {"XLA_FLAGS": f"{flags} {_DEVICES}={devices}", "JAX_PLATFORMS": "cpu"}


def numbered(index: int, count: int, port: int) -> list[str]:
    """Flags that number a process by hand."""
    where = f"--coordinator=localhost:{port}"
    return ["--distributed", where, f"--process={index}", f"--processes={count}"]


def in_slurm(index: int, count: int, port: int) -> dict[str, str]:
    """Variables by which a batch system numbers a process."""
    return {
        "SLURM_JOB_ID": "1", "SLURM_STEP_NODELIST": "localhost", "SLURM_NTASKS": str(count),
        "SLURM_PROCID": str(index), "SLURM_LOCALID": str(index), "JAX_COORDINATOR_PORT": str(port),
    }  # fmt: skip


class Group:
    """Processes that train together; a context manager that leaves none behind.

    Args:
      arguments: of each process, but for those that number it.
      devices: simulated devices of each process.
      slurm: the processes are numbered by variables, not by flags.
    """

    def __init__(self, *arguments, devices: int, slurm: bool = False):
        port, count = free_port(), len(arguments)
        self.processes, self.shown = [], [[] for _ in arguments]
        for index, own in enumerate(arguments):
            flags = ["--distributed"] if slurm else numbered(index, count, port)
            more = in_slurm(index, count, port) if slurm else {}
            self.processes.append(
                start(*own, *(flags if count > 1 else []), devices=devices, **more)
            )
        self._readers = [
            threading.Thread(target=lines.extend, args=(process.stdout,))
            for lines, process in zip(self.shown, self.processes, strict=True)
        ]
        for reader in self._readers:
            reader.start()

    def __enter__(self) -> Group:
        return self

    def __exit__(self, *error) -> None:
        for process in self.processes:
            process.kill()
        self.wait()

    def wait(self, seconds: float = 400.0) -> tuple[list[int], list[str]]:
        """Waits for the end of all: their exit codes, and what each has printed."""
        end = time.monotonic() + seconds
        codes = [process.wait(timeout=end - time.monotonic()) for process in self.processes]
        for reader, process in zip(self._readers, self.processes, strict=True):
            reader.join()
            process.stdout.close()
        return codes, ["".join(lines) for lines in self.shown]


def start(*arguments, devices: int, **variables: str) -> subprocess.Popen:
    """Starts the command in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.processes", *map(str, arguments)],
        cwd=ROOT, env=environment(devices) | variables, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def main() -> None:
    from fer_jax.commands import leave, named, start
    from fer_jax.experiments import report

    report._figures = lambda *arguments: iter(())
    leave(start(named("fer_jax.commands.train")))


if __name__ == "__main__":
    main()
