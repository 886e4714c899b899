"""Where results come from: the data, the seed, the code and the machine."""

from __future__ import annotations

import importlib.metadata
import os
import pathlib
import platform
import subprocess

import jax

from fer_jax import __version__, storage
from fer_jax.experiments import schema
from fer_jax.experiments.workdir import Workdir
from fer_jax.installation import clone
from fer_jax.machine import usable_cores

_GIT_SECONDS = 10  # a slow disk costs the commit, not the report


def of_run(workdir: Workdir, config) -> dict:
    """What a run was made from, for metrics.json.

    Returns:
      `data`: path -> SHA-256 of the file `checksums.json` there, which has those of all its files;
      None without one. `fingerprint`: of the names, labels and landmarks that were read. `seed`.
      `commit`: of the clone of fer_jax, see `commit`.
    """
    paths = [*(path for _, path, _ in config.data.train_on), config.data.path]
    return {
        "data": {path: _prepared_sum(path) for path in paths},
        "fingerprint": schema.read_json(workdir.config).get("data_fingerprint"),
        "seed": config.seed,
        "commit": commit(),
    }


def _prepared_sum(path: str) -> str | None:
    try:
        content = storage.read_regular(pathlib.Path(path).expanduser() / storage.CHECKSUMS)
    except (OSError, ValueError):
        return None
    return storage.sha256([content])


def commit() -> str | None:
    """The commit of the clone that fer_jax runs from, with "-dirty" if files differ from it.

    None where there is no clone, as for a wheel, or no git.
    """
    folder = clone()
    if folder is None or not (folder / ".git").exists():
        return None
    # of this clone, whatever repository the environment names
    own = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=40"]
    command += ["--exclude=*"]  # no tags: the hash itself
    try:
        done = subprocess.run(command, env=own, capture_output=True, timeout=_GIT_SECONDS)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode(errors="replace").strip() or None if not done.returncode else None


def environment() -> dict:
    """Hardware and versions that figures were measured with."""
    device = jax.devices()[0]
    kind = device.device_kind if device.platform != "cpu" else f"{usable_cores()} CPU cores"
    return {
        "hardware": f"{jax.device_count()} x {kind}" if device.platform != "cpu" else kind,
        "jax": jax.__version__,
        "flax": importlib.metadata.version("flax"),
        "numpy": importlib.metadata.version("numpy"),
        "python": platform.python_version(),
        "fer_jax": __version__,
    }


def shown_environment(found: dict | None = None) -> str:
    """What `environment` returns in words; default: of this process."""
    found = environment() if found is None else found
    return ", ".join(f"{name} {value}" for name, value in found.items())


def lines(content: dict) -> list[str]:
    """The last lines of report.md.

    Args:
      content: of metrics.json.
    """
    run = content["run"]
    data = ", ".join(
        f"`{path}` (SHA-256 of its checksums.json: {digest or 'it has none'})"
        for path, digest in run["data"].items()
    )
    return [
        f"Data: {data}; fingerprint of what was read {run['fingerprint']}. Seed {run['seed']}. "
        f"Code: commit {run['commit'] or 'unknown'}.",
        "",
        f"Measured on: {shown_environment(content['environment'])}.",
        "",
    ]
