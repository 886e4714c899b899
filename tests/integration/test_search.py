"""The whole command for PST-BLN on tiny data: search, resume, training of the found network."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

import fer_jax
from configs import pstbln_synthetic
from fer_jax import systems
from fer_jax.compare.compare import load_config
from fer_jax.data import load
from fer_jax.experiments.workdir import WorkdirError
from fer_jax.training import epoch_log, loop
from tests.finished_runs import epochs_of, metrics_of, train, with_fields

EPOCHS, STAGES = 4, 4  # two layers of at most two blocks: always four stages
FIELDS = {
    "data.frames": 4, "model.subsets": 1, "model.kernel_size": 3, "train.epochs": 4,
    "train.batch_size": 8, "train.checkpoint_every_epochs": 2, "evaluation.mc_samples": 4,
    "optimizer.learning_rate": 0.02, "search.epochs": EPOCHS, "search.block_size": 2,
    "search.max_layers": 2, "search.max_blocks": 2,
}  # fmt: skip


def small_config(prepared, **fields):
    return with_fields(pstbln_synthetic.get_config(), prepared, FIELDS | fields)


def stages_of(workdir):
    """The rows of the stages, with their times."""
    return [json.loads(line) for line in (workdir / "search.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def whole(prepared, tmp_path_factory):
    """An uninterrupted search: its work directory and what it showed."""
    workdir = tmp_path_factory.mktemp("search")
    return workdir, train(small_config(prepared), workdir)[1]


def test_stages_are_logged_and_drawn(whole):
    workdir, shown = whole
    rows, table = stages_of(workdir), pd.read_csv(workdir / "search.csv")
    assert len(rows) == len(table) == STAGES + 1
    assert [row["stage"] for row in rows] == [1, 2, 3, 4, 5]
    assert rows[0]["topology"] == [2] and rows[1]["topology"] == [4]
    assert list(table["topology"])[:2] == ["2", "4"] and table["kept"][4] == table["topology"][4]
    assert rows[-1]["decision"] == "fine-tuned" and rows[-1]["topology"] == rows[-2]["kept"]
    epochs = epochs_of(workdir / "search")
    for row in rows[:-1]:
        own = [epoch for epoch in epochs if epoch["fold"] == f"stage{row['stage']:02d}"]
        assert [epoch["epoch"] for epoch in own] == list(range(1, EPOCHS + 1))
        assert row["loss"] == own[-1]["train_loss"]
        assert "evaluation_loss" not in own[-1]  # subjects held out take no part
        assert 0 < row["params_without_U"] < row["params_total"]
        assert row["seconds"] > 0 and row["compile_seconds"] > 0
        assert f"{row['loss']:.5f}" in shown
    assert rows[1]["alpha"] == (rows[0]["loss"] - rows[1]["loss"]) / rows[0]["loss"]
    report = (workdir / "report.md").read_text()
    found = "{" + ", ".join(map(str, rows[-1]["topology"])) + "}"
    assert f"topology **{found}**" in report and "figures/growth.png" in report
    assert sum(line.startswith(("| 1 |", "| 5 |")) for line in report.splitlines()) == 2
    assert (workdir / "figures" / "growth.png").stat().st_size > 1_000
    assert f"found {found}" in shown


def test_search_trains_on_training_split_and_scores_held_out_subjects(whole, prepared):
    workdir, shown = whole
    clips = load.load_clips(prepared, 4, "uniform")
    count = clips.splits.count("train")
    assert f"{count} training clips of holdout (of 42)" in " ".join(shown.split())
    table = pd.read_csv(workdir / "predictions.csv")
    evaluation = {n for n, s in zip(clips.clip_ids, clips.splits, strict=True) if s == "test"}
    assert set(table["clip"]) == evaluation
    assert [row["epoch"] for row in epochs_of(workdir)] == [1, 2, 3, 4]
    predictor = fer_jax.load_model(workdir / "model")
    assert list(predictor.module.widths) == stages_of(workdir)[-1]["topology"]
    indices = [clips.clip_ids.index(name) for name in table["clip"]]
    chosen = predictor.deterministic(clips.landmarks[indices]).argmax(-1)
    assert [clips.classes[k] for k in chosen] == list(table["predicted_recalibrated"])


@pytest.mark.usefixtures("no_figures")
def test_search_cut_in_a_stage_resumes_to_same_topology(whole, prepared, tmp_path, monkeypatch):
    config, (workdir, _) = small_config(prepared), whole
    write, calls = epoch_log.EpochLog.write, []

    def cut_short(log, row):
        calls.append(row)
        if len(calls) == EPOCHS + 3:  # in the second stage, after a checkpoint
            raise KeyboardInterrupt
        write(log, row)

    with monkeypatch.context() as patch:
        patch.setattr(epoch_log.EpochLog, "write", cut_short)
        with pytest.raises(KeyboardInterrupt):
            train(config, tmp_path)
    done = stages_of(tmp_path)
    assert len(done) == 1 and not (tmp_path / "metrics.json").exists()
    assert any((tmp_path / "checkpoints" / "stage02").iterdir())

    train(config, tmp_path)
    assert stages_of(tmp_path)[:1] == done  # not done again: the seconds are the old ones
    for file in ("search.jsonl", "search/metrics.jsonl", "metrics.jsonl"):
        assert epochs_of(tmp_path, file) == epochs_of(workdir, file)
    assert metrics_of(tmp_path) == metrics_of(workdir)
    ours, theirs = (folder / "predictions.csv" for folder in (tmp_path, workdir))
    assert ours.read_text() == theirs.read_text()


def test_finished_search_is_not_run_again(whole, prepared, tmp_path):
    workdir = shutil.copytree(whole[0], tmp_path / "run")
    kept = [workdir / "folds" / "holdout.npz", *sorted((workdir / "search").rglob("*.*"))]
    before = [path.stat().st_mtime_ns for path in kept], (workdir / "report.md").read_text()
    _, shown = train(small_config(prepared), workdir)
    assert "stage  5" in shown
    after = [path.stat().st_mtime_ns for path in kept], (workdir / "report.md").read_text()
    assert after[0] == before[0]
    assert after[1].replace(str(workdir), str(whole[0])) == before[1]


@pytest.mark.usefixtures("no_figures")
def test_found_config_trains(whole, tmp_path):
    workdir, shown = whole
    command = f"python run.py --config {workdir}/found.py"
    assert command in shown and command in (workdir / "report.md").read_text()
    config = load_config(str(workdir / "found.py"))
    config.train.epochs = 1
    train(config, tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["model"]["widths"] == stages_of(workdir)[-1]["topology"]
    assert config["name"] == "pstbln_synthetic_found" and not config["search"]["enabled"]
    assert not (tmp_path / "search.jsonl").exists()


def test_search_uses_first_fold_alone(prepared, tmp_path):
    fields = {"protocol.name": "subject_kfold", "protocol.folds": 3, "search.epochs": 1,
              "train.epochs": 1, "search.max_layers": 1, "search.max_blocks": 1}  # fmt: skip
    metrics, _ = train(small_config(prepared, **fields), tmp_path)
    table = pd.read_csv(tmp_path / "predictions.csv")
    assert metrics["clips_evaluated"] == len(table) == 14
    assert set(table["fold"]) == {"fold00"}
    text = (tmp_path / "found.py").read_text()
    assert "config.protocol.name = 'subject_kfold'" in text and "config.protocol.folds = 3" in text


ALL_FOLDS = {"protocol.name": "subject_kfold", "protocol.folds": 3, "search.folds": "all",
             "search.epochs": 2, "train.epochs": 2, "search.max_layers": 1}  # fmt: skip


@pytest.fixture(scope="module")
def everywhere(prepared, tmp_path_factory):
    """A search in every fold: its work directory, metrics and what it showed."""
    workdir = tmp_path_factory.mktemp("everywhere")
    return workdir, *train(small_config(prepared, **ALL_FOLDS), workdir)


def test_search_in_every_fold(everywhere, prepared):
    workdir, metrics, shown = everywhere
    rows, clips = stages_of(workdir), load.load_clips(prepared, 4, "uniform")
    names = [f"fold{n:02d}" for n in range(3)]
    assert list(dict.fromkeys(row["fold"] for row in rows)) == names
    table = pd.read_csv(workdir / "predictions.csv")
    assert sorted(table["clip"]) == sorted(clips.clip_ids)  # each evaluated once
    logged = {row["fold"]: row["train_loss"] for row in epochs_of(workdir / "search")}
    report, counts = (workdir / "report.md").read_text(), []
    for name in names:
        own = [row for row in rows if row["fold"] == name]
        assert [row["stage"] for row in own] == list(range(1, len(own) + 1))
        assert [row["decision"] == "fine-tuned" for row in own] == [False] * (len(own) - 1) + [True]
        assert own[0]["loss"] == logged[f"{name}_stage01"]
        found = "{" + ", ".join(map(str, own[-1]["topology"])) + "}"
        assert f"| {name} | {found} | {own[-1]['params_total']:,} |" in report
        assert (workdir / "figures" / f"{name}_growth.png").exists()
        counts.append(own[-1]["params_without_U"])
        assert metrics["search"]["folds"][name]["topology"] == own[-1]["topology"]
    assert len({row["loss"] for row in rows if row["stage"] == 1}) == 3  # other clips
    spread = metrics["search"]["params_without_U"]
    assert spread["mean"] == pytest.approx(np.mean(counts))
    assert spread["std"] == pytest.approx(np.std(counts))
    assert f"{np.mean(counts):,.0f} +- {np.std(counts):,.0f} without U" in report
    assert metrics["params_without_U"] == round(np.mean(counts))


def test_folds_share_compiled_programs(everywhere):
    rows = stages_of(everywhere[0])
    before = [row["compiled_before"] for row in rows]
    seen = set()
    for row, known in zip(rows, before, strict=True):  # search and fine-tuning are as long here
        assert known == (tuple(row["topology"]) in seen)
        seen.add(tuple(row["topology"]))
    assert everywhere[1]["search"]["stages_compiled_before"] == sum(before) >= len(rows) / 2


@pytest.mark.usefixtures("no_figures")
def test_search_cut_in_the_second_fold_resumes_there(everywhere, prepared, tmp_path, monkeypatch):
    workdir, metrics, _ = everywhere
    write, calls = epoch_log.EpochLog.write, []

    def cut_short(log, row):
        calls.append(row)
        if len(calls) == 2 * len(first) + 3:  # in the second stage of the second fold
            raise KeyboardInterrupt
        write(log, row)

    first = [row for row in stages_of(workdir) if row["fold"] == "fold00"]
    config = small_config(prepared, **ALL_FOLDS)
    with monkeypatch.context() as patch:
        patch.setattr(epoch_log.EpochLog, "write", cut_short)
        with pytest.raises(KeyboardInterrupt):
            train(config, tmp_path)
    done = stages_of(tmp_path)
    assert [row["fold"] for row in done] == ["fold00"] * len(first) + ["fold01"]
    kept = (tmp_path / "folds" / "fold00.npz").stat().st_mtime_ns

    again, _ = train(config, tmp_path)
    assert stages_of(tmp_path)[: len(done)] == done  # not done again: the seconds are the old ones
    assert (tmp_path / "folds" / "fold00.npz").stat().st_mtime_ns == kept
    assert again["inference_modes"] == metrics["inference_modes"]
    ours, theirs = (folder / "predictions.csv" for folder in (tmp_path, workdir))
    assert ours.read_text() == theirs.read_text()


def test_non_finite_loss_names_the_stage(prepared, tmp_path):
    config = small_config(prepared, **{"optimizer.learning_rate": 1e30, "search.epochs": 6})
    with pytest.raises(loop.NonFiniteLossError, match=r"stage 1 \{2\}: .* at step \d+ .stage01"):
        train(config, tmp_path)
    assert not any((tmp_path / name).exists() for name in ("search.jsonl", "metrics.json"))


def test_rows_of_another_search_are_refused(prepared, tmp_path):
    config = small_config(prepared, **{"search.epochs": 1, "train.epochs": 1})
    systems.prepare(config, tmp_path)
    numbers = dict.fromkeys(("loss", "seconds", "compile_seconds"), 1.0)
    numbers |= {"params_total": 9, "params_without_U": 9}
    row = {
        "fold": "holdout",
        "stage": 1,
        "topology": [3],
        "parent": [],
        "kept": [3],
        "decision": "new layer",
    }
    row |= numbers
    (tmp_path / "search.jsonl").write_text(json.dumps(row) + "\n")
    with pytest.raises(WorkdirError, match=r"has \{3\} in stage 1, .* trains \{2\}"):
        train(config, tmp_path)
    assert stages_of(tmp_path) == [row]
