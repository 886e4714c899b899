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

TRAINED = ("stgcn:oulu",)  # really; the other experiments get the results of finished runs
LEFT = ("config.json", "metrics.json", "predictions.csv", "model/model.json")
# Figures that need the weights of a run of their own, see tests/reproduce/test_figures.py.
OF_WEIGHTS = {
    "sample_accuracies", "class_distributions", "feature_maps", "layer_maps", "landmark_filters",
    "intensity_weights",
}  # fmt: skip
ITEMS = [
    (paper, item)
    for paper in PAPERS.values()
    for item in paper.items
    if isinstance(item, PaperTable) or item.drawing not in OF_WEIGHTS
]


@pytest.fixture
def trained(finished_run, monkeypatch):
    """Trains the experiments of `TRAINED`; gives the others the results of a run of their task."""
    really, asked = reproduce.execute, []

    def execute(experiment, console):
        asked.append(experiment.run)
        if experiment.run.config in TRAINED:
            return really(experiment, console)
        config = experiment.config
        kinds = {"action_units": "action_units", "dimensional": "dimensions"}
        kind = kinds.get(config.task, "landmarks")
        for name in LEFT:
            file = experiment.workdir.path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(finished_run(kind).workdir / name, file)
        own = recorded(config) | {"data_fingerprint": "0"}
        experiment.workdir.config.write_text(json.dumps(own, default=list))
        experiment.forget_state()
        return ""

    monkeypatch.setattr(reproduce, "execute", execute)
    return asked


@pytest.fixture
def prepared_everywhere(tmp_path, monkeypatch):
    pytest.importorskip("dlib")
    miniatures.write_all(tmp_path / "trees")
    miniatures.prepare_all(tmp_path / "trees", tmp_path / "data")
    monkeypatch.chdir(tmp_path)


def fields_of(item) -> list[str]:
    """The fields that make experiments tiny, those that any experiment of a table has."""
    loaded = [configs.load(run.config) for run in item.runs]
    return [
        f"--config.{text}"
        for text in miniatures.TINY
        if any(configs.has_field(config, text.partition("=")[0]) for config in loaded)
    ]


def test_all_tables_of_all_papers(prepared_everywhere, trained, tmp_path, capsys):
    for paper, item in ITEMS:
        assert main([paper.key, item.key, *fields_of(item)]) == 0
    shown = capsys.readouterr()
    assert "missing:" not in shown.out and "not drawn" not in shown.out and not shown.err
    out = tmp_path / "runs/reproduce"
    for paper, item in ITEMS:
        if not isinstance(item, PaperTable):
            assert item.reason or (out / paper.key / f"{item.key}.pdf").stat().st_size > 5_000
            continue
        rows = pd.read_csv(out / paper.key / f"{item.key}.csv", dtype=str, keep_default_na=False)
        first = rows.iloc[:, 0]
        kept = rows[~first.isin(["ours", "difference"])].to_numpy()
        printed = [["" if text == "-" else text for text in row.texts] for row in item.rows]
        assert [list(row[: len(item.columns)]) for row in kept] == printed
        assert (first == "ours").sum() == sum(bool(row.ours) for row in item.rows)
        latex = (out / paper.key / f"{item.key}.tex").read_text()
        assert len(cells_of(latex)) == len(rows) + 1
    table = (out / "st_bln/table2.md").read_text()
    assert "12 clips of 2 people, 2 folds of people |" in table  # of ST-GCN, which was trained
    assert "another protocol: 2 folds of people; the paper: 10 folds of people" in table
    assert "changed: train.epochs=1, " in table
    counts = (out / "stc_nlstm/table1.md").read_text()
    assert "| ours | 2 | 2 | 2 | 2 | 2 | 2 | 12 |" in counts.replace("<sup>1</sup>", "")
    asked = len(trained)
    assert asked == len(set(trained))  # a finished one is found again
    item = PAPERS["st_bln"].item("table2")
    assert main(["st_bln", "table2", *fields_of(item)]) == 0 and len(trained) == asked
