"""Training commands in several processes of this machine, each with simulated devices."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import threading

from tests.conftest import ROOT

_HOLDER = "--xla_force_host_platform_device_count"


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("localhost", 0))
        return taken.getsockname()[1]


def environment(devices: int) -> dict[str, str]:
    """That of this process, with so many simulated devices."""
    flags = re.sub(rf"{_HOLDER}=\d+", "", os.environ.get("XLA_FLAGS", ""))
    return os.environ | {"XLA_FLAGS": f"{flags} {_HOLDER}={devices}", "JAX_PLATFORMS": "cpu"}


class Group:
    """Processes that train together; a context manager that leaves none behind.

    Args:
      arguments: of each process, behind those that number it.
      devices: simulated, of each process.
      slurm: the processes are numbered by the variables of a batch system, not by flags.
      program: what Python runs.
    """

    def __init__(self, *arguments, devices=4, slurm=False, program=("run.py",)):
        self._files = []
        port, count = free_port(), len(arguments)
        self.processes, self.shown = [], [[] for _ in arguments]
        for index, own in enumerate(arguments):
            flags = ["--distributed"]
            more = {}
            if slurm:
                more = {
                    "SLURM_JOB_ID": "1", "SLURM_STEP_NODELIST": "localhost",
                    "SLURM_NTASKS": str(count), "SLURM_PROCID": str(index),
                    "SLURM_LOCALID": str(index), "JAX_COORDINATOR_PORT": str(port),
                }  # fmt: skip
            else:
                flags += [f"--coordinator=localhost:{port}", f"--process={index}"]
                flags += [f"--processes={count}"]
            self.processes.append(subprocess.Popen(
                [sys.executable, *program, *map(str, own), *flags], cwd=ROOT, text=True,
                env=environment(devices) | more,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            ))  # fmt: skip
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

    def wait(self, seconds=120.0) -> tuple[list[int], list[str]]:
        """Waits for the end of all: their exit codes, and what each has printed."""
        codes = [process.wait(timeout=seconds) for process in self.processes]
        for reader, process in zip(self._readers, self.processes, strict=True):
            reader.join()
            process.stdout.close()
        return codes, ["".join(lines) for lines in self.shown]
