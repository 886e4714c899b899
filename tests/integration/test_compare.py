"""python -m fer_jax.compare on tiny data: experiments are run once, tables and figure come out."""

import sys

import pandas as pd
import pytest

from fer_jax.compare.compare import main
from fer_jax.tasks import published

CONFIG = """
from configs import {module} as experiment


def get_config(dataset="synthetic"):
    config = experiment.get_config({arguments})
    config.name = {name!r}
    config.method = {method!r}
    config.data.path = {path!r}
    config.data.frames = 4
    config.model.widths = (4, 6)
    config.train.batch_size = 8
    config.train.epochs = 2
    config.evaluation.passes = 4
    config.search.enabled = {search}
    config.search.epochs = 2
    config.search.block_size = 2
    config.search.max_layers = 1
    config.search.max_blocks = 2
    return config
"""


METHODS = {
    ("stbln_synthetic", False): "ST-BLN",
    ("stbln_synthetic", True): "PST-BLN",
    ("agcn", False): "AGCN",
    ("stgcn", False): "ST-GCN",
}


def write_config(folder, prepared, name, module, arguments="", search=False):
    text = CONFIG.format(
        name=name,
        method=METHODS[module, search],
        module=module,
        arguments=arguments,
        path=str(prepared),
        search=search,
    )
    (folder / f"{name}.py").write_text(text)
    return str(folder / f"{name}.py")


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["compare", *map(str, arguments)])
    main()


def test_methods_are_run_measured_and_tabled(prepared, tmp_path, monkeypatch, capsys):
    configs = [
        write_config(tmp_path, prepared, "bln", "stbln_synthetic"),
        write_config(tmp_path, prepared, "gcn", "agcn", "dataset") + ":synthetic",
        write_config(tmp_path, prepared, "pst", "stbln_synthetic", search=True),
    ]
    command = (*configs, "--runs", tmp_path / "runs", "--out", tmp_path / "out")
    run(monkeypatch, *command)
    table = pd.read_csv(tmp_path / "out" / "compare.csv")
    assert table["method"].tolist() == ["ST-BLN", "AGCN", "PST-BLN"]
    assert (table["params_total"] > table["params_without_graph"]).all()
    assert (table[["gflops", "ms", "train_seconds"]] > 0).all().all()
    assert table["ms_mcd"].isna().tolist() == [False, True, False]
    assert table["search_seconds"].isna().tolist() == [True, True, False]
    assert table["stored"].between(0, 1).all()
    assert table["mc_dropout"].isna().tolist() == [False, True, False]
    report = (tmp_path / "runs" / "gcn" / "report.md").read_text()
    assert "no dropout" in report and "MC dropout" not in report
    text = (tmp_path / "out" / "compare.md").read_text()
    assert text.count("| synthetic |") == 3 and "| synthetic | PST-BLN {" in text
    assert (tmp_path / "out" / "compare.png").stat().st_size > 10_000
    trained = (tmp_path / "runs" / "bln" / "metrics.jsonl").stat().st_mtime_ns
    capsys.readouterr()
    run(monkeypatch, *command)
    assert "done before: holdout" in capsys.readouterr().out
    assert (tmp_path / "runs" / "bln" / "metrics.jsonl").stat().st_mtime_ns == trained
    again = pd.read_csv(tmp_path / "out" / "compare.csv")
    pd.testing.assert_series_equal(again["stored"], table["stored"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "there is no config"),
        ("def get_config(", "cannot be loaded: '(' was never closed"),
        ("def get_config():\n    return missing\n", "cannot be loaded: name 'missing'"),
    ],
)
def test_a_config_that_cannot_be_loaded_is_named(tmp_path, monkeypatch, text, message):
    file = tmp_path / "broken.py"
    if text is not None:
        file.write_text(text)
    with pytest.raises(SystemExit) as caught:
        run(monkeypatch, file, "--out", tmp_path / "out")
    assert "broken.py" in str(caught.value) and message in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_what_cannot_be_run_is_left_out_and_told(prepared, tmp_path, monkeypatch):
    configs = [
        write_config(tmp_path, tmp_path / "nowhere", "lost", "stbln_synthetic"),
        write_config(tmp_path, prepared, "gcn", "stgcn", "dataset") + ":synthetic",
    ]
    with pytest.raises(SystemExit, match="lost is left out: synthetic is not prepared"):
        run(monkeypatch, *configs, "--runs", tmp_path / "runs", "--out", tmp_path / "out")
    assert pd.read_csv(tmp_path / "out" / "compare.csv")["method"].tolist() == ["ST-GCN"]


def test_two_experiments_of_one_name_are_refused(prepared, tmp_path, monkeypatch):
    config = write_config(tmp_path, prepared, "bln", "stbln_synthetic")
    with pytest.raises(SystemExit, match="two configs are called bln"):
        run(monkeypatch, config, config, "--out", tmp_path / "out")


def test_published_accuracies():
    assert published.accuracy("PST-BLN", "oulu") == (79.79, 78.74)
    assert published.accuracy("ST-GCN", "afew") == (None, 28.17)
    assert published.accuracy("ST-BLN", "buhmap") == (None, None)
