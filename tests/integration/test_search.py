"""The whole command for PST-BLN on tiny data: search, kill, continue, retrain what was found."""

import io
import json
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
from configs import pstbln_synthetic
from fer_jax import systems
from fer_jax.data import load
from fer_jax.experiments import setup
from fer_jax.experiments.workdir import WorkdirError
from fer_jax.training import loop

ROOT = pathlib.Path(__file__).parents[2]
EPOCHS, STAGES = 20, 4  # two layers of at most two blocks: always four stages
FIELDS = {
    "data.frames": 4, "model.subsets": 1, "model.kernel_size": 3, "train.epochs": 4,
    "train.batch_size": 8, "train.checkpoint_epochs": 4, "evaluation.passes": 4,
    "optimizer.learning_rate": 0.02, "search.epochs": EPOCHS, "search.block_size": 2,
    "search.max_layers": 2, "search.max_blocks": 2,
}  # fmt: skip


def flags(prepared, workdir):
    fields = FIELDS | {"data.path": prepared}
    overrides = [f"--config.{name}={value}" for name, value in fields.items()]
    return ["--config", "configs/pstbln_synthetic.py", "--workdir", str(workdir), *overrides]


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
    config = pstbln_synthetic.get_config()
    config.update_from_flattened_dict(FIELDS | {"data.path": str(prepared)} | fields)
    return config


def rows_of(file):
    lines = file.read_text().splitlines() if file.exists() else []
    return [json.loads(line) for line in lines if line.endswith("}")]


def without_time(rows):
    timed = ("seconds", "compile_seconds", "clips_per_second", "waited_for_clips")
    return [{name: value for name, value in row.items() if name not in timed} for row in rows]


def wait_for_epochs(process, workdir, count):
    """Waits until the stages have logged `count` epochs in all while the search goes on."""
    for _ in range(6000):
        if len(rows_of(workdir / "search" / "metrics.jsonl")) >= count:
            break
        assert process.poll() is None, process.stdout.read()
        time.sleep(0.01)
    assert process.poll() is None, "the search was over before it could be stopped"


@pytest.fixture(scope="module")
def whole(prepared, tmp_path_factory):
    """An uninterrupted search: its work directory and what it showed."""
    workdir = tmp_path_factory.mktemp("searches") / "whole"
    code, shown = run(*flags(prepared, workdir))
    assert code == 0, shown
    return workdir, shown


def test_every_stage_is_logged_and_drawn(whole):
    workdir, shown = whole
    rows, table = rows_of(workdir / "search.jsonl"), pd.read_csv(workdir / "search.csv")
    assert len(rows) == len(table) == STAGES + 1
    assert [row["stage"] for row in rows] == [1, 2, 3, 4, 5]
    assert rows[0]["topology"] == [2] and rows[1]["topology"] == [4]
    assert list(table["topology"])[:2] == ["2", "4"] and table["kept"][4] == table["topology"][4]
    assert rows[-1]["decision"] == "fine-tuned" and rows[-1]["topology"] == rows[-2]["kept"]
    epochs = rows_of(workdir / "search" / "metrics.jsonl")
    for row in rows[:-1]:
        own = [epoch for epoch in epochs if epoch["fold"] == f"stage{row['stage']:02d}"]
        assert [epoch["epoch"] for epoch in own] == list(range(1, EPOCHS + 1))
        assert row["loss"] == own[-1]["train_loss"]
        assert "evaluation_loss" not in own[-1]  # held-out people take no part
        assert 0 < row["params_without_U"] < row["params_total"]
        assert row["seconds"] > 0 and row["compile_seconds"] > 0
        assert f"{row['loss']:.5f}" in shown
    assert rows[1]["alpha"] == (rows[0]["loss"] - rows[1]["loss"]) / rows[0]["loss"]
    report = (workdir / "report.md").read_text()
    found = "{" + ", ".join(map(str, rows[-1]["topology"])) + "}"
    assert f"topology **{found}**" in report and "figures/growth.png" in report
    assert sum(line.startswith(("| 1 |", "| 5 |")) for line in report.splitlines()) == 2
    assert (workdir / "figures" / "growth.png").stat().st_size > 10_000
    assert f"found {found}" in shown


def test_it_learns_from_the_training_split_and_is_scored_on_the_held_out(whole, prepared):
    workdir, shown = whole
    clips = load.load_clips(prepared, 4, "uniform")
    count = clips.splits.count("train")
    assert f"{count} training clips of holdout (of 42)" in " ".join(shown.split())
    table = pd.read_csv(workdir / "predictions.csv")
    held_out = {n for n, s in zip(clips.clip_ids, clips.splits, strict=True) if s == "test"}
    assert set(table["clip"]) == held_out
    assert [row["epoch"] for row in rows_of(workdir / "metrics.jsonl")] == [1, 2, 3, 4]
    predictor = fer_jax.load_model(workdir / "model")
    assert list(predictor.module.widths) == rows_of(workdir / "search.jsonl")[-1]["topology"]
    numbers = [clips.clip_ids.index(name) for name in table["clip"]]
    chosen = predictor.deterministic(clips.landmarks[numbers]).argmax(-1)
    assert [clips.classes[k] for k in chosen] == list(table["predicted_recalibrated"])


def test_killed_in_the_middle_of_a_stage_it_finds_the_same(whole, prepared, tmp_path):
    arguments = flags(prepared, tmp_path)
    process = start(*arguments)
    wait_for_epochs(process, tmp_path, EPOCHS + 6)  # in the second stage, after a checkpoint
    process.send_signal(signal.SIGKILL)
    process.communicate()
    done = rows_of(tmp_path / "search.jsonl")
    assert 1 <= len(done) < STAGES and not (tmp_path / "metrics.json").exists()
    assert any((tmp_path / "checkpoints" / f"stage{len(done) + 1:02d}").iterdir())

    code, shown = run(*arguments)
    assert code == 0, shown
    rows = rows_of(tmp_path / "search.jsonl")
    assert rows[: len(done)] == done  # not done again: the seconds are the old ones
    assert without_time(rows) == without_time(rows_of(whole[0] / "search.jsonl"))
    for file in ("search/metrics.jsonl", "metrics.jsonl"):
        assert without_time(rows_of(tmp_path / file)) == without_time(rows_of(whole[0] / file))
    ours, theirs = (
        json.loads((workdir / "metrics.json").read_text()) for workdir in (tmp_path, whole[0])
    )
    assert ours.pop("train_seconds") > 0 and theirs.pop("train_seconds") > 0
    assert ours == theirs
    table = (tmp_path / "predictions.csv").read_text()
    assert table == (whole[0] / "predictions.csv").read_text()


def test_a_finished_search_is_not_done_again(whole, prepared):
    workdir, _ = whole
    kept = [workdir / "folds" / "holdout.npz", *sorted((workdir / "search").rglob("*.*"))]
    before = [path.stat().st_mtime_ns for path in kept], (workdir / "report.md").read_text()
    console = Console(record=True, width=200, file=io.StringIO())
    systems.run(small_config(prepared), workdir, console)
    assert "stage  5" in console.export_text()
    after = [path.stat().st_mtime_ns for path in kept], (workdir / "report.md").read_text()
    assert after == before


def test_the_found_config_runs(whole, tmp_path):
    workdir, shown = whole
    command = f"python run.py --config {workdir}/found.py"
    assert command in shown and command in (workdir / "report.md").read_text()
    code, shown = run(*command.split()[2:], "--workdir", str(tmp_path), "--config.train.epochs=1")
    assert code == 0, shown
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["model"]["widths"] == rows_of(workdir / "search.jsonl")[-1]["topology"]
    assert config["name"] == "pstbln_synthetic_found" and not config["search"]["enabled"]
    assert not (tmp_path / "search.jsonl").exists()


def test_only_the_first_fold_is_learnt_from(prepared, tmp_path):
    fields = {"protocol.name": "subject_kfold", "protocol.folds": 3, "search.epochs": 1,
              "train.epochs": 1, "search.max_layers": 1, "search.max_blocks": 1}  # fmt: skip
    metrics = systems.run(small_config(prepared, **fields), tmp_path)
    table = pd.read_csv(tmp_path / "predictions.csv")
    assert metrics["clips_scored"] == len(table) == 14
    assert set(table["fold"]) == {"fold00"}
    text = (tmp_path / "found.py").read_text()
    assert "config.protocol.name = 'subject_kfold'" in text and "config.protocol.folds = 3" in text


def test_a_loss_that_is_no_number_names_the_stage(prepared, tmp_path):
    config = small_config(prepared, **{"optimizer.learning_rate": 1e30, "search.epochs": 6})
    with pytest.raises(loop.NonFiniteLossError, match=r"stage 1 \{2\}: .* at step \d+ .stage01"):
        systems.run(config, tmp_path)
    assert not (tmp_path / "search.jsonl").exists()


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("search.block_size", 0, "search.block_size=0: it must be 1 or more"),
        ("search.width_threshold", 0.0, "search.width_threshold=0.0: it must lie in 1e-12 to 1.0"),
        ("model.name", "st_gcn", "grows st_bln for classification, not st_gcn"),
    ],
)
def test_values_without_meaning_are_refused(prepared, tmp_path, field, value, message):
    with pytest.raises(setup.SetupError, match=message):
        systems.run(small_config(prepared, **{field: value}), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_rows_of_another_search_are_refused(prepared, tmp_path):
    config = small_config(prepared, **{"search.epochs": 1, "train.epochs": 1})
    systems.prepare(config, tmp_path)
    row = {"stage": 1, "topology": [3], "loss": 1.0}
    (tmp_path / "search.jsonl").write_text(json.dumps(row) + "\n")
    with pytest.raises(WorkdirError, match=r"of \{3\} in stage 1, .* trains \{2\}"):
        systems.run(config, tmp_path)
    assert np.array_equal(rows_of(tmp_path / "search.jsonl"), [row])
