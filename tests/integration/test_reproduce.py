"""`fer-jax reproduce` as a whole, on miniatures of the official trees."""

import json
import shutil

import pandas as pd
import pytest

from fer_jax.commands.reproduce import main
from fer_jax.experiments import configs
from fer_jax.experiments.workdir import recorded
from fer_jax.papers import PAPERS
from fer_jax.papers.paper import PaperTable
from fer_jax.reproduce import reproduce
from tests import miniatures
from tests.test_tables import cells_of

TRAINED = ("stgcn:oulu",)  # really; the other experiments are copies of finished runs


@pytest.fixture
def trained(finished_run, monkeypatch):
    """Trains the experiments of `TRAINED`; gives the others the files of a run of their kind."""
    really = reproduce.execute

    def execute(experiment, console):
        if experiment.run.config in TRAINED:
            return really(experiment, console)
        config = experiment.config
        kind = "crops" if config.data.crop_size else "landmarks"
        kind = {"action_units": "action_units", "dimensional": "dimensions"}.get(config.task, kind)
        workdir = experiment.workdir
        shutil.copytree(finished_run(kind).workdir, workdir.path)
        own = recorded(config) | {"data_fingerprint": "0"}
        workdir.config.write_text(json.dumps(own, default=list))
        experiment.forget_state()
        return ""

    monkeypatch.setattr(reproduce, "execute", execute)


@pytest.fixture
def prepared_everywhere(tmp_path, monkeypatch):
    pytest.importorskip("dlib")
    miniatures.write_all(tmp_path / "trees")
    miniatures.prepare_all(tmp_path / "trees", tmp_path / "data")
    monkeypatch.chdir(tmp_path)


def test_all_tables_of_all_papers(prepared_everywhere, trained, tmp_path, capsys):
    for paper in PAPERS.values():
        assert main([paper.key, *fields_of(run for item in paper.items for run in item.runs)]) == 0
    shown = capsys.readouterr().out
    assert "missing:" not in shown and "st_bln table3: " in shown
    out = tmp_path / "runs/reproduce"
    for paper in PAPERS.values():
        for item in paper.items:
            if not isinstance(item, PaperTable):
                continue
            rows = pd.read_csv(
                out / paper.key / f"{item.key}.csv", dtype=str, keep_default_na=False
            )
            printed = [row.texts for row in item.rows]
            kept = rows[~rows.iloc[:, 0].isin(["ours", "difference"])]
            assert [tuple(row[: len(item.columns)]) for row in kept.to_numpy()] == printed
            assert (rows.iloc[:, 0] == "ours").sum() == sum(bool(row.ours) for row in item.rows)
            cells = cells_of((out / paper.key / f"{item.key}.tex").read_text())
            assert len(cells) == len(rows) + 1
    table = (out / "st_bln/table2.md").read_text()
    assert "10 folds of people in the paper" in table or "10 folds of people there" in table
    assert "12 clips of 2 people, 2 folds of people" in table
    assert "changed: train.epochs=1" in table
    counts = (out / "stc_nlstm/table1.md").read_text()
    assert "| ours | 2 | 2 | 2 | 2 | 2 | 2 | 12 |" in counts  # nothing is trained for it
    assert main(["bilinear_cnn", "figure4"]) == 0
    assert (out / "bilinear_cnn/figure4.pdf").exists()
    before = {file: file.stat().st_mtime_ns for file in tmp_path.rglob("metrics.json")}
    assert main(["st_bln", "table2", *fields_of(PAPERS["st_bln"].item("table2").runs)]) == 0
    assert before == {file: file.stat().st_mtime_ns for file in tmp_path.rglob("metrics.json")}


def fields_of(runs) -> list[str]:
    """The fields that make experiments tiny, those that any of these experiments has."""
    loaded = [configs.load(run.config) for run in dict.fromkeys(runs)]
    return [
        f"--config.{text}"
        for text in miniatures.TINY
        if any(configs.has_field(config, text.partition("=")[0]) for config in loaded)
    ]
