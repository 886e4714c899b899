"""Landmarks past the limit of memory: the same clips and batches, read from a file."""

import mmap
import pathlib
import tempfile
import tracemalloc

import numpy as np
import pytest

from fer_jax.data import crops, cross_database, load
from fer_jax.data.clips import batches
from fer_jax.experiments.workdir import _fingerprint
from fer_jax.machine import StorageError
from fer_jax.storage import Spool

FRAMES = 4
CLIP = FRAMES * 68 * 2 * 4  # bytes
STATUS, FULL = pathlib.Path("/proc/self/status"), pathlib.Path("/dev/full")


def drawn(frames: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((frames, 68, 2)).astype(np.float32)


@pytest.mark.parametrize("most", [np.inf, 0, 10 * 544, 13 * 544])
def test_spool_gives_back_what_it_got(most):
    parts = [drawn(count, count) for count in (3, 1, 7, 0, 5)]
    spool = Spool((68, 2), most)
    assert [spool.add(part) for part in parts] == [0, 3, 4, 11, 11]
    values = spool.values()
    np.testing.assert_array_equal(values, np.concatenate(parts))
    assert isinstance(values, np.memmap) == (most < 16 * 544)


@pytest.mark.skipif(not FULL.exists(), reason="no /dev/full on this system")
@pytest.mark.parametrize("frames", [1, 1000])
def test_full_folder_for_temporary_files_is_named(monkeypatch, frames):
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: FULL.open("rb+", buffering=0))
    spool, folder = Spool((68, 2), 0), tempfile.gettempdir()
    with pytest.raises(StorageError, match=f"{folder}: No space .*free some space, or set TMPDIR"):
        spool.add(drawn(frames))
        spool.values()


def opened(path, rule: str, most: float, **options):
    return load.load_clips(path, FRAMES, rule, "synthetic", most=most, **options)


@pytest.mark.parametrize("rule", ["uniform", "middles", "windows", "apex_pieces"])
def test_clips_are_the_same_from_memory_and_file(prepared_crops, rule):
    target = {"target": "action_units"} if rule == "windows" else {}
    held = opened(prepared_crops, rule, np.inf, crop_size=0, **target)
    read = opened(prepared_crops, rule, 0, crop_size=0, **target)
    assert read.read_from_disk and not held.read_from_disk
    assert (read.clip_ids, read.kind, len(read)) == (held.clip_ids, held.kind, len(held))
    every = np.arange(len(held))
    for one, other in (
        (held.landmarks, read.landmarks),
        (held.crops.landmarks, read.crops.landmarks),
    ):
        assert other.shape == one.shape and other.on_disk
        np.testing.assert_array_equal(other[every], one[every])
    assert _fingerprint(read) == _fingerprint(held)  # a run may resume with another limit


@pytest.mark.parametrize(("most", "on_disk"), [(21 * CLIP, False), (21 * CLIP - 1, True)])
def test_limit_is_that_of_the_chosen_frames(prepared_crops, most, on_disk):
    clips = opened(prepared_crops, "uniform", most)
    assert len(clips) == 21 and clips.read_from_disk == on_disk


@pytest.mark.parametrize("hop", [1, 3, 6])
def test_batches_are_the_same_from_memory_and_file(prepared_crops, hop):
    held, read = (opened(prepared_crops, "uniform", most) for most in (np.inf, 0))
    indices = np.random.default_rng(0).integers(0, 21, (2, 6, 4))
    both = list(
        zip(batches(held, indices, None, hop), batches(read, indices, None, hop), strict=True)
    )
    assert len(both) == 6 // hop
    for one, other in both:
        assert one.keys() == other.keys() and type(other["landmarks"]) is np.ndarray
        for name in one:
            np.testing.assert_array_equal(one[name], other[name])


@pytest.mark.parametrize("rule", ["uniform", "windows"])
@pytest.mark.parametrize("rooms", [(0, 0), (np.inf, 0), (0, np.inf)])
def test_joined_datasets_stay_where_they_are(prepared_crops, rule, rooms):
    def joined(first, second):
        parts = [opened(prepared_crops, rule, room, crop_size=0) for room in (first, second)]
        return cross_database.join({"one": parts[0]}, ("two", parts[1]))

    held, read = joined(np.inf, np.inf), joined(*rooms)
    assert read.read_from_disk and not held.read_from_disk
    every = np.arange(len(held)).reshape(2, -1)
    assert len(set(held.splits)) == 2
    for one, other in (
        (held.landmarks, read.landmarks),
        (held.crops.landmarks, read.crops.landmarks),
    ):
        assert other.shape == one.shape and isinstance(other, crops.Joined)
        np.testing.assert_array_equal(other[every], one[every])
        np.testing.assert_array_equal(other[len(one) - 1], one[len(one) - 1])
    assert _fingerprint(read) == _fingerprint(held)


def test_spool_frees_parts_as_it_joins_them():
    spool, part = Spool((68, 2)), drawn(1000)
    tracemalloc.start()
    try:
        for _ in range(50):
            spool.add(part.copy())
        values = spool.values()
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 1.1 * values.nbytes  # the parts are gone
    assert peak < 2.1 * values.nbytes


@pytest.mark.skipif(not hasattr(mmap, "MADV_DONTNEED"), reason="no madvise on this system")
@pytest.mark.skipif(not STATUS.exists(), reason="no /proc on this system")
def test_what_was_read_is_not_held():
    """The pages of a file count as memory of the process until they are given back."""
    spool = Spool((68, 2), 0)
    for _ in range(50):
        spool.add(drawn(2000))
    shared = crops.Shared(spool.values(), np.arange(100_000).reshape(-1, 4))
    before = memory_of_files()
    for first in range(0, 25_000, 5000):
        assert len(shared[np.arange(first, first + 5000)]) == 5000
    assert memory_of_files() - before < 0.3 * shared.values.nbytes


def memory_of_files() -> int:
    """Bytes of files that are mapped into this process and in memory."""
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith("RssFile"))
    return 1024 * int(line.split()[1])


def test_models_of_landmarks_leave_those_of_crops_alone(prepared_crops, monkeypatch):
    kept = []
    monkeypatch.setattr(Spool, "add", lambda own, points: kept.append(points) or 0)
    monkeypatch.setattr(Spool, "values", lambda own: drawn(FRAMES))
    opened(prepared_crops, "uniform", np.inf)
    alone = len(kept)
    opened(prepared_crops, "uniform", np.inf, crop_size=0)
    assert (alone, len(kept)) == (21, 21 + 2 * 21)
