"""Folders of results: a lock that ends with its process."""

import signal
import subprocess
import sys

import pytest

from fer_jax import storage
from tests.conftest import ROOT


def test_lock_of_a_killed_process_is_free(tmp_path):
    code = (
        "import sys, pathlib, time; from fer_jax import storage\n"
        "with storage.lock(pathlib.Path(sys.argv[1])):\n"
        "    print('held', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE
    )
    assert process.stdout.readline() == b"held\n"
    with pytest.raises(storage.InUseError, match=f"process {process.pid} on "):
        storage.lock(tmp_path).__enter__()
    process.send_signal(signal.SIGKILL)
    process.communicate()
    with storage.lock(tmp_path), pytest.raises(storage.InUseError, match="in use by process"):
        storage.lock(tmp_path).__enter__()  # another thread or call of the same process
    with storage.lock(tmp_path):
        pass
