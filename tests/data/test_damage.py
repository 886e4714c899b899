"""Damaged prepared data: refused in one line that names the file, never silently changed."""

import json
import os
import random
import shutil
import time

import numpy as np
import pytest

from fer_jax import hosts, storage
from fer_jax.data import load
from fer_jax.data.damage import _identity, check_record
from fer_jax.data.load import NotPreparedError


@pytest.fixture
def copy(prepared, tmp_path):
    """A copy of a prepared dataset that may be damaged."""
    folder = tmp_path / "copy"
    shutil.copytree(prepared, folder, ignore=shutil.ignore_patterns(".*"))
    return folder


def flip(file, rng) -> None:
    content = bytearray(file.read_bytes())
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    file.write_bytes(content)


def refused(path) -> str:
    with pytest.raises(NotPreparedError) as caught:
        load.load_clips(path, 4, "uniform", "synthetic")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_every_file_has_a_checksum(copy):
    sums = json.loads((copy / storage.CHECKSUMS).read_text())
    assert sums.keys() == {path.name for path in copy.iterdir()} - {storage.CHECKSUMS}
    assert {len(text) for text in sums.values()} == {64}


def test_flipped_bit_in_any_file_is_named(copy):
    rng = random.Random(0)
    for file in sorted(copy.iterdir()):
        whole = file.read_bytes()
        flip(file, rng)
        assert "prepare it again" in (message := refused(copy))
        assert str(file) in message or file.name == storage.CHECKSUMS
        file.write_bytes(whole[: len(whole) // 2])
        assert str(file) in refused(copy) or file.name == storage.CHECKSUMS
        if file.name not in ("dataset_info.json", storage.CHECKSUMS):
            file.unlink()
            assert f"{file} cannot be read" in refused(copy)
        file.write_bytes(whole)
    assert len(load.load_clips(copy, 4, "uniform")) == 42


def test_older_data_without_checksums_loads_with_a_note(copy, capsys):
    (copy / storage.CHECKSUMS).unlink()
    assert len(load.load_clips(copy, 4, "uniform")) == 42
    (note,) = capsys.readouterr().err.splitlines()
    assert note.startswith(f"note: {copy} has no checksums.json")


def as_process(monkeypatch, index: int, problems: list[str]) -> None:
    """Plays a process of several that see the same files; `problems` are what each finds."""

    def everyone(own):
        told = [[f"n{number}", problem] for number, problem in enumerate(problems)]
        told[index][1] = own[1]
        return told

    monkeypatch.setattr(hosts, "place_among_alike", lambda value: (index, len(problems)))
    monkeypatch.setattr(hosts, "everyone", everyone)


def test_processes_that_see_the_same_files_share_them(copy, monkeypatch):
    read, original = [], storage.checksum
    monkeypatch.setattr(storage, "checksum", lambda file: read.append(file) or original(file))
    counts = []
    for index in range(3):
        as_process(monkeypatch, index, [""] * 3)
        before = len(read)
        assert len(load.load_clips(copy, 4, "uniform")) == 42
        counts.append(len(read) - before)
    files = {path for path in copy.iterdir() if path.name != storage.CHECKSUMS}
    assert set(read) == files and len(read) == len(files)
    assert max(counts) - min(counts) <= 1


def test_damage_that_another_process_finds_is_learned(copy, monkeypatch):
    as_process(monkeypatch, 0, ["", "x is damaged", "y is damaged"])
    assert refused(copy).startswith("x is damaged (process 1 on n1): prepare it again")
    (copy / storage.CHECKSUMS).write_text("{}")
    for index in range(3):
        as_process(monkeypatch, index, [""] * 3)
        assert f"is damaged (it lacks dataset_info.json) (process {index} on n{index})" in refused(
            copy
        )


def test_copies_on_other_disks_are_told_apart(copy, prepared):
    here, there = (_identity(each / storage.CHECKSUMS) for each in (copy, prepared))
    (copy / "link").symlink_to(copy / storage.CHECKSUMS)
    assert here != there and here == _identity(copy / "link")
    assert _identity(copy / "nothing") == []


def test_copy_with_the_inode_and_the_time_of_the_original_is_another(copy):
    file = copy / storage.CHECKSUMS
    before, status = _identity(file), file.stat()
    time.sleep(0.05)  # the clock of a file system is a coarse one
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    now = file.stat()
    assert (now.st_ino, now.st_mtime_ns) == (status.st_ino, status.st_mtime_ns)
    assert _identity(file) != before


@pytest.mark.parametrize("text", ["{}", "[]", "null", "[" * 100_000, "\xff"])
def test_checksums_that_are_none_are_refused(copy, text):
    (copy / storage.CHECKSUMS).write_bytes(text.encode("latin1"))
    assert f"{copy / storage.CHECKSUMS} is damaged" in refused(copy)


@pytest.mark.parametrize("name", ["graph.json", storage.CHECKSUMS, "label.labels.txt"])
@pytest.mark.parametrize("kind", ["pipe", "device", "nothing"])
def test_files_that_are_none_are_refused(copy, name, kind):
    (copy / name).unlink()
    if kind == "pipe":
        os.mkfifo(copy / name)
    else:
        (copy / name).symlink_to("/dev/zero" if kind == "device" else "nowhere")
    assert f"{copy / name} is no regular file" in refused(copy)


def lose_a_class(folder):
    names = (folder / "label.labels.txt").read_text().splitlines()
    (folder / "label.labels.txt").write_text("\n".join(names[:-1]))
    (folder / "report.json").unlink()


def swap_two_classes(folder):
    names = (folder / "label.labels.txt").read_text().splitlines()
    (folder / "label.labels.txt").write_text("\n".join(names[1:2] + names[:1] + names[2:]))


def say_more_clips(folder):
    text = (folder / "dataset_info.json").read_text()
    (folder / "dataset_info.json").write_text(text.replace('"28"', '"27"'))


def truncate_records(folder):
    file = next(folder.glob("*train*"))
    file.write_bytes(file.read_bytes()[:-70_000])


def empty_graph(folder):
    (folder / "graph.json").write_text(json.dumps({"edges": []}))


def edit(name, field, value):
    """Makes what sets a field of a file; the graph's edges and shape: their first item."""

    def change(folder):
        content = json.loads((folder / name).read_text())
        if field in ("edges", "reference_shape"):
            content[field][0] = value
        else:
            content[field] = value
        (folder / name).write_text(json.dumps(content))

    return change


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lose_a_class, "names 6 classes"),
        (swap_two_classes, "names the classes disgust, anger"),
        (say_more_clips, "holds 28 clips, not 27"),
        (truncate_records, "cannot be read"),
        (empty_graph, "graph.json is not a landmark graph"),
        (edit("graph.json", "edges", [0, 51]), "nodes outside 0..50"),
        (edit("graph.json", "edges", [0.5, 1]), "its edges are no pairs"),
        (edit("graph.json", "edges", [3, 3]), "ends where it begins"),
        (edit("graph.json", "reference_shape", [np.nan, 0]), "its shape or its mode"),
        (edit("graph.json", "mode", "full"), "its shape or its mode"),
        (edit("metadata.json", "preprocess_version", "x"), "preprocess_version is 'x'"),
        (edit("metadata.json", "framing", [1]), "framing is [1]"),
    ],
)
def test_contradictions_of_older_data_are_refused(copy, damage, message):
    (copy / storage.CHECKSUMS).unlink()
    damage(copy)
    assert message in refused(copy)


def example(**changes):
    points = np.ones((3, 68, 2), np.float32)
    plain = {"clip_id": b"a", "label": 1, "detected": np.ones(3, bool), "landmarks": points}
    return plain | {"frame_index": np.arange(3)} | changes


def put(value):
    points = np.ones((3, 68, 2), np.float32)
    points[1, 5, 0] = value
    return {"landmarks": points}


NAMES = {"votes": ["joy", "fear"], "other_votes": ["NF"], "action_units": ["AU01", "AU02"]}


def labels(field, value):
    values = {
        "votes": np.array([3, 2], np.float32), "other_votes": np.zeros(1, np.float32),
        "action_units": np.array([[0, 1], [np.nan, 0.4], [1, 0]], np.float32),
    }  # fmt: skip
    values[field][..., -1] = value
    return values


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("votes", np.nan, "has nan in the column fear of votes"),
        ("votes", np.inf, "has inf in the column fear of votes"),
        ("votes", -1, "has -1 in the column fear of votes"),
        ("other_votes", np.nan, "has nan in the column NF of other_votes"),
        ("action_units", -np.inf, "has -inf in the column AU02 of action_units, frame 0"),
        ("action_units", 3, "has 3 in the column AU02 of action_units, frame 0"),
    ],
)
def test_impossible_labels_are_named_with_clip_and_column(tmp_path, field, value, message):
    check_record(example(**labels("action_units", np.nan)), 2, tmp_path, NAMES)  # unknown
    changed = example(**labels(field, value))
    with pytest.raises(NotPreparedError, match=f"clip a in {tmp_path} {message}.*: prepare it aga"):
        check_record(changed, 2, tmp_path, NAMES)
    with pytest.raises(NotPreparedError, match=r"in the column number \d of"):
        check_record(changed, 2, tmp_path)


@pytest.mark.parametrize("target", ["votes", "distribution", "label"])
def test_votes_that_are_none_are_refused_whatever_is_learnt(prepared_ferplus, monkeypatch, target):
    """A loss that is NaN would be all that tells, and names no column."""
    records = load.damage.Readable.__iter__

    def damaged(self):
        for index, record in enumerate(records(self)):
            votes = record["votes"].copy()
            votes[1] = np.nan if index == 1 else votes[1]
            yield {**record, "votes": votes}

    monkeypatch.setattr(load.damage.Readable, "__iter__", damaged)
    with pytest.raises(NotPreparedError, match="clip fer.* has nan in the column happiness of vot"):
        load.load_clips(prepared_ferplus, 1, "middles", "ferplus", 0, target=target)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label": 2}, "label 2, but .* names 2 classes"),
        ({"label": -1}, "label -1"),
        (put(np.nan), "impossible landmarks"),
        (put(np.inf), "impossible landmarks"),
        (put(1e30), "impossible landmarks"),
        ({"detected": np.ones(2, bool)}, "arrays of different length"),
    ],
)
def test_impossible_clip_is_named(tmp_path, changes, message):
    check_record(example(), 2, tmp_path)
    check_record(example(landmarks=np.full((3, 68, 2), np.nan)), 2, tmp_path)  # never searched for
    with pytest.raises(NotPreparedError, match=f"clip a .*{message}"):
        check_record(example(**changes), 2, tmp_path)
