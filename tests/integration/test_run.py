"""The whole command `run.py` on tiny data: train, stop, continue, refuse."""

import io
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

import fer_jax
from configs import stbln_synthetic
from fer_jax import systems
from fer_jax.data import load
from fer_jax.experiments.workdir import WorkdirError
from fer_jax.training import epoch_log, loop, parallel

ROOT = pathlib.Path(__file__).parents[2]
EPOCHS = 30


def flags(prepared, workdir):
    fields = {
        "data.path": prepared, "data.frames": 4, "model.widths": "(4, 4)", "train.epochs": EPOCHS,
        "train.batch_size": 8, "train.checkpoint_epochs": 1, "evaluation.passes": 8,
        "optimizer.learning_rate": 0.02,
    }  # fmt: skip
    overrides = [f"--config.{name}={value}" for name, value in fields.items()]
    return ["--config", "configs/stbln_synthetic.py", "--workdir", str(workdir), *overrides]


def start(*arguments):
    return subprocess.Popen(
        [sys.executable, "run.py", *arguments],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def run(*arguments):
    process = start(*arguments)
    shown, _ = process.communicate(timeout=300)
    return process.returncode, shown


def small_config(prepared, **fields):
    config = stbln_synthetic.get_config()
    overrides = {
        "data.path": str(prepared), "data.frames": 4, "model.widths": (4, 4), "train.epochs": 2,
        "train.batch_size": 8, "evaluation.passes": 8,
    }  # fmt: skip
    config.update_from_flattened_dict(overrides | fields)
    return config


def rows_of(workdir):
    file = workdir / "metrics.jsonl"
    lines = file.read_text().splitlines() if file.exists() else []
    return [json.loads(line) for line in lines if line.endswith("}")]


def without_speed(rows):
    timed = ("clips_per_second", "seconds", "waited_for_clips")
    return [{k: v for k, v in row.items() if k not in timed} for row in rows]


def metrics_of(workdir):
    metrics = json.loads((workdir / "metrics.json").read_text())
    assert metrics.pop("train_seconds") > 0 and metrics.pop("train_memory_bytes") > 0
    return metrics


def wait_for_epochs(process, workdir, count):
    """Waits until `count` epochs are logged while the run goes on."""
    for _ in range(6000):
        if len(rows_of(workdir)) >= count:
            break
        assert process.poll() is None, process.stdout.read()
        time.sleep(0.02)
    assert process.poll() is None, "the run was over before it could be stopped"


@pytest.fixture(scope="module")
def whole(prepared, tmp_path_factory):
    """An uninterrupted run: its work directory and what it showed."""
    workdir = tmp_path_factory.mktemp("runs") / "whole"
    code, shown = run(*flags(prepared, workdir))
    assert code == 0, shown
    return workdir, shown


def test_a_run_leaves_everything_behind(whole):
    workdir, shown = whole
    files = ["config.json", "metrics.jsonl", "metrics.json", "predictions.csv", "report.md",
             "model/model.json", "model/weights.msgpack", "folds/holdout.npz"]  # fmt: skip
    for file in files:
        assert (workdir / file).stat().st_size > 0, file
    figures = {path.stem for path in (workdir / "figures").glob("*.png")}
    expected = {"confusion", "learning", "passes", "reliability", "risk_coverage"}
    assert expected | {"clip_least_certain"} <= figures
    assert any((workdir / "checkpoints" / "holdout").iterdir())
    assert list((workdir / "tensorboard" / "holdout").glob("events.*"))
    assert not list(workdir.rglob("*.partial*"))
    assert "42 clips, 6 subjects, 7 classes, 181 edges, 4 frames" in " ".join(shown.split())
    assert "without graph matrices" in " ".join(shown.split())
    assert f"report: {workdir}/report.md" in shown


def test_the_numbers_fit_together(whole, prepared):
    workdir, shown = whole
    metrics, table = metrics_of(workdir), pd.read_csv(workdir / "predictions.csv")
    clips = load.load_clips(prepared, 4, "uniform")
    assert metrics["clips_scored"] == len(table) == clips.splits.count("test")
    assert set(table["clip"]) == {
        name for name, split in zip(clips.clip_ids, clips.splits, strict=True) if split == "test"
    }
    assert set(metrics["readings"]) == {"stored", "recalibrated", "mc_dropout"}
    for name, row in metrics["readings"].items():
        accuracy = (table[f"predicted_{name}"] == table["label"]).mean()
        assert row["accuracy_pooled"] == pytest.approx(accuracy)
        assert f"{row['accuracy_mean_of_folds']:.4f}" in shown
        assert f"{row['accuracy_pooled']:.4f}" in (workdir / "report.md").read_text()
    chances = table[[f"p_{name}" for name in clips.classes]].to_numpy()
    np.testing.assert_allclose(chances.sum(1), 1, atol=1e-3)
    assert metrics["selective"]["chosen_on"] == "validation"
    assert metrics["single_pass"]["passes"] == 8
    rows = rows_of(workdir)
    assert [row["epoch"] for row in rows] == list(range(1, EPOCHS + 1))
    assert {"train_loss", "train_accuracy", "evaluation_accuracy"} <= set(rows[0])
    best = max(row["evaluation_accuracy"] for row in rows)
    assert metrics["best_epoch"]["accuracy_mean_of_folds"] == pytest.approx(best)


def test_the_bundle_predicts_as_the_run_did(whole, prepared):
    workdir, _ = whole
    predictor = fer_jax.load_model(workdir / "model")
    clips = load.load_clips(prepared, predictor.frames, predictor.frame_rule)
    assert predictor.classes == clips.classes
    table = pd.read_csv(workdir / "predictions.csv")
    numbers = [clips.clip_ids.index(name) for name in table["clip"]]
    plain = predictor.deterministic(clips.landmarks[numbers])
    assert [clips.classes[k] for k in plain.argmax(-1)] == list(table["predicted_recalibrated"])
    summary = predictor.predict(clips.landmarks[numbers], passes=8)
    assert np.abs(summary.mean - table[[f"p_{n}" for n in clips.classes]]).to_numpy().max() < 0.5


def test_every_figure_of_the_report_exists(whole):
    workdir, _ = whole
    text = (workdir / "report.md").read_text()
    named = [line.split("](")[1].rstrip(")") for line in text.splitlines() if line[:2] == "!["]
    assert len(named) >= 6
    for file in named:
        assert (workdir / file).exists(), file


def test_killed_and_interrupted_it_ends_with_the_same_numbers(whole, prepared, tmp_path):
    arguments = flags(prepared, tmp_path)
    process = start(*arguments)
    wait_for_epochs(process, tmp_path, 2)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    done = len(rows_of(tmp_path))
    assert done < EPOCHS and not (tmp_path / "metrics.json").exists()

    process = start(*arguments)
    wait_for_epochs(process, tmp_path, min(done + 2, EPOCHS - 1))
    process.send_signal(signal.SIGINT)
    shown, _ = process.communicate()
    assert process.returncode == 1
    assert "interrupted: the same command continues from the last checkpoint" in shown
    assert "Traceback" not in shown

    code, shown = run(*arguments)
    assert code == 0, shown
    assert without_speed(rows_of(tmp_path)) == without_speed(rows_of(whole[0]))
    assert metrics_of(tmp_path) == metrics_of(whole[0])
    table = (tmp_path / "predictions.csv").read_text()
    assert table == (whole[0] / "predictions.csv").read_text()


def test_a_finished_run_is_not_done_again(whole, prepared):
    workdir, _ = whole
    before = metrics_of(workdir)
    kept = [workdir / "folds" / "holdout.npz", workdir / "metrics.jsonl",
            next((workdir / "checkpoints" / "holdout").iterdir())]  # fmt: skip
    times = [path.stat().st_mtime_ns for path in kept]
    code, shown = run(*flags(prepared, workdir))
    assert code == 0 and "done before" in shown
    assert [path.stat().st_mtime_ns for path in kept] == times
    assert metrics_of(workdir) == before


def test_another_config_in_the_same_place_is_refused(prepared, tmp_path):
    systems.prepare(small_config(prepared), tmp_path)
    systems.prepare(small_config(prepared), tmp_path)
    other = small_config(prepared, **{"optimizer.momentum": 0.5})
    with pytest.raises(WorkdirError) as caught:
        systems.prepare(other, tmp_path)
    assert "another config (optimizer.momentum: 0.9 there, 0.5 here)" in str(caught.value)
    assert "name another --workdir, or delete it" in str(caught.value)


def test_subject_folds_then_a_bundle_of_all(prepared, tmp_path):
    config = small_config(
        prepared, **{"protocol.name": "subject_kfold", "protocol.folds": 3, "train.epochs": 1}
    )
    metrics = systems.run(config, tmp_path)
    table = pd.read_csv(tmp_path / "predictions.csv")
    assert metrics["clips_scored"] == len(table) == 42
    assert table.groupby("subject")["fold"].nunique().eq(1).all()
    assert table["fold"].value_counts().to_dict() == {"fold00": 14, "fold01": 14, "fold02": 14}
    row = metrics["readings"]["stored"]
    assert row["accuracy_mean_of_folds"] == pytest.approx(np.mean(list(
        row["accuracy_folds"].values())))  # fmt: skip
    assert {r["fold"] for r in rows_of(tmp_path)} == {"fold00", "fold01", "fold02", "all"}
    assert metrics["selective"]["chosen_on"] == "the other folds"
    weights = (tmp_path / "folds" / "all.msgpack").read_bytes()
    assert (tmp_path / "model" / "weights.msgpack").read_bytes() == weights
    assert fer_jax.load_model(tmp_path / "model").frames == 4


def test_repeated_folds_interrupted_end_with_the_same_numbers(prepared, tmp_path, monkeypatch):
    config = small_config(
        prepared,
        **{"protocol.name": "subject_kfold", "protocol.folds": 2, "protocol.repeats": 2,
           "train.epochs": 2, "train.checkpoint_epochs": 1},
    )  # fmt: skip
    systems.run(config, tmp_path / "whole")
    metrics = metrics_of(tmp_path / "whole")
    row = metrics["readings"]["mc_dropout"]
    assert metrics["clips_scored"] == 84 and len(row["accuracy_folds"]) == 4
    assert np.mean(row["accuracy_repeats"]) == pytest.approx(row["accuracy_mean_of_folds"])
    assert "2 repeats:" in (tmp_path / "whole" / "report.md").read_text()

    write, calls = epoch_log.EpochLog.write, []

    def cut_short(log, row):
        calls.append(row)
        if len(calls) == 8:  # five runs of two epochs: in the second, some logs behind the others
            raise KeyboardInterrupt
        write(log, row)

    monkeypatch.setattr(epoch_log.EpochLog, "write", cut_short)
    with pytest.raises(KeyboardInterrupt):
        systems.run(config, tmp_path / "cut")
    monkeypatch.undo()
    systems.run(config, tmp_path / "cut")
    assert metrics_of(tmp_path / "cut") == metrics
    rows = sorted(without_speed(rows_of(tmp_path / "cut")), key=str)
    assert rows == sorted(without_speed(rows_of(tmp_path / "whole")), key=str)


def test_runs_that_do_not_fit_the_memory_are_trained_in_groups(prepared, tmp_path, monkeypatch):
    config = small_config(
        prepared, **{"protocol.name": "subject_kfold", "protocol.folds": 3, "train.epochs": 1}
    )
    shown = Console(record=True, file=io.StringIO())
    systems.run(config, tmp_path / "together", shown)
    monkeypatch.setattr(parallel, "device_memory", lambda: 1)
    systems.run(config, tmp_path / "alone", shown)
    assert metrics_of(tmp_path / "alone") == metrics_of(tmp_path / "together")
    text = shown.export_text()
    assert "fold00 to all" in text and "fold01 " in text


def test_a_loss_that_is_no_number_stops_the_run(prepared, tmp_path):
    config = small_config(prepared, **{"optimizer.learning_rate": 1e30, "train.epochs": 6})
    with pytest.raises(loop.NonFiniteLossError, match=r"at step \d+ .holdout, epoch \d, batch"):
        systems.run(config, tmp_path)
    assert not (tmp_path / "metrics.json").exists()


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("model.name", "st_gcn_x", r"model 'st_gcn_x' is unknown: use one of \[.*'st_bln'"),
        ("task", "ranking", "task 'ranking' is unknown"),
        ("data.graph", "dense", "graph mode 'dense' is unknown"),
        ("data.features", "flow", "features 'flow' are unknown"),
        ("data.frame_rule", "random", "frame rule 'random' is unknown"),
        ("protocol.name", "bootstrap", "protocol 'bootstrap' is unknown"),
        ("optimizer.schedule", "step", "schedule 'step' is unknown"),
        ("model.u_init", "ones", "u_init is one of"),
        ("model.dropout_place", "middle", "dropout_place is"),
        ("model.widths", (4, 0), "give the positive width of every layer"),
        ("train.epochs", 0, "config.train.epochs=0: it must be 1 or more"),
        ("evaluation.passes", -1, "config.evaluation.passes=-1: it must be 1 or more"),
    ],
)
def test_values_that_do_not_exist_leave_nothing_behind(prepared, tmp_path, field, value, message):
    with pytest.raises(ValueError, match=message):
        systems.run(small_config(prepared, **{field: value}), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_reference_graph_can_be_chosen(prepared, tmp_path):
    made = systems.prepare(small_config(prepared, **{"data.graph": "reference"}), tmp_path)
    assert made.clips.graph.mode == "reference"
    assert len(made.clips.graph.edges) in range(297, 316)
    written = json.loads((tmp_path / "config.json").read_text())
    assert written["data"]["graph"] == "reference" and os.listdir(tmp_path) == ["config.json"]
