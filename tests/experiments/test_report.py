"""The report of a run whose answers are drawn: tables, figures, methods and origin."""

import dataclasses
import json
import re
import subprocess

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as reference

from fer_jax.data.folds import make_folds
from fer_jax.experiments import configs, report
from fer_jax.experiments.for_papers import methods, provenance
from fer_jax.experiments.workdir import Workdir
from fer_jax.tasks import TASKS
from tests.test_tables import cells_of
from tests.written_runs import NAMES, config_of, write_run

MODE = "MC dropout"


@pytest.fixture(scope="module")
def runs(make_clips, tmp_path_factory):
    """Function `task -> ` its work directory and metrics, each written once."""
    made, folder = {}, tmp_path_factory.mktemp("written")

    def run(task):
        if task not in made:
            drawn = task == "classification"
            made[task] = write_run(make_clips(subjects=5), folder / task, task, figures=drawn)
        return made[task]

    return run


def table(workdir, name, mode=MODE):
    rows = pd.read_csv(workdir.table(name, "csv"), converters={"person": str})
    return rows[rows["inference mode"] == mode].reset_index(drop=True)


def test_classes_and_confusion_are_those_of_the_predictions(runs):
    workdir, metrics = runs("classification")
    answers, names = pd.read_csv(workdir.predictions), NAMES["classification"]
    pair = answers["label"], answers["predicted_mc_dropout"]
    own = metrics["inference_modes"]["mc_dropout"]
    counts = reference.confusion_matrix(*pair, labels=names)
    assert own["confusion"] == counts.tolist()
    percent = 100 * counts / counts.sum(1, keepdims=True)
    np.testing.assert_allclose(own["confusion_percent"], percent)
    np.testing.assert_allclose(table(workdir, "confusion")[list(names)], percent)
    assert own["macro_f1"] == pytest.approx(reference.f1_score(*pair, average="macro"))
    assert own["balanced_accuracy"] == pytest.approx(reference.balanced_accuracy_score(*pair))
    classes = table(workdir, "classes").set_index("class")
    for name, row in own["classes"].items():
        assert row["recall"] == pytest.approx(percent[names.index(name), names.index(name)] / 100)
        assert classes.loc[name, "F1"] == pytest.approx(row["f1"])
        assert f"| {name} | {row['clips']} |" in workdir.report.read_text()
    assert classes.loc["mean", "F1"] == pytest.approx(own["macro_f1"])
    for value, bounds in (
        ("accuracy_pooled", "interval_95_subjects"),
        ("accuracy_mean_of_folds", "interval_95_folds"),
    ):
        assert own[bounds][0] < own[value] < own[bounds][1]
    latex = cells_of(workdir.table("confusion", "tex").read_text())
    assert latex[0] == ["true class", *names]
    assert latex[1][1:] == [f"{value:.1f}" for value in percent[0]]


def test_folds_and_people_are_those_of_the_predictions(runs):
    workdir, metrics = runs("classification")
    answers = pd.read_csv(workdir.predictions)
    right = answers["label"] == answers["predicted_mc_dropout"]
    for name, column in (("folds", "fold"), ("people", "subject")):
        found = table(workdir, name).set_index("fold" if name == "folds" else "person")
        expected = right.groupby(answers[column]).mean()
        pd.testing.assert_series_equal(found["accuracy"], expected, check_names=False)
        assert found["clips"].sum() == len(answers)
    folds = metrics["inference_modes"]["mc_dropout"]["accuracy_folds"]
    assert table(workdir, "folds")["accuracy"].tolist() == pytest.approx(list(folds.values()))


def test_units_and_dimensions_have_their_measures(runs):
    workdir, metrics = runs("action_units")
    own = metrics["inference_modes"]["mc_dropout"]
    units = table(workdir, "units").set_index("unit")
    assert {"precision", "recall", "F1", "base rate"} <= set(units)
    assert units["F1"].mean() == pytest.approx(own["f1_mean"])
    folds = table(workdir, "folds")
    assert folds["mean F1"].tolist() == pytest.approx(list(own["f1_folds"].values()))

    workdir, metrics = runs("dimensional")
    own, answers = metrics["inference_modes"]["mc_dropout"], pd.read_csv(workdir.predictions)
    person = table(workdir, "people").set_index("person").loc["s1"]
    chosen = answers[answers["subject"] == "s1"]
    true, predicted = chosen["true_arousal"], chosen["arousal"]
    assert person["RMSE arousal"] == pytest.approx(
        ((true - predicted) ** 2).mean() ** 0.5, abs=1e-4
    )
    assert person["r arousal"] == pytest.approx(np.corrcoef(true, predicted)[0, 1], abs=1e-4)
    shift = (true.mean() - predicted.mean()) ** 2
    spread = true.var(ddof=0) + predicted.var(ddof=0) + shift
    concordance = 2 * np.cov(true, predicted, ddof=0)[0, 1] / spread
    assert person["CCC arousal"] == pytest.approx(concordance, abs=1e-4)
    rows = table(workdir, "dimensions").set_index("dimension")
    assert rows.loc["valence", "CCC"] == own["dimensions"]["valence"]["ccc"]


@pytest.mark.parametrize("task", NAMES)
def test_measures_of_sums_are_those_of_all_examples(runs, task):
    """The sums of folds add up to the numbers that the report has of all clips."""
    workdir, metrics = runs(task)
    measures = TASKS[task].measures
    answers = pd.read_csv(workdir.predictions)
    labels, predicted = measures.read(answers, "mc_dropout", NAMES[task])
    sums = measures.count(NAMES[task], labels, predicted).sum(0)
    found = measures.measures(NAMES[task], sums)
    own = metrics["inference_modes"]["mc_dropout"]
    key = {"dimensional": "accuracy", "action_units": "f1_mean"}.get(task, "accuracy_pooled")
    assert found[measures.TESTED[0]] == pytest.approx(own[key], abs=1e-6)
    for dimension, row in own.get("dimensions", {}).items():
        for short, name in (("rmse", "RMSE"), ("mae", "MAE"), ("pearson", "r"), ("ccc", "CCC")):
            assert found[f"{name} {dimension}"] == pytest.approx(row[short], abs=1e-4)
    assert measures.names_in(answers.columns) == list(NAMES[task])


def test_figures_are_pdf_too_with_fonts_inside(runs):
    workdir, _ = runs("classification")
    figures = sorted((workdir.path / "figures").glob("*.png"))
    assert len(figures) > 4
    for figure in figures:
        content = figure.with_suffix(".pdf").read_bytes()
        assert b"/FontFile2" in content and b"/Type3" not in content and len(content) < 200_000
        assert b"/CreationDate" not in content


def test_doubts_that_cannot_be_drawn_cost_no_other_figure(make_clips, tmp_path, monkeypatch):
    """The results of the folds hold no scores of familiarity."""
    found = {"limit": 1.0, "people": 3, "clips": 9, "same": True, "beyond": 0.1}
    monkeypatch.setattr(report.doubts, "summary", lambda *given: found)
    drawn = report._figures
    monkeypatch.setattr(report, "_figures", lambda *given: drawn(*given)[1:])  # not of the task
    asked = {"uncertainty.familiarity": True}
    workdir, metrics = write_run(make_clips(), tmp_path / "run", figures=True, **asked)
    (line,) = metrics["failed_figures"]
    assert line.startswith("a figure could not be drawn (KeyError: ")
    assert f"{line}.\n" in workdir.report.read_text()
    assert [file.name for file in (workdir.path / "figures").glob("*.png")] == ["learning.png"]


def test_report_says_each_caption_once(runs):
    text = runs("classification")[0].report.read_text()
    caption = "Error rate at each coverage"
    assert text.count(caption) == 1 and "![risk coverage](figures/risk_coverage.png)" in text
    assert "(figures/risk_coverage.pdf)" in text


def test_dataset_without_people_has_no_table_of_them(make_clips, tmp_path):
    clips = make_clips(subjects=9, clips_per_subject=1)
    workdir, _ = write_run(clips, tmp_path / "run", dropout=0.0)
    assert not workdir.table("people", "csv").exists()
    text = workdir.report.read_text()
    assert "Each fold, dropout off, stored" in text and "9 clips from the dataset faces" in text
    assert "a 3-fold cross-validation over clips." in text
    assert "Monte Carlo" not in text


def test_many_people_are_in_the_csv_alone(make_clips, tmp_path):
    clips = make_clips(subjects=61, clips_per_subject=2)
    workdir, _ = write_run(clips, tmp_path / "run")
    assert len(table(workdir, "people")) == 61 and not workdir.table("people", "tex").exists()
    line = "Each person, over all evaluations: 61 rows in [tables/people.csv](tables/people.csv)."
    assert line in workdir.report.read_text()


SENTENCES = {
    ("protocol.folds", 0): "Each of the 5 people in turn was evaluated by a network that was",
    ("protocol.name", "by_sequence"): "the same person may be in the training and the evaluation",
    ("protocol.name", "random_subjects"): "Evaluation was on a random 20% of the people, of whom",
    ("optimizer.clip_norm", 5.0): "; gradients of a norm above 5 were scaled down to it.",
    ("protocol.name", "holdout"): "The division is the official one: ",
    ("protocol.repeats", 4): "3-fold cross-validation over people, repeated 4 times",
    ("optimizer.name", "adam"): "by Adam, with a constant learning rate of 0.1",
    ("optimizer.schedule", "cosine"): "a learning rate that falls from 0.1 to 0 as a cosine",
    ("optimizer.schedule", "plateau"): "multiplied by 0.1 after 10 epochs without a lower",
    ("optimizer.warmup_epochs", 5.0): "after a linear warm-up of 5 epochs",
    ("train.select_checkpoint", "best"): "The weights of the last epoch were evaluated.",
    ("train.epochs", 1): "the cross-entropy for 1 epoch of 1 batch of 18 clips",
    ("optimizer.decay", "kernels"): "weight decay 0.0005 of the kernels.",
    ("data.features", "motion"): "12 edges of a graph over the face, less the same in the first",
    ("data.frame_rule", "middles"): "the middle frames of 4 equal parts of each recording",
    ("data.frame_rule", "ends"): "the first frame and the last 3 of each recording",
    ("data.frames", 1): "The data are 30 images of 5 people from the dataset faces",
    ("task", "action_units"): "3 action units (AU01, AU02, AU12)",
    ("uncertainty.posterior", "laplace"): " dropout with rate 0.2 stayed on at test time, and",
    ("pretrained", "weights.safetensors"): "which began with the weights weights.safetensors",
}


@pytest.mark.parametrize(("field", "value"), SENTENCES)
def test_methods_say_what_the_config_says(make_clips, runs, field, value):
    clips, (_, content) = make_clips(subjects=5), runs("classification")
    config = config_of("classification", "run", {field: value})
    if config.task == "action_units":
        clips = dataclasses.replace(clips, classes=NAMES["action_units"])
    folds = make_folds(config.protocol, clips.subjects, clips.splits)
    module = type("Network", (), {"inputs": "edges", "dropout": 0.2})
    text = methods.paragraph(config, clips, folds, module, content)
    assert SENTENCES[field, value] in text
    assert "  " not in text and "None" not in text and "{" not in text and text.endswith(".")


def test_methods_name_the_calibrators_of_all_units():
    rows = {"AU01": {"method": "vector"}, "AU02": {"method": "none"}, "AU12": {"method": "vector"}}
    rows["AU26"] = {"method": "temperature"}
    (text,) = methods._trust({"calibration": {"modes": {"mc_dropout": rows}}, "sets": None})
    assert text.startswith("Probabilities of some action units were calibrated (vector and temper")
    (text,) = methods._trust({"calibration": {"modes": {"stored": {"method": "vector"}}}})
    assert text == "Probabilities were calibrated (vector) on the same people."


def test_methods_say_that_folds_are_calibrated_on_the_others():
    calibration = {"modes": {"stored": {"method": "vector"}}, "chosen_on": "the other folds"}
    sets = {"level": 0.9, "people": 9, "crossed": True}
    calibrated, held = methods._trust({"calibration": calibration, "sets": sets})
    assert calibrated.endswith("calibrated on the other folds (for the bundle by vector).")
    assert held.endswith("are cross-conformal: each fold's were fitted on the others (9 people).")
    (held,) = methods._trust({"sets": sets | {"crossed": False}})
    assert held.endswith("are split-conformal, fitted on 9 people.")


@pytest.mark.parametrize("name", configs.names())
def test_methods_have_words_for_each_augmentation(name):
    augment = configs.load(name).augment
    assert set(augment.keys()) - {"enabled"} <= set(methods._AUGMENTED)


def test_methods_of_images_without_landmarks_and_with_validation(make_clips, runs):
    clips, (_, content) = make_clips(subjects=5), runs("classification")
    splits = ["validation" if person == "s1" else split for person, split in
              zip(clips.subjects, clips.splits, strict=True)]  # fmt: skip
    clips = dataclasses.replace(clips, splits=splits, landmarks=clips.landmarks * np.nan)
    fields = {"protocol.name": "holdout", "train.select_checkpoint": "best", "data.frames": 1}
    config = config_of("classification", "run", fields)
    folds = make_folds(config.protocol, clips.subjects, clips.splits)
    module = type("Network", (), {"inputs": "edges", "dropout": 0.0})
    text = methods.paragraph(config, clips, folds, module, content)
    assert "18 images for training, 6 for validation and 6 for evaluation" in text
    assert "the epoch with the lowest validation loss were kept" in text
    assert "located" not in text and "Monte Carlo" not in text


def test_origin_names_data_seed_and_commit(runs, tmp_path, monkeypatch):
    workdir, metrics = runs("classification")
    run = metrics["run"]
    assert run["fingerprint"] == "0123456789abcdef" and run["seed"] == 0
    assert run["data"] == {"data/faces": None}
    assert f"Code: commit {run['commit'] or 'unknown'}." in workdir.report.read_text()
    prepared = tmp_path / "prepared"
    prepared.mkdir()
    (prepared / "checksums.json").write_text("{}")
    config = config_of("classification", "run", {"data.path": str(prepared)})
    found = provenance.of_run(Workdir(workdir.path), config)
    digest = subprocess.run(["sha256sum", prepared / "checksums.json"], capture_output=True)
    assert found["data"] == {str(prepared): digest.stdout.decode().split()[0]}


def test_commit_is_that_of_the_clone(tmp_path, monkeypatch):
    def git(*arguments):
        names = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        subprocess.run(["git", *names, *arguments], cwd=tmp_path, check=True, capture_output=True)

    monkeypatch.setattr(provenance, "clone", lambda: tmp_path)
    assert provenance.commit() is None  # no repository
    git("init", "-q")
    (tmp_path / "file").write_text("a")
    git("add", "file")
    git("commit", "-q", "-m", "first")
    git("tag", "v1")
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    clean = provenance.commit()
    assert re.fullmatch("[0-9a-f]{40}", clean)
    (tmp_path / "file").write_text("b")
    assert provenance.commit() == f"{clean}-dirty"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert provenance.commit() is None  # no git
    monkeypatch.setattr(provenance, "clone", lambda: None)
    assert provenance.commit() is None  # a wheel


def test_metrics_are_json(runs):
    for task in NAMES:
        workdir, metrics = runs(task)
        assert json.loads(workdir.metrics.read_text()) == metrics
        assert metrics["methods"] in workdir.report.read_text()
