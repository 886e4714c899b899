"""The log of epochs: torn and damaged lines, TensorBoard that fails."""

import json
import math
import os
import threading

import numpy as np
import pytest

from fer_jax.machine import FileError
from fer_jax.training.epoch_log import EpochLog, Events, Hook, read_history

ROWS = [{"epoch": epoch, "seconds": 1.0, "train_loss": 1 / epoch} for epoch in (1, 2, 3)]


def log_of(folder, fold="fold00", history=(), say=None, hook=None):
    return EpochLog(
        folder / "metrics.jsonl", folder / "tensorboard", fold, list(history), say, hook
    )


def test_log_keeps_the_rows_of_other_folds(tmp_path):
    for fold in ("a", "b"):
        log = log_of(tmp_path, fold)
        for row in ROWS:
            log.write(row)
        log.close()
    log_of(tmp_path, "a", ROWS[:1]).close()
    kept = [(row["fold"], row["epoch"]) for row in read_history(tmp_path / "metrics.jsonl")]
    assert kept == [("b", 1), ("b", 2), ("b", 3), ("a", 1)]


def test_torn_last_line_is_dropped(tmp_path):
    log = log_of(tmp_path, history=ROWS)
    log.close()
    file = tmp_path / "metrics.jsonl"
    whole = file.read_bytes()
    for end in range(len(whole) - 2, whole[:-1].rindex(b"\n"), -7):
        file.write_bytes(whole[:end])
        assert [row["epoch"] for row in read_history(file)] == [1, 2]


def test_score_that_is_not_there_is_null(tmp_path):
    log = log_of(tmp_path, history=[{**ROWS[0], "validation_ccc": math.nan}])
    log.write({**ROWS[1], "validation_ccc": math.nan})
    log.close()
    text = (tmp_path / "metrics.jsonl").read_text()
    assert text.count('"validation_ccc": null') == 2 and "NaN" not in text
    read = [row["validation_ccc"] for row in read_history(tmp_path / "metrics.jsonl")]
    assert np.isnan(read).tolist() == [True, True]


@pytest.mark.parametrize(
    "line",
    [b"garbage", b"[]", b"null", b"{}", b"\xff\xfe", b'{"fold": 1, "epoch": 1, "seconds": 1}', b"",
     b'{"fold": "a", "epoch": "1", "seconds": 1}', b'{"fold": "a", "epoch": 1, "seconds": []}',
     b"[" * 100_000],
)  # fmt: skip
def test_damaged_line_is_named(tmp_path, line):
    file = tmp_path / "metrics.jsonl"
    good = json.dumps({"fold": "a", **ROWS[0]}).encode()
    file.write_bytes(b"\n".join([good, line, good]))
    with pytest.raises(FileError, match=r"metrics.jsonl is damaged: line 2 is no row .* Remove"):
        read_history(file)


def test_tensorboard_that_fails_ends_no_run(tmp_path):
    said = []
    (tmp_path / "tensorboard").write_text("a file")
    log = log_of(tmp_path, say=said.append)
    for row in ROWS:
        log.write(row)
    log.close()
    assert len(said) == 1 and "TensorBoard shows no more of this run" in said[0]
    assert len(read_history(tmp_path / "metrics.jsonl")) == 3


def test_full_disk_ends_tensorboard_alone(tmp_path):
    said = []
    events = Events(tmp_path, 1, said.append)
    (file,) = tmp_path.iterdir()
    with open("/dev/full", "wb") as full:
        os.dup2(full.fileno(), events._writer._py_recordio_writer._writer.fileno())
    for row in ROWS:
        events.write(row["epoch"], {"train_loss": 0.5})
    events.close()
    assert len(said) == 1 and "No space left on device" in said[0] and "events" in file.name


def test_tensorboard_needs_no_thread(tmp_path):
    before = threading.active_count()
    log = log_of(tmp_path)
    log.write(ROWS[0])
    assert threading.active_count() == before
    log.close()


def test_tensorboard_reads_what_was_written(tmp_path):
    from tensorboardX.proto.event_pb2 import Event

    events = Events(tmp_path, 2)
    events.write(2, {"train_loss": 0.25, "train_accuracy": 0.5})
    events.close()
    (file,) = tmp_path.iterdir()
    data, found = file.read_bytes(), []
    while data:
        size = int.from_bytes(data[:8], "little")
        found.append(Event.FromString(data[12 : 12 + size]))
        data = data[16 + size :]
    assert found[0].file_version == "brain.Event:2" and found[1].step == 2
    values = {
        event.summary.value[0].tag: event.summary.value[0].simple_value for event in found[2:]
    }
    assert values == {"train_loss": 0.25, "train_accuracy": 0.5}
    assert {event.step for event in found[2:]} == {2} and "tfevents" in file.name


def test_hook_gets_every_new_row(tmp_path):
    rows = []
    log = log_of(tmp_path, history=ROWS[:1], hook=Hook(rows.append, print))
    for row in ROWS[1:]:
        log.write(row)
    log.close()
    assert rows == [{"fold": "fold00", **row} for row in ROWS[1:]]
    rows[0]["train_loss"] = "changed"
    assert read_history(tmp_path / "metrics.jsonl") == [{"fold": "fold00", **row} for row in ROWS]


def test_hook_that_fails_costs_a_line_and_no_row(tmp_path):
    said, called = [], []

    def fails(row):
        called.append(row)
        raise ConnectionError("no network\nsecond line")

    hook = Hook(fails, said.append)
    for fold in ("a", "b"):
        log = log_of(tmp_path, fold, hook=hook)
        for row in ROWS:
            log.write(row)
        log.close()
    assert len(called) == 1 and len(read_history(tmp_path / "metrics.jsonl")) == 6
    assert said == [
        "on_epoch failed (ConnectionError: no network): it gets no more rows of this run, which "
        "goes on"
    ]


def test_hook_that_is_interrupted_ends_the_run(tmp_path):
    def interrupts(row):
        raise KeyboardInterrupt

    log = log_of(tmp_path, hook=Hook(interrupts, print))
    with pytest.raises(KeyboardInterrupt):
        log.write(ROWS[0])
    log.close()
