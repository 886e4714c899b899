"""The prepared dataset: examples survive the round trip; nothing is overwritten by accident."""

import dataclasses
import functools
import json
import os
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest

from fer_jax.faces import crop
from fer_jax.faces.landmarks import ALIGNED, MEAN_FACE, centre, inner, load_graph
from fer_jax.faces.sequence import Sequence
from fer_jax.storage import damaged_file
from preprocess import store
from preprocess.clip import Clip, SourceError
from preprocess.workers.processes import Processes
from tests.official_trees import stored

CLASSES = ["Zorn, kalt", "日本語", "7", "a/b 'c\""]
REQUEST = {"dataset": "manifest", "source": "/data/list.csv", "options": {"song": False}}


def examples(count=9, units=None):
    rng = np.random.default_rng(0)
    for index in range(count):
        frames = 2 + index
        points = (100 + 40 * MEAN_FACE + rng.normal(0, 1, (frames, 68, 2))).astype(np.float32)
        detected = np.arange(frames) != 1
        points[~detected] = 0
        clip = Clip(
            clip_id=f"čłip {index}",
            subject=f"person/{index % 3}",
            label=CLASSES[index % 4],
            source=None,
            split=("train", "test", "other_set")[index % 3],
        )
        indices = np.arange(frames, dtype=np.int32) * 2
        more = None if units is None else rng.uniform(0, 1, (frames, units))
        yield clip, Sequence(points, detected, indices, 12.5, (640, 480), more)


def write(out, count=9, units=None, made=None, splits=("train", "test", "other_set"), **report):
    """Writes `examples`, or what `made` yields; `report` are further fields of report.json."""
    crop_size, workers = report.pop("crop_size", 0), report.pop("workers", None)
    store.write_dataset(
        out,
        loaded(made() if made else examples(count, units)),
        splits=splits,
        classes=CLASSES,
        action_units=None if units is None else [f"AU{n}" for n in range(units)],
        report={"request": REQUEST, **report},
        crop_size=crop_size,
        workers=workers,
    )


def loaded(pairs) -> list:
    """Clips, and functions that return their sequences."""
    return [(clip, lambda sequence=sequence: sequence) for clip, sequence in pairs]


def of_split(split):
    return lambda: (example for example in examples() if example[0].split == split)


def read(out) -> dict:
    tfds = pytest.importorskip("tensorflow_datasets")
    builder = tfds.builder_from_directory(out)
    return {split: list(builder.as_data_source(split=split)) for split in builder.info.splits}


@pytest.mark.parametrize("units", [None, 3])
def test_examples_survive_the_round_trip(tmp_path, units):
    write(tmp_path, units=units)
    splits = read(tmp_path)
    assert {name: len(rows) for name, rows in splits.items()} == {
        "train": 3, "test": 3, "other_set": 3,
    }  # fmt: skip
    stored = {row["clip_id"].decode(): (split, row) for split in splits for row in splits[split]}
    for clip, sequence in examples(units=units):
        split, row = stored[clip.clip_id]
        assert split == clip.split
        assert row["subject"].decode() == clip.subject
        assert CLASSES[row["label"]] == clip.label
        assert row["fps"] == np.float32(12.5)
        assert row["frame_size"].tolist() == [640, 480]
        np.testing.assert_array_equal(row["landmarks"], sequence.landmarks)
        np.testing.assert_array_equal(row["detected"], sequence.detected)
        np.testing.assert_array_equal(row["frame_index"], sequence.frame_index)
        assert row["landmarks"].dtype == np.float32
        if units:
            np.testing.assert_allclose(row["action_units"], sequence.action_units, rtol=1e-6)
        assert ("action_units" in row) == bool(units)


def with_crops(sequence: Sequence) -> Sequence:
    """Adds a "file" per frame, as long as its index, and landmarks in it."""
    files = [bytes([n]) * n if seen else b"" for n, seen in enumerate(sequence.detected)]
    packed, offsets = crop.pack(files)
    points = sequence.landmarks / 7
    return dataclasses.replace(sequence, crops=packed, crop_offsets=offsets, crop_landmarks=points)


def test_crops_survive_the_round_trip(tmp_path):
    write(
        tmp_path,
        made=lambda: ((clip, with_crops(sequence)) for clip, sequence in examples()),
        crop_size=64,
    )
    rows = {row["clip_id"].decode(): row for split in read(tmp_path).values() for row in split}
    for clip, plain in examples():
        row, sequence = rows[clip.clip_id], with_crops(plain)
        for name in ("crops", "crop_offsets", "crop_landmarks", "landmarks", "detected"):
            np.testing.assert_array_equal(row[name], getattr(sequence, name))
            assert row[name].dtype == getattr(sequence, name).dtype
        start, end = row["crop_offsets"][-2:]
        assert row["crops"][start:end].tolist() == [len(plain.detected) - 1] * (end - start)
    metadata = json.loads((tmp_path / "metadata.json").read_text())
    assert metadata["crop_size"] == 64
    assert metadata["framing"] == ALIGNED._asdict()


def test_class_and_unit_names_are_kept(tmp_path):
    tfds = pytest.importorskip("tensorflow_datasets")
    write(tmp_path, units=2)
    assert not [name for name in read(tmp_path)["train"][0] if "crop" in name]
    assert json.loads((tmp_path / "metadata.json").read_text())["crop_size"] == 0
    info = tfds.builder_from_directory(tmp_path).info
    assert info.features["label"].names == CLASSES
    assert info.metadata["action_units"] == ["AU0", "AU1"]
    assert info.metadata["dataset"] == "manifest"


def test_order_is_that_of_the_list_over_several_batches(tmp_path):
    write(tmp_path, count=200)
    ids = [row["clip_id"].decode() for row in read(tmp_path)["test"]]
    assert ids == [f"čłip {index}" for index in range(1, 200, 3)]


def test_graph_is_made_of_training_frames_with_a_face(tmp_path):
    write(tmp_path)
    frames = [
        centre(inner(sequence.landmarks[sequence.detected].astype(np.float64)))
        for clip, sequence in examples()
        if clip.split == "train"
    ]
    graph = load_graph(tmp_path / "graph.json")
    np.testing.assert_allclose(graph.reference_shape, np.concatenate(frames).mean(0), atol=1e-4)
    assert graph.mode == "clean"


def test_without_training_clips_the_graph_is_that_of_the_mean_face(tmp_path):
    write(tmp_path, made=of_split("test"), splits=["test"])
    graph = load_graph(tmp_path / "graph.json")
    np.testing.assert_allclose(graph.reference_shape, centre(inner(MEAN_FACE)), atol=1e-6)


def test_landmarks_that_make_no_face_are_refused(tmp_path):
    def flat():
        line = np.tile(np.arange(68, dtype=np.float32)[:, None], (1, 2))[None]
        clip = Clip("a", "p", CLASSES[0], None)
        yield clip, Sequence(line, np.ones(1, bool), np.zeros(1, np.int32), 25.0, (9, 9))

    with pytest.raises(SourceError, match="form no face"):
        write(tmp_path, made=flat, splits=["train"])
    assert list(tmp_path.iterdir()) == []


def test_failed_write_leaves_the_earlier_dataset(tmp_path, monkeypatch):
    write(tmp_path, note="first")

    def full():
        raise OSError("disk full")

    clips = [*loaded(examples())[:4], (next(examples())[0], full)]
    monkeypatch.setattr(sys.modules[__name__], "loaded", lambda pairs: clips)
    with pytest.raises(OSError, match="disk full"):
        write(tmp_path)
    assert len(read(tmp_path)["train"]) == 3
    assert store.read_report(tmp_path)["note"] == "first"
    assert not list(tmp_path.glob(".writing*"))


def test_smaller_dataset_leaves_nothing_of_the_larger(tmp_path):
    write(tmp_path, units=2)
    (tmp_path / "notes.txt").write_text("mine")
    write(tmp_path, made=of_split("train"), splits=["train"])
    assert list(read(tmp_path)) == ["train"]
    shards = [path.name for path in tmp_path.glob("*.array_record*")]
    assert shards == ["landmarks-train.array_record-00000"]
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_another_dataset_is_not_overwritten_without_the_flag(tmp_path):
    write(tmp_path)
    store.check_target(tmp_path, REQUEST, overwrite=False)
    other = {**REQUEST, "source": "/data/other.csv"}
    with pytest.raises(SourceError, match=r"prepared differently \(other source\).*--overwrite"):
        store.check_target(tmp_path, other, overwrite=False)
    store.check_target(tmp_path, other, overwrite=True)


def test_request_of_an_older_version_is_the_same_until_an_option_changes(tmp_path):
    write(tmp_path)  # its request has neither crop_size nor render
    plain = {**REQUEST, "options": {"song": False, "render": False}, "crop_size": 0}
    store.check_target(tmp_path, plain, overwrite=False)
    for more, name in (({"crop_size": 64}, "crop_size"), ({"options": {"render": 1}}, "options")):
        with pytest.raises(SourceError, match=rf"other {name}\).*--overwrite"):
            store.check_target(tmp_path, plain | more, overwrite=False)
    (tmp_path / "report.json").write_text(json.dumps({"request": {**REQUEST, "crop_size": 64}}))
    with pytest.raises(SourceError, match=r"other crop_size"):
        store.check_target(tmp_path, plain, overwrite=False)


def test_directory_with_other_things_is_not_used(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(SourceError, match=r"thesis\.tex"):
        store.check_target(tmp_path, REQUEST, overwrite=False)
    with pytest.raises(SourceError, match="is a file"):
        store.check_target(tmp_path / "thesis.tex", REQUEST, overwrite=True)
    store.check_target(tmp_path / "new", REQUEST, overwrite=False)


def test_reading_needs_no_tensorflow_torch_dlib_or_opencv(tmp_path):
    write(tmp_path)
    code = """
import sys
for name in ("torch", "dlib", "cv2"):
    sys.modules[name] = None
import tensorflow_datasets as tfds
rows = tfds.builder_from_directory(sys.argv[1]).as_data_source(split="train")
print(len(rows), rows[0]["landmarks"].shape[1:], "tensorflow" in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.split("\n")[0] == "3 (68, 2) False"


def sequence_of(index: int) -> Sequence:
    return list(examples())[index][1]


def die(index: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_shards_that_processes_write_are_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(store.shards, "_CLIPS", 2)
    pairs = [(clip, functools.partial(sequence_of, n)) for n, (clip, _) in enumerate(examples())]
    monkeypatch.setattr(sys.modules[__name__], "loaded", lambda _: pairs)
    for name, workers in (("one", None), ("two", Processes(2))):
        (tmp_path / name).mkdir()
        write(tmp_path / name, workers=workers)
    assert stored(tmp_path / "one") == stored(tmp_path / "two")
    for file in ("graph.json", "dataset_info.json", "features.json", "metadata.json"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
    assert damaged_file(tmp_path / "two", ["landmarks-train.array_record-00001"]) == ""

    pairs[0] = pairs[0][0], functools.partial(die, 0)
    with pytest.raises(SourceError, match="landmarks-train.array_record-00000 failed: it killed"):
        write(tmp_path / "two", workers=Processes(2))
    assert stored(tmp_path / "one") == stored(tmp_path / "two")


class Distant:
    """Workers whose files are seen late; one that was thought to be dead still writes."""

    def each(self, function, tasks):
        for task in tasks:
            shard = function(task)
            late = task.file.rename(task.file.with_name(f".late-{task.file.name}"))
            threading.Timer(0.5, late.rename, [task.file]).start()
            task.file.with_name(f".{task.file.name}.0123").write_bytes(b"half a shard")
            yield task, shard


def test_shards_of_other_machines_are_awaited_and_half_ones_left(tmp_path, monkeypatch):
    monkeypatch.setattr(store.shards, "_CLIPS", 2)
    for name, workers in (("one", None), ("two", Distant())):
        (tmp_path / name).mkdir()
        write(tmp_path / name, workers=workers)
    one, two = ({path.name for path in (tmp_path / name).iterdir()} for name in ("one", "two"))
    assert one == two
    assert stored(tmp_path / "one") == stored(tmp_path / "two")
    assert damaged_file(tmp_path / "two", [name for name in two if "array_record" in name]) == ""


def test_report_is_readable_text(tmp_path):
    write(tmp_path, clips=[{"clip_id": "čłip"}])
    text = (tmp_path / "report.json").read_text()
    assert "čłip" in text
    assert json.loads(text)["request"] == REQUEST
