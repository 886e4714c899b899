"""Filled tables: rows as printed, ours and the difference below, footnotes where they differ."""

import json

import pandas as pd
import pytest

from fer_jax import tables
from fer_jax.experiments import configs
from fer_jax.experiments.workdir import Workdir, recorded
from fer_jax.papers import PAPERS
from fer_jax.papers.paper import Ours, Paper, PaperTable, Row, Run, quoted
from fer_jax.papers.protocols import BY_PERSON
from fer_jax.reproduce import experiments
from fer_jax.reproduce.experiments import Outcome
from fer_jax.reproduce.fill import _notes, difference, fill, show
from fer_jax.reproduce.measures import Result, Value
from tests.test_tables import cells_of

TEN = BY_PERSON.format(10)
RUN = Run("stbln_oulu", "ST-BLN", "oulu", TEN, 480, 80)
OTHER = Run("stgcn:oulu", "ST-GCN", "oulu", TEN, 480, 80)
TABLE = PaperTable(
    "table9",
    "Oulu",
    ("Method", "Acc(%)", "#Params", "Data"),
    (
        *quoted("DTAN [22] | 74.38 | - | Video"),
        Row(("ST-GCN [7]", "77.08", "131.3k", "Landmark"), {1: Ours(OTHER, "accuracy stored")}),
        Row(
            ("ST-BLN w/MCD", "83.54 ± 0.5", "132.3k", "Landmark"),
            {1: Ours(RUN, "accuracy mc_dropout ±"), 2: Ours(RUN, "parameters")},
        ),
    ),
    (1,),
    "A remark.",
)
PAPER = Paper("toy", "toy paper", "A. Author, Title, 2020", (TABLE,))


def finish(experiment, clips=480, people=80):
    """Writes what a finished experiment leaves, as far as tables read it."""
    workdir = experiment.workdir
    workdir.path.mkdir(parents=True)
    own = recorded(experiment.config) | {"data_fingerprint": "0"}
    workdir.config.write_text(json.dumps(own, default=list))
    folds = {"accuracy_folds": {"fold01": 0.8, "fold02": 0.84}, "accuracy_repeats": [0.82]}
    mode = {"accuracy_mean_of_folds": 0.82, **folds}
    content = {
        "clips_evaluated": clips, "subjects_evaluated": people, "params_without_U": 132_271,
        "inference_modes": {"stored": mode, "mc_dropout": mode},
    }  # fmt: skip
    workdir.metrics.write_text(json.dumps(content))


def outcomes(runs, overrides=(), finished=(RUN,), **counts):
    found = {run: Outcome(experiments.find(run, overrides, runs)) for run in (RUN, OTHER)}
    for run in finished:
        finish(found[run].experiment, **counts)
    return found


def test_markdown_of_a_filled_table(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = tables.markdown(fill(PAPER, TABLE, outcomes(tmp_path / "runs")))
    where = "480 clips of 80 people, 10 folds of people"
    assert text.splitlines()[:10] == [
        "**Oulu (toy paper, table 9)**",
        "",
        "| Method | Acc(%) | #Params | Data | evaluated on |",
        "|---|---|---|---|---|",
        "| DTAN [22] | 74.38 | - | Video | |",
        "| ST-GCN [7] | 77.08 | 131.3k | Landmark | |",
        "| ours | -<sup>1</sup> | | | |",
        "| ST-BLN w/MCD | 83.54 ± 0.5 | 132.3k | Landmark | |",
        f"| ours | 82.00 ± 2.83 | 132.3k | | {where} |",
        "| difference | -1.54 | 0.0k | | |",
    ]
    assert "oulu is not prepared in data/oulu" in text and "--out data/oulu" in text
    source = "Source: A. Author, Title, 2020. [..] are its references."
    assert text.splitlines()[-5:-3] == [source, ""]
    assert "A remark." in text and f"Ours: {tmp_path}/runs/stbln_oulu." in text


def test_csv_and_latex_of_a_filled_table(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table = fill(PAPER, TABLE, outcomes(tmp_path / "runs"))
    tables.write(table, tmp_path, "table9")
    rows = pd.read_csv(tmp_path / "table9.csv", keep_default_na=False)
    assert rows["Method"].tolist() == [
        "DTAN [22]", "ST-GCN [7]", "ours", "ST-BLN w/MCD", "ours", "difference"
    ]  # fmt: skip
    assert rows["Acc(%)"].tolist()[3:] == ["83.54 ± 0.5", "82.00 ± 2.83", "-1.54"]
    assert rows["#Params"][0] == "" and "not prepared" in rows["notes"][2]
    latex = (tmp_path / "table9.tex").read_text()
    assert cells_of(latex)[-1] == ["difference", "$-$1.54", "0.0k", "", ""]
    assert latex.index("DTAN") < latex.rindex(r"\midrule") < latex.index("ST-GCN")


@pytest.mark.parametrize(
    ("overrides", "counts", "note"),
    [
        (
            ("protocol.folds=5",),
            {},
            "another protocol: 5 folds of people; the paper: 10 folds of people",
        ),
        (("train.epochs=2",), {}, "changed: train.epochs=2"),
        ((), {"clips": 478}, "478 clips here, 480 in the paper"),
        ((), {"people": 79}, "79 people here, 80 in the paper"),
    ],
)
def test_a_footnote_says_what_differs(tmp_path, overrides, counts, note):
    table = fill(PAPER, TABLE, outcomes(tmp_path, overrides, **counts))
    (ours,) = (cells for cells in table.cells() if cells[0].text == "ours" and cells[2].text)
    assert any(note in each for each in (*ours[0].notes, *ours[1].notes))


def test_a_footnote_names_another_framing(tmp_path):
    (run,) = PAPERS["stc_nlstm"].item("table4").runs
    outcome = Outcome(experiments.find(run, (), tmp_path))
    finish(outcome.experiment)
    file = outcome.experiment.workdir.metrics
    content = json.loads(file.read_text())
    for framing, notes in (("aligned", 1), ("eyes", 0)):
        file.write_text(json.dumps(content | {"framing": framing}))
        found = Result(outcome.experiment)
        said = [note for note in _notes(outcome, found, "accuracy stored") if "framing" in note]
        assert said == ["framing of the face crops: aligned here, eyes in the paper"][:notes]


@pytest.mark.parametrize("lost", ["clips_evaluated", "inference_modes", "params_without_U"])
def test_a_result_of_an_earlier_version_is_a_footnote(tmp_path, lost):
    found = outcomes(tmp_path)
    file = found[RUN].experiment.workdir.metrics
    content = json.loads(file.read_text())
    del content[lost]
    file.write_text(json.dumps(content))
    notes = fill(PAPER, TABLE, found).notes()
    assert f"{tmp_path}/stbln_oulu is damaged or of an earlier version: it has no {lost!r}" in notes


def test_footnotes_of_a_whole_row_stand_at_its_name(tmp_path):
    table = fill(PAPER, TABLE, outcomes(tmp_path, ("train.epochs=2",), clips=478))
    (ours,) = (cells for cells in table.cells() if cells[0].text == "ours" and cells[2].text)
    assert ours[0].notes == ("changed: train.epochs=2",)
    assert ours[1].notes == ("478 clips here, 480 in the paper",)
    assert ours[2].notes == ()  # the number of parameters is the same for any clips


def test_repeats_evaluate_a_clip_once(tmp_path):
    table = fill(PAPER, TABLE, outcomes(tmp_path, ("protocol.repeats=4",), clips=1920))
    (ours,) = (cells for cells in table.cells() if cells[0].text == "ours" and cells[2].text)
    assert ours[-1].text == "480 clips of 80 people, 10 folds of people, 4 times"


@pytest.mark.parametrize(
    ("paper", "table", "row", "where"),
    [
        ("fer_gcn", "table1", "Ours", "ckplus: 480 clips of 80 people, 10 folds of people; oulu: "),
        ("inception_resnet_3d", "table1", "MMI", "2D Inception-ResNet: 480 clips of 80 people, "),
        ("bilinear_cnn", "table4", "VGG16 Valence-Arousal (T = 1.00)", "480 clips of 80 people, "),
    ],
)
def test_several_experiments_of_a_row_are_told_apart(tmp_path, paper, table, row, where):
    paper, table = PAPERS[paper], PAPERS[paper].item(table)
    own = next(each for each in table.rows if each.texts[0] == row)
    found = {run: Outcome(experiments.find(run, (), tmp_path)) for run in table.runs}
    for run in {ours.run for ours in own.ours.values()}:
        finish(found[run].experiment)
        file = found[run].experiment.workdir.metrics
        content = json.loads(file.read_text())
        content["inference_modes"]["stored"] |= {"accuracy": 0.8, "threshold_for_kaggle": 0.7}
        file.write_text(json.dumps(content))
    last = [cells[-1].text for cells in fill(paper, table, found).cells()]
    assert any(text.startswith(where) for text in last)


def test_a_run_without_dropout_has_no_mc_row(tmp_path):
    found = outcomes(tmp_path)
    file = found[RUN].experiment.workdir.metrics
    content = json.loads(file.read_text())
    del content["inference_modes"]["mc_dropout"]
    file.write_text(json.dumps(content))
    table = fill(PAPER, TABLE, found)
    assert any("has no accuracy mc_dropout" in note for note in table.notes())


@pytest.mark.parametrize(
    ("value", "text", "places", "shown"),
    [
        (Value(99.5432), "99.54%", 2, "99.54%"),
        (Value(132_271.0), "132.3k", 1, "132.3k"),
        (Value(93.2, 2.345), "93.21±2.32", 2, "93.20±2.35"),
        (Value(93.2, float("nan")), "93.21±2.32", 2, "93.20"),
        (Value(0.5812), "0.58", 2, "0.58"),
        (Value(12.0), "0%", 0, "12%"),
    ],
)
def test_a_value_looks_like_the_printed_cell(value, text, places, shown):
    assert show(value, text, places) == shown


@pytest.mark.parametrize(
    ("gap", "text", "shown"),
    [(-1.544, "36.11", "-1.54"), (0.004, "36.11", "0.00"), (-29.0, "132.3k", "-0.03k"),
     (3.1, "99.54%", "+3.10")],
)  # fmt: skip
def test_a_difference_has_its_sign(gap, text, shown):
    assert difference(gap, text, 2) == shown


def test_a_search_lists_what_each_fold_found(tmp_path):
    found = outcomes(tmp_path)
    file = found[RUN].experiment.workdir.metrics
    folds = {
        "fold01": {"topology": [5, 10], "params_without_U": 7100},
        "fold02": {"topology": [5], "params_without_U": 5100},
    }
    search = {"params_without_U": {"mean": 6100, "std": 1000.0}, "folds": folds}
    file.write_text(json.dumps(json.loads(file.read_text()) | {"search": search}))
    notes = fill(PAPER, TABLE, found).notes()
    assert "by fold: fold01 80.00, fold02 84.00" in notes
    listed = "fold01 {5, 10} 7.10k, fold02 {5} 5.10k"
    assert f"mean of 2 folds, standard deviation 1.00k: {listed}" in notes


def test_the_percent_of_a_confusion_matrix(tmp_path, monkeypatch):
    paper, table = PAPERS["fer_gcn"], PAPERS["fer_gcn"].item("table3")
    (run,) = table.runs
    outcome = Outcome(experiments.find(run, (), tmp_path))
    finish(outcome.experiment)
    names = ["anger", "disgust", "fear", "joy", "sadness", "surprise"]
    (outcome.experiment.workdir.model).mkdir()
    bundle = outcome.experiment.workdir.model / "model.json"
    bundle.write_text(json.dumps({"classes": names}))
    rows = [(name, name) for name in names for _ in range(8)] + [("anger", "disgust")] * 2
    frame = pd.DataFrame(rows, columns=["label", "predicted_stored"])
    frame.to_csv(outcome.experiment.workdir.predictions, index=False)
    filled = [[cell.text for cell in row] for row in fill(paper, table, {run: outcome}).cells()]
    assert filled[0] == ["An", "88%", "7%", "1%", "0%", "3%", "1%", ""]
    assert filled[1][:7] == ["ours", "80%", "20%", "0%", "0%", "0%", "0%"]
    assert filled[2][:4] == ["difference", "-8", "+13", "-1"]


def test_a_work_directory_with_another_config_is_not_taken(tmp_path):
    found = outcomes(tmp_path)[RUN].experiment
    file = Workdir(found.workdir.path).config
    content = json.loads(file.read_text())
    content["train"]["epochs"] = 3
    file.write_text(json.dumps(content))
    again = experiments.find(RUN, (), tmp_path)
    assert again.state[0] == experiments.REFUSED
    assert "train.epochs: 3 there, 400 here" in again.state[1]


def test_memory_and_speed_do_not_make_another_experiment(tmp_path):
    outcomes(tmp_path)
    config = configs.load(RUN.config)
    config.data.in_memory_gb = 1.0
    own = experiments.Experiment(RUN, config, Workdir(tmp_path / config.name))
    assert own.state[0] == experiments.FINISHED
