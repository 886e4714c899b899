"""Finds the workers of a command: this machine, a running dask scheduler, or a queue."""

from __future__ import annotations

import contextlib
import functools
import os
import pathlib
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator

from fer_jax.faces.detector import Detector, LandmarkModelError
from fer_jax.installation import NotInstalledError, needs
from fer_jax.machine import printable, usable_cores

from .. import PREPROCESS_VERSION
from .cluster import Cluster, ClusterError
from .processes import Processes

CONNECTING = 10.0  # seconds that a scheduler takes to answer
_APPEARING = 120.0  # seconds
_DOCS = "see docs/data/cluster.md"


@contextlib.contextmanager
def workers(
    cluster: str | None, count: int | None, cache: pathlib.Path, source, model, say: Callable
) -> Iterator[Processes | Cluster]:
    """Lends the workers that read clips and write shards.

    Args:
      cluster: address of a dask scheduler, or a name in `QUEUES`; None for this machine.
      count: processes, None for one a core.
      cache: folder that every worker has to see.
      source: file or folder of the recordings, or None.
      model: a dlib 68-point model, or None if none is needed.
      say: shows a line to the user.

    Raises:
      ClusterError: there is no such cluster.
      NotInstalledError: a package is missing.
    """
    if cluster is None:
        yield Processes(count or usable_cores())
        return
    handle, seen = tempfile.mkstemp(prefix=".seen-", dir=cache)  # only in this very folder
    os.close(handle)
    size = model and model.stat().st_size
    admission = functools.partial(_unfit, PREPROCESS_VERSION, seen, source, model, size)
    try:
        with _client(cluster, count) as client:
            yield Cluster(client, admission, say, patient=cluster in QUEUES)
    finally:
        with contextlib.suppress(OSError):
            os.unlink(seen)


def await_files(folder: pathlib.Path, names: set[str]) -> None:
    """Waits until this machine sees the files that others wrote.

    A shared file system may remember for a minute what a folder lacked.

    Raises:
      ClusterError: they do not appear.
    """
    ends = time.monotonic() + _APPEARING
    while missing := names.difference(os.listdir(folder)):
        if time.monotonic() > ends:
            raise ClusterError(
                f"{len(missing)} files that workers wrote do not appear in {folder}: mount it on "
                "every machine, then give the same command again"
            )
        time.sleep(1.0)


@contextlib.contextmanager
def _client(cluster: str, count: int | None):
    with needs("cluster"):
        import distributed
    with contextlib.ExitStack() as stack:
        address = cluster
        if start := QUEUES.get(cluster):
            address = stack.enter_context(_started(start, cluster, count))
        try:
            if isinstance(address, str):  # else the client fails in its own way, and slowly
                distributed.comm.resolve_address(address)
            client = distributed.Client(address, timeout=CONNECTING, set_as_default=False)
        except (OSError, TimeoutError, ValueError) as error:
            raise ClusterError(
                f"no dask scheduler answers at {cluster}: start one (dask scheduler) and give the "
                f"address that it prints, such as tcp://node1:8786; {_DOCS} ({error})"
            ) from None
        stack.callback(client.close, timeout=CONNECTING)
        yield client


@contextlib.contextmanager
def _started(start: Callable, name: str, count: int):
    """A dask cluster of a queue, which ends its workers when it is closed."""
    try:
        cluster = start(count)
    except NotInstalledError:
        raise
    except Exception as error:  # dask-kubernetes passes on those of its own client
        raise ClusterError(
            f"the workers of {name} cannot be started: {_first_line(error)}. Their settings are in "
            f"dask's own files, ~/.config/dask/jobqueue.yaml or kubernetes.yaml, {_DOCS}"
        ) from error
    with cluster:
        yield cluster


def _first_line(error: Exception) -> str:
    return printable(str(error).strip().partition("\n")[0] or type(error).__name__)


def _slurm(count: int):
    with needs("cluster"):
        from dask_jobqueue import SLURMCluster
    import dask

    settings = dask.config.get("jobqueue.slurm", {})
    if missing := [name for name in ("cores", "memory") if not settings.get(name)]:
        raise ValueError(f"jobqueue.slurm.{missing[0]} is not set")
    if not shutil.which(SLURMCluster.job_cls.submit_command):  # dask would wait without end
        raise ValueError(f"there is no {SLURMCluster.job_cls.submit_command} on this machine")
    # a worker is a process and has one clip at a time
    cluster = SLURMCluster(processes=settings.get("processes") or settings["cores"])
    cluster.adapt(minimum=count, maximum=count)  # jobs that end early are replaced
    return cluster


def _kubernetes(count: int):
    with needs("cluster"):
        from dask_kubernetes.operator import KubeCluster
    cluster = KubeCluster(n_workers=count)
    cluster.scale(count)  # one's own description of it may have another number
    return cluster


QUEUES = {"slurm": _slurm, "kubernetes": _kubernetes}  # what starts workers -> starts so many


def _unfit(version: int, seen: str, source, model, size: int | None) -> str:
    """Returns why this process cannot prepare clips, "" if it can."""
    import cv2

    cv2.setNumThreads(1)
    if version != PREPROCESS_VERSION:
        return "it has another version of fer_jax"
    if not os.path.exists(seen):
        return f"it does not see {os.path.dirname(seen)}: mount that folder there, at the same path"
    if source is not None and not os.path.exists(source):
        return f"it does not see {source}: mount it there, at the same path"
    if model is not None:
        if not model.is_file() or model.stat().st_size != size:
            return f"it does not have the landmark model {model}: copy it there, at the same path"
        try:
            Detector(model)
        except LandmarkModelError as error:
            return str(error)
    return ""
