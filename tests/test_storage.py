"""Files that are no pipes or have no name, and a lock that ends with its process."""

import errno
import fcntl
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile

import pytest

from fer_jax import storage
from fer_jax.machine import StorageError
from tests.conftest import ROOT

FULL = pathlib.Path("/dev/full")


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


def test_shared_folder_is_locked_for_others(tmp_path):
    refused = pytest.raises(storage.InUseError, match="is in use by another process")
    with storage.share(tmp_path), storage.share(tmp_path), refused:
        storage.lock(tmp_path).__enter__()
    with storage.lock(tmp_path), pytest.raises(storage.InUseError, match="is in use by process"):
        storage.share(tmp_path).__enter__()


def test_lock_says_what_the_user_knows_it_by(tmp_path):
    (tmp_path / "folder").mkdir()
    kinds = {"folder": "name another folder", "file": "name another file"}
    for name, instead in kinds.items():
        refused = pytest.raises(storage.InUseError, match=f"{name} is in use by .*, or {instead}$")
        with storage.lock(tmp_path / name), refused:
            storage.lock(tmp_path / name).__enter__()
    own = tmp_path / "file", "part 3", "give another part"
    refused = pytest.raises(storage.InUseError, match="^part 3 is in use .*, or give another part$")
    with storage.lock(*own), refused:
        storage.lock(*own).__enter__()


@pytest.mark.skipif(not FULL.exists(), reason="no /dev/full on this system")
@pytest.mark.parametrize("size", [1, 10**6])
def test_temporary_file_that_finds_no_room_says_so_once(monkeypatch, size):
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: FULL.open("rb+", buffering=0))
    said = f"{tempfile.gettempdir()}: No space .*free some space, or set TMPDIR to a folder on"
    with pytest.raises(StorageError, match=said), storage.temporary_file() as file:
        file.write(bytes(size))
        file.seek(0)
    file = storage.temporary_file()
    with pytest.raises(StorageError, match=said):
        file.write(bytes(size))
        file.flush()
    file.close()


def test_temporary_file_is_read_back_and_vanishes(tmp_path):
    with storage.temporary_file(tmp_path) as file:
        file.write(b"abc" * 10**5)
        file.seek(3)
        assert file.read(3) == b"abc" and not list(tmp_path.iterdir())
    with pytest.raises(StorageError, match="nowhere/.*: No such file .* or set TMPDIR"):
        storage.temporary_file(tmp_path / "nowhere")


def test_no_folder_for_temporary_files_is_said(monkeypatch):
    def none():
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']")

    monkeypatch.setattr(tempfile, "gettempdir", none)
    with pytest.raises(StorageError, match=r"^No usable .*: free some space, or set TMPDIR to"):
        storage.temporary_file()


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EOPNOTSUPP])
def test_file_system_without_locks_keeps_nobody_out(tmp_path, monkeypatch, number):
    monkeypatch.setattr(fcntl, "flock", failing(number))
    for _ in range(2):
        with storage.share(tmp_path), storage.lock(tmp_path), storage.lock(tmp_path / "file"):
            pass
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_file_system_that_gives_no_lock_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(fcntl, "flock", failing(errno.ENOLCK))
    for hold in (storage.share, storage.lock):
        with pytest.raises(OSError) as caught:
            hold(tmp_path).__enter__()
        assert caught.value.filename == str(tmp_path / ".lock")


def failing(number: int):
    def fail(handle, operation):
        raise OSError(number, os.strerror(number))

    return fail


def test_lock_that_was_removed_meanwhile_is_not_held(tmp_path, monkeypatch):
    flock = fcntl.flock

    def removed(handle, operation):
        (tmp_path / ".file.lock").unlink()
        flock(handle, operation)

    monkeypatch.setattr(fcntl, "flock", removed)
    with pytest.raises(storage.InUseError):
        storage.lock(tmp_path / "file").__enter__()


@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "socket"])
@pytest.mark.parametrize("read", [storage.read_regular, storage.open_text, storage.checksum])
def test_what_is_no_regular_file_is_not_waited_for(tmp_path, kind, read):
    file = tmp_path / "file"
    if kind == "pipe":
        os.mkfifo(file)
    elif kind == "device":
        file.symlink_to("/dev/zero")
    elif kind == "folder":
        file.mkdir()
    else:
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(file))
    with pytest.raises(OSError) as caught:
        read(file)
    assert caught.value.filename == str(file)


def test_text_has_no_byte_order_mark_and_keeps_line_ends(tmp_path):
    (tmp_path / "a.csv").write_bytes("\ufeffé\r\nb".encode())
    with storage.open_text(tmp_path / "a.csv") as file:
        assert file.read() == "é\r\nb"
