"""python -m fer_jax.compare on tiny data: experiments are run once, tables and figure come out."""

import json
import shutil
import sys

import pandas as pd
import pytest

from configs import agcn, pstbln_synthetic
from fer_jax.commands.compare import main
from fer_jax.compare import compare
from fer_jax.experiments import configs
from tests.finished_runs import CONFIGS, landmarks_config, with_fields, write_config


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["compare", *map(str, arguments)])
    return main()


def small_agcn(prepared):
    return with_fields(agcn.get_config("synthetic"), prepared, {
        "data.frames": 4, "model.widths": (4,), "train.batch_size": 8, "train.epochs": 1,
        "evaluation.mc_samples": 4,
    })  # fmt: skip


def small_search(prepared):
    config = with_fields(pstbln_synthetic.get_config(), prepared, {
        "data.frames": 4, "train.batch_size": 8, "train.epochs": 1, "evaluation.mc_samples": 4,
        "search.epochs": 1, "search.block_size": 2, "search.max_layers": 1, "search.max_blocks": 1,
    })  # fmt: skip
    return config


@pytest.mark.usefixtures("no_figures")
def test_methods_are_run_measured_and_tabled(finished_run, tmp_path, monkeypatch, capsys):
    done = finished_run("landmarks")
    own = CONFIGS["landmarks"](done.prepared)
    runs, out = tmp_path / "runs", tmp_path / "out"
    trained = shutil.copytree(done.workdir, runs / own.name) / "metrics.jsonl"
    before = trained.stat().st_mtime_ns
    made = [own, small_agcn(done.prepared), small_search(done.prepared)]
    files = [write_config(tmp_path, config) for config in made]
    assert run(monkeypatch, *files, "--runs", runs, "--out", out) == 0
    assert "done before: holdout" in capsys.readouterr().out
    assert trained.stat().st_mtime_ns == before
    table = pd.read_csv(out / "compare.csv")
    methods = ["ST-BLN", "AGCN", "PST-BLN", "PST-BLN from scratch"]
    assert table["method"].tolist() == methods
    search = json.loads((runs / made[2].name / "metrics.json").read_text())
    tuned = search["inference_modes"]["stored"]["accuracy_mean_of_folds"]
    assert table["stored"][2] == pytest.approx(tuned)  # of the network that the search grew
    assert (table["params_total"] > table["params_without_graph"]).all()
    assert (table[["gflops", "ms", "train_seconds"]] > 0).all().all()
    assert table["ms_mcd"].isna().tolist() == [False, True, False, False]
    assert table["search_seconds"].isna().tolist() == [True, True, False, False]
    assert table["stored"].between(0, 1).all()
    accuracy = done.metrics["inference_modes"]["stored"]["accuracy_mean_of_folds"]
    assert table["stored"][0] == pytest.approx(accuracy)
    assert table["mc_dropout"].isna().tolist() == [False, True, False, False]
    report = (runs / made[1].name / "report.md").read_text()
    assert "no dropout" in report and "MC dropout" not in report
    text = (out / "compare.md").read_text()
    assert text.count("| synthetic |") == 4 and "| synthetic | PST-BLN {" in text
    assert "| synthetic | PST-BLN from scratch {" in text
    assert (out / "compare.png").stat().st_size > 1_000

    made[1].name = "lost"
    made[1].data.path = str(tmp_path / "nowhere")
    files[1] = write_config(tmp_path, made[1])
    assert run(monkeypatch, *files[:2], "--runs", runs, "--out", out) == 1
    assert "lost is left out: synthetic is not prepared" in capsys.readouterr().err
    assert pd.read_csv(out / "compare.csv")["method"].tolist() == ["ST-BLN"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "there is no config"),
        ("def get_config(", "cannot be loaded: '(' was never closed"),
        ("def get_config():\n    return missing\n", "cannot be loaded: name 'missing'"),
    ],
)
def test_config_that_cannot_be_loaded_is_named(tmp_path, monkeypatch, capsys, text, message):
    file = tmp_path / "broken.py"
    if text is not None:
        file.write_text(text)
    assert run(monkeypatch, file, "--out", tmp_path / "out") == 2
    shown = capsys.readouterr().err
    assert "broken.py" in shown and message in shown
    assert not (tmp_path / "out").exists()


def test_two_configs_of_one_name_are_refused(prepared, tmp_path, monkeypatch, capsys):
    config = write_config(tmp_path, landmarks_config(prepared))
    assert run(monkeypatch, config, config, "--out", tmp_path / "out") == 2
    assert "two methods are called stbln_synthetic" in capsys.readouterr().err


def test_config_with_a_wrong_value_is_an_error_of_usage(prepared, tmp_path, monkeypatch, capsys):
    config = landmarks_config(prepared)
    config.train.batch_size = 0
    file = write_config(tmp_path, config)
    assert run(monkeypatch, file, "--runs", tmp_path / "runs", "--out", tmp_path / "out") == 2
    shown = capsys.readouterr()
    assert "batch_size" in shown.out and "no experiment could be run" in shown.err


def test_table_that_cannot_be_written_is_one_line(finished_run, tmp_path, monkeypatch, capsys):
    done, out = finished_run("landmarks"), tmp_path / "out"
    out.write_text("a file")
    costs = {"gflops": 1.0, "ms": 1.0, "ms_mcd": 1.0}
    monkeypatch.setattr("fer_jax.compare.compare.measure", lambda predictor: costs)
    own = CONFIGS["landmarks"](done.prepared)
    shutil.copytree(done.workdir, tmp_path / "runs" / own.name)
    file = write_config(tmp_path, own)
    assert run(monkeypatch, file, "--runs", tmp_path / "runs", "--out", out) == 1
    assert f"{out}: File exists: a file is where a folder belongs" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "overrides", "paper", "note"),
    [
        ("stcnlstm_ckplus", [], None, "99.80 with 10 folds of clips, people shared"),
        ("stcnlstm_ckplus", ["protocol.name=by_sequence"], 99.8, ""),
        ("ir3d_cross:ckplus", [], None, "67.52 with trained on everyone of the other datasets"),
        ("ir3d_cross:ckplus", ["protocol.folds=0"], 67.52, ""),
        ("bilinear_ferplus:vgg16,global,va", [], 81.9, ""),
        ("stbln_buhmap", [], None, ""),
    ],
)
def test_a_published_figure_is_of_the_same_protocol(name, overrides, paper, note):
    row = compare._published(configs.load(name, overrides))
    assert row["paper_without_mcd"] == (paper and pytest.approx(paper))
    assert note in row["paper_note"] and bool(note) == bool(row["paper_note"])
