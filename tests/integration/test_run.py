"""The whole command `run.py` on tiny data: train, stop, resume, refuse."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

import fer_jax
from fer_jax import systems
from fer_jax.commands.train import main
from fer_jax.data import crops, load
from fer_jax.experiments.setup import SetupError
from fer_jax.experiments.workdir import WorkdirError
from fer_jax.progress import Work
from fer_jax.training import epoch_log, parallel
from tests.conftest import ROOT
from tests.finished_runs import (
    CONFIGS,
    EPOCHS,
    assert_same_run,
    epochs_of,
    landmarks_config,
    metrics_of,
    train,
)


@pytest.fixture(scope="module")
def whole(finished_run):
    return finished_run("landmarks")


def arguments(prepared, workdir):
    """What the command is given to train the landmark run."""
    fields = {
        "data.path": prepared, "data.frames": 4, "model.widths": "(4, 4)", "train.epochs": EPOCHS,
        "train.batch_size": 8, "train.checkpoint_every_epochs": 1, "evaluation.mc_samples": 8,
        "optimizer.learning_rate": 0.02,
    }  # fmt: skip
    overrides = [f"--config.{name}={value}" for name, value in fields.items()]
    return ["--config", "configs/stbln_synthetic.py", "--workdir", str(workdir), *overrides]


def start(*arguments):
    """Starts the command in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "run.py", *arguments],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def wait_for_epochs(process, workdir, count):
    """Waits until `count` epochs are logged while the run goes on."""
    for _ in range(6000):
        if len(epochs_of(workdir)) >= count:
            break
        assert process.poll() is None, process.stdout.read()
        time.sleep(0.02)
    assert process.poll() is None, "the run was over before it could be stopped"


def test_run_writes_workdir(whole):
    files = ["config.json", "metrics.jsonl", "metrics.json", "predictions.csv", "report.md",
             "model/model.json", "model/weights.msgpack", "folds/holdout.npz"]  # fmt: skip
    for file in files:
        assert (whole.workdir / file).stat().st_size > 0, file
    expected = {"confusion", "learning", "mc_samples", "reliability", "risk_coverage"}
    assert expected | {"clip_least_certain"} <= whole.figures
    assert any((whole.workdir / "checkpoints" / "holdout").iterdir())
    assert list((whole.workdir / "tensorboard" / "holdout").glob("events.*"))
    assert not list(whole.workdir.rglob("*.partial*"))
    shown = " ".join(whole.shown.split())
    assert "42 clips, 6 subjects, 7 classes, 181 edges in memory (0.00 GiB), 4 frames" in shown
    assert "without graph matrices" in shown


def test_run_metrics_agree_with_table_report_and_log(whole):
    metrics, table = whole.metrics, whole.table
    clips = load.load_clips(whole.prepared, 4, "uniform")
    evaluated = zip(clips.clip_ids, clips.splits, strict=True)
    assert metrics["clips_evaluated"] == len(table) == clips.splits.count("test")
    assert set(table["clip"]) == {name for name, split in evaluated if split == "test"}
    assert set(metrics["inference_modes"]) == {"stored", "recalibrated", "mc_dropout"}
    for name, row in metrics["inference_modes"].items():
        accuracy = (table[f"predicted_{name}"] == table["label"]).mean()
        assert row["accuracy_pooled"] == pytest.approx(accuracy)
        assert f"{row['accuracy_pooled']:.4f}" in whole.report
        hits = table[f"predicted_{name}"] == table["label"]
        assert row["balanced_accuracy"] == pytest.approx(hits.groupby(table["label"]).mean().mean())
        assert f"{row['balanced_accuracy']:.4f}" in whole.report
    chances = table[[f"p_{name}" for name in clips.classes]].to_numpy()
    np.testing.assert_allclose(chances.sum(1), 1, atol=1e-3)
    assert metrics["selective"]["chosen_on"] == "validation"
    assert_trust_is_reported(whole)
    assert metrics["single_samples"]["mc_samples"] == 8
    rows = epochs_of(whole.workdir)
    assert [row["epoch"] for row in rows] == list(range(1, EPOCHS + 1))
    assert {"train_loss", "train_accuracy", "evaluation_accuracy"} <= set(rows[0])
    best = max(row["evaluation_accuracy"] for row in rows)
    assert metrics["best_epoch"]["accuracy_mean_of_folds"] == pytest.approx(best)


def assert_trust_is_reported(whole):
    """Calibration, sets and promise: the same numbers in metrics, table, report and bundle."""
    metrics, table, text = whole.metrics, whole.table, whole.report
    own, sets = metrics["calibration"], metrics["sets"]
    assert own["chosen_on"] == sets["chosen_on"] == "validation"
    assert set(own["modes"]) == {"mc_dropout", "recalibrated"}
    for row in own["modes"].values():
        assert row["people"] >= 1 and row["clips"] >= row["people"]
    held = [label in names.split("|") for label, names in table[["label", "set"]].to_numpy()]
    people = table.assign(held=held).groupby("subject")["held"].mean()
    assert sets["coverage"] == pytest.approx(people.mean())
    assert sets["worst_coverage"] == pytest.approx(people.min())
    assert f"{sets['coverage']:.1%} of the clips of a person" in text and "Not promised" in text
    sizes = table["set"].str.count(r"\|") + 1
    assert sets["sizes"] == np.bincount(sizes, minlength=len(sets["sizes"])).tolist()
    names = [name.removeprefix("calibrated_") for name in table if name.startswith("calibrated_")]
    likeliest = table[[f"calibrated_{name}" for name in names]].to_numpy().argmax(1)
    first = table["set"].str.split("|").str[0]
    assert first.tolist() == [names[index] for index in likeliest]
    trust = fer_jax.load_model(whole.bundle).trust
    assert trust.to_json()["sets"] == sets["bundle"]
    assert trust.to_json()["calibration"] == own["bundle"]
    assert trust.promise.people == metrics["selective"]["promise"]["people"]
    assert {"coverage", "set_sizes"} <= whole.figures
    said = "no threshold on the entropy reaches"
    if metrics["selective"]["threshold"] is not None:
        said = "No threshold can promise that target with 90% confidence"
    assert "AUGRC" in text and said in text


def test_bundle_repeats_predictions_of_run(whole):
    predictor = fer_jax.load_model(whole.bundle)
    clips = load.load_clips(whole.prepared, predictor.spec.frames, predictor.spec.frame_rule)
    assert predictor.classes == clips.classes
    table = whole.table
    indices = [clips.clip_ids.index(name) for name in table["clip"]]
    plain = predictor.deterministic(clips.landmarks[indices])
    assert [clips.classes[k] for k in plain.argmax(-1)] == list(table["predicted_recalibrated"])
    summary = predictor.predict(clips.landmarks[indices], mc_samples=8)
    assert np.abs(summary.mean - table[[f"p_{n}" for n in clips.classes]]).to_numpy().max() < 0.5


def test_command_killed_and_interrupted_resumes_to_same_numbers(
    whole, tmp_path, monkeypatch, capsys
):
    command = arguments(whole.prepared, tmp_path)
    process = start(*command)
    wait_for_epochs(process, tmp_path, 2)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    done = len(epochs_of(tmp_path))
    assert done < EPOCHS and not (tmp_path / "metrics.json").exists()

    streamed = "--config.data.in_memory_gb=0"  # reads the clips while training, resumed in between
    process = start(*command, streamed)
    wait_for_epochs(process, tmp_path, min(done + 2, EPOCHS - 1))
    process.send_signal(signal.SIGINT)
    shown, _ = process.communicate()
    assert process.returncode == 130
    assert "interrupted: the same command resumes from the last checkpoint" in shown
    assert "Traceback" not in shown and "edges read while training" in " ".join(shown.split())

    begun = len(epochs_of(tmp_path)) + 1  # what SIGINT ended was saved

    monkeypatch.chdir(ROOT)
    assert main(command) == 0
    shown = capsys.readouterr().out
    assert f"resumed: epoch {begun} done" in shown
    # Programs that two processes compile may round the last bit differently.
    ours, theirs = (pd.DataFrame(epochs_of(folder)) for folder in (tmp_path, whole.workdir))
    pd.testing.assert_frame_equal(ours, theirs, rtol=1e-5)
    ours, theirs = (pd.json_normalize(each) for each in (metrics_of(tmp_path), whole.metrics))
    pd.testing.assert_frame_equal(ours, theirs, rtol=1e-4)
    for row in whole.metrics["inference_modes"].values():
        assert f"{row['accuracy_mean_of_folds']:.4f}" in shown
    assert f"report: {tmp_path}/report.md" in shown
    ours, theirs = (pd.read_csv(folder / "predictions.csv") for folder in (tmp_path, whole.workdir))
    pd.testing.assert_frame_equal(ours, theirs, rtol=1e-3, atol=1e-4)


def test_finished_run_is_not_trained_again(whole, tmp_path):
    workdir = shutil.copytree(whole.workdir, tmp_path / "run")
    kept = [workdir / "folds" / "holdout.npz", workdir / "metrics.jsonl",
            next((workdir / "checkpoints" / "holdout").iterdir())]  # fmt: skip
    times = [path.stat().st_mtime_ns for path in kept]
    config = CONFIGS["landmarks"](whole.prepared)
    chosen = pd.read_csv(workdir / "predictions.csv")["clip"][2]
    config.evaluation.figure_clips = (chosen,)  # of the report alone
    _, shown = train(config, workdir)
    assert "done before" in shown
    assert [path.stat().st_mtime_ns for path in kept] == times
    assert metrics_of(workdir) == whole.metrics | {"figure_clips": [chosen]}
    assert (workdir / "figures" / "clip_chosen_1.png").stat().st_size > 1_000
    assert "figures/clip_chosen_1.png" in (workdir / "report.md").read_text()
    config.evaluation.figure_clips = ("nobody",)
    with pytest.raises(SetupError, match="nobody is no evaluated clip of .* called e.g. "):
        train(config, workdir)


def test_workdir_of_another_config_is_refused(prepared, tmp_path):
    systems.prepare(landmarks_config(prepared), tmp_path)
    systems.prepare(landmarks_config(prepared), tmp_path)
    other = landmarks_config(prepared, **{"optimizer.momentum": 0.5})
    with pytest.raises(WorkdirError) as caught:
        systems.prepare(other, tmp_path)
    assert "another config (optimizer.momentum: 0.9 there, 0.5 here)" in str(caught.value)
    assert "name another --workdir, or delete it" in str(caught.value)


def test_workdir_of_an_earlier_version_is_refused(prepared, tmp_path):
    """Its config has fields that were renamed since."""
    systems.prepare(landmarks_config(prepared), tmp_path)
    file = tmp_path / "config.json"
    config = json.loads(file.read_text())
    config["optimizer"]["drop_at"] = config["optimizer"].pop("lr_milestones")
    config["train"]["keep"] = config["train"].pop("select_checkpoint")
    file.write_text(json.dumps(config))
    with pytest.raises(WorkdirError) as caught:
        systems.prepare(landmarks_config(prepared), tmp_path)
    assert str(caught.value).endswith(
        "was written by an earlier version of fer_jax (its config has optimizer.drop_at, "
        "train.keep): name another --workdir, or delete it"
    )


REPEATED = {
    "protocol.name": "subject_kfold", "protocol.folds": 2, "protocol.repeats": 2,
    "train.checkpoint_every_epochs": 1, "model.widths": (4,),
}  # fmt: skip


@pytest.fixture(scope="module")
def repeated(prepared, tmp_path_factory):
    """Two repeats of two folds of subjects, side by side, and the run on all clips."""
    workdir = tmp_path_factory.mktemp("repeated")
    return workdir, *train(landmarks_config(prepared, **REPEATED), workdir)


def test_subject_folds_and_repeats_then_bundle_of_all_clips(repeated):
    workdir, metrics, _ = repeated
    row = metrics["inference_modes"]["mc_dropout"]
    assert metrics["clips_evaluated"] == 84 and len(row["accuracy_folds"]) == 4
    assert row["accuracy_mean_of_folds"] == pytest.approx(
        np.mean(list(row["accuracy_folds"].values()))
    )
    assert np.mean(row["accuracy_repeats"]) == pytest.approx(row["accuracy_mean_of_folds"])
    assert "2 repeats" in (workdir / "report.md").read_text()
    table = pd.read_csv(workdir / "predictions.csv")
    assert table["fold"].value_counts().eq(21).all()
    assert table.groupby("subject")["fold"].nunique().eq(2).all()  # one fold of each repeat
    assert {row["fold"] for row in epochs_of(workdir)} == {*table["fold"], "all"}
    assert metrics["selective"]["chosen_on"] == "the other folds"
    weights = (workdir / "folds" / "all.msgpack").read_bytes()
    assert (workdir / "model" / "weights.msgpack").read_bytes() == weights
    assert fer_jax.load_model(workdir / "model").spec.frames == 4


@pytest.mark.usefixtures("no_figures")
def test_runs_side_by_side_resume_when_their_logs_differ(repeated, prepared, tmp_path, monkeypatch):
    config, workdir = landmarks_config(prepared, **REPEATED), repeated[0]
    write, calls = epoch_log.EpochLog.write, []

    def cut_short(log, row):
        calls.append(row)
        if len(calls) == 8:  # five runs of two epochs: in the second, some logs behind the others
            raise KeyboardInterrupt
        write(log, row)

    with monkeypatch.context() as patch:
        patch.setattr(epoch_log.EpochLog, "write", cut_short)
        with pytest.raises(KeyboardInterrupt):
            train(config, tmp_path)
    train(config, tmp_path)
    assert metrics_of(tmp_path) == metrics_of(workdir)
    assert sorted(epochs_of(tmp_path), key=str) == sorted(epochs_of(workdir), key=str)


@pytest.mark.usefixtures("no_figures")
def test_runs_that_do_not_fit_in_memory_are_trained_in_groups(
    repeated, prepared, tmp_path, monkeypatch
):
    monkeypatch.setattr(parallel, "device_memory", lambda: 1)
    shown = Console(record=True, file=io.StringIO())
    systems.run(landmarks_config(prepared, **REPEATED), tmp_path, shown)
    assert metrics_of(tmp_path) == metrics_of(repeated[0])
    assert " to all" in repeated[2] and " to all" not in shown.export_text()


@pytest.mark.usefixtures("no_figures")
def test_landmarks_read_while_training_make_the_same_run(whole, prepared, tmp_path, monkeypatch):
    monkeypatch.setattr(crops, "STREAMED_CALL_BYTES", 1)
    config = CONFIGS["landmarks"](prepared)
    config.data.in_memory_gb = 0.0
    shown = Console(record=True, file=io.StringIO())
    systems.run(config, tmp_path, shown)
    assert " edges read while training (0.00 GiB)," in " ".join(shown.export_text().split())
    assert_same_run(tmp_path, metrics_of(tmp_path), whole)


def test_graph_of_the_reference(prepared, tmp_path):
    made = systems.prepare(landmarks_config(prepared, **{"data.graph": "reference"}), tmp_path)
    assert made.clips.graph.mode == "reference"
    assert len(made.clips.graph.edges) in range(297, 316)
    written = json.loads((tmp_path / "config.json").read_text())
    assert written["data"]["graph"] == "reference" and os.listdir(tmp_path) == ["config.json"]


def test_evaluation_counts_the_clips(prepared, tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr(
        Work, "update", lambda self, done=None, figures=None: shown.append(figures or "")
    )
    train(landmarks_config(prepared, **{"train.epochs": 1}), tmp_path)
    counts = [text.split()[1] for text in shown if text.startswith("evaluating ")]
    done, total = zip(*(map(int, each.split("/")) for each in counts), strict=True)
    table = pd.read_csv(tmp_path / "predictions.csv")
    assert len(set(total)) == 1 and done[-1] == total[0] >= len(table)
    assert list(done) == sorted(set(done)) and len(done) > 1
