"""Finished runs side by side, without training: tables, tests between methods, what differs."""

import dataclasses
import json
import shutil

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from fer_jax.commands import compare as command
from fer_jax.compare import compare, tables
from fer_jax.compare.answers import interval, read
from fer_jax.compare.chosen import find
from fer_jax.experiments.workdir import Workdir
from fer_jax.tasks import TASKS
from tests.test_tables import cells_of
from tests.written_runs import NAMES, SAVE_PDF, write_run


@pytest.fixture(scope="module")
def clips(make_clips):
    return make_clips(subjects=6)


@pytest.fixture(scope="module")
def folder(clips, tmp_path_factory):
    """Two runs of each task, of the same clips."""
    root = tmp_path_factory.mktemp("runs")
    for task in NAMES:
        write_run(clips, root / f"{task}_good", task, skill=0.7)
        write_run(clips, root / f"{task}_bad", task, skill=0.2, seed=1)
    return root


@pytest.fixture(autouse=True)
def no_figures(request, monkeypatch):
    """Figures are drawn in one test alone, to save time."""
    if "two_methods" in request.node.name:
        monkeypatch.setattr(tables.style, "save_pdf", SAVE_PDF)
    else:
        monkeypatch.setattr(tables.style, "save", lambda figure, file: None)


def run(*arguments):
    return command.main(list(map(str, arguments)))


def differences_in(out):
    return pd.read_csv(out / "tests.csv")


@pytest.mark.parametrize("task", NAMES)
def test_two_methods_of_every_task(folder, tmp_path, task, capsys):
    good, bad = (folder / f"{task}_{name}" for name in ("good", "bad"))
    assert run(good, bad, "--out", tmp_path) == 0
    table, tests = pd.read_csv(tmp_path / "compare.csv"), differences_in(tmp_path)
    assert table["method"].tolist() == [f"Method {task}_good", f"Method {task}_bad"]
    assert table["mc_dropout"].is_monotonic_decreasing
    assert (table["mc_dropout_low"] <= table["mc_dropout"]).all()
    reported = json.loads((good / "metrics.json").read_text())["inference_modes"]["stored"]
    key = "interval_95_folds" if task in ("classification", "distribution") else None
    bounds = table.loc[0, ["stored_low", "stored_high"]].tolist()
    assert bounds == pytest.approx(reported[key or "interval_95_subjects"])  # as the report says
    assert table["gflops"].isna().all()  # the runs have no bundle
    measures = TASKS[task].measures
    assert tuple(tests["measure"]) == measures.TESTED
    assert (tests["clips"] == 36).all() and (tests["people"] == 6).all()
    assert tests["p_permutation"].between(2 / 64, 1).all()
    main = tests.iloc[0]
    assert main["difference_low"] <= main["difference"] <= main["difference_high"]
    assert main["value_first"] - main["value_second"] == pytest.approx(main["difference"])
    text = (tmp_path / "compare.md").read_text()
    assert f"Method {task}_good - Method {task}_bad | {measures.TESTED[0]} | 36 | 6 |" in text
    assert capsys.readouterr().out.count("**Differences of the methods**") == 1
    parts = (tmp_path / "compare.tex").read_text().split("% \\usepackage{booktabs}")[1:]
    headings = [cells_of(part)[0] for part in parts]
    assert ["method" in each and "parameters" in each for each in headings].count(True) == 1
    assert ["with MCD, \\%" in each for each in headings].count(True) == 1
    for name in ("compare.png", "compare.pdf"):
        assert (tmp_path / name).stat().st_size > 1000


def test_tests_agree_with_those_made_by_hand(folder, tmp_path):
    runs = [folder / f"classification_{name}" for name in ("good", "bad")]
    assert run(*runs, "--out", tmp_path) == 0
    found = differences_in(tmp_path).iloc[0]
    right = []
    for each in runs:
        table = pd.read_csv(each / "predictions.csv").set_index("clip").sort_index()
        right.append(table["predicted_mc_dropout"] == table["label"])
        people = table["subject"]
    only = (right[0] & ~right[1]).sum(), (right[1] & ~right[0]).sum()
    assert (found["only_first_right"], found["only_second_right"]) == only
    assert found["p_mcnemar"] == stats.binomtest(int(only[0]), int(sum(only))).pvalue
    difference = (right[0].astype(int) - right[1].astype(int)).groupby(people).sum()
    signs = np.array(np.meshgrid(*[(1, -1)] * 6)).reshape(6, -1)
    sums = difference.to_numpy() @ signs
    both = 2 * min((sums >= difference.sum()).mean(), (sums <= difference.sum()).mean())
    assert found["p_permutation"] == pytest.approx(min(both, 1))
    expected = stats.wilcoxon((difference / 6).round(12)).pvalue
    assert found["p_wilcoxon"] == pytest.approx(expected)


def test_many_pairs_are_corrected(clips, folder, tmp_path):
    write_run(clips, tmp_path / "third", skill=0.5, seed=2)
    runs = [folder / f"classification_{name}" for name in ("good", "bad")]
    assert run(*runs, tmp_path / "third", "--out", tmp_path / "out") == 0
    tests = differences_in(tmp_path / "out")
    main = tests[tests["measure"] == "accuracy"]
    assert len(main) == 3
    least = main["p_mcnemar"].min()
    assert main["p_mcnemar_holm"].min() == pytest.approx(min(3 * least, 1))
    assert (main["p_mcnemar_holm"] >= main["p_mcnemar"]).all()


def test_clips_and_people_that_differ_are_named_and_left_out(clips, folder, tmp_path):
    chosen = [n for n, person in enumerate(clips.subjects) if person != "s5" and n not in (3, 4, 5)]
    part = dataclasses.replace(
        clips,
        **{
            name: [getattr(clips, name)[n] for n in chosen]
            for name in ("clip_ids", "subjects", "splits")
        },
        landmarks=clips.landmarks[chosen],
        labels=clips.labels[chosen],
        seconds=clips.seconds[chosen],
    )
    workdir, _ = write_run(part, tmp_path / "part")
    table = pd.read_csv(workdir.predictions)
    table.loc[table["clip"] == "clip010", "subject"] = "s9"
    true = table["clip"] == "clip000"
    table.loc[true, "label"] = "joy" if table.loc[true, "label"].item() != "joy" else "fear"
    table.to_csv(workdir.predictions, index=False)
    full = folder / "classification_good"
    assert run(full, tmp_path / "part", "--out", tmp_path / "out") == 0
    tests = differences_in(tmp_path / "out")
    spoilt = {"clip000", "clip010"}
    first = pd.read_csv(full / "predictions.csv").set_index("clip")["label"]
    second = pd.read_csv(workdir.predictions).set_index("clip")["label"]
    common = sorted((set(second.index) & set(first.index)) - spoilt)
    expected = sum(first[clip] == second[clip] for clip in common)
    assert (tests["clips"] == expected).all() and (tests["people"] == 5).all()
    text = " ".join((tmp_path / "out" / "compare.md").read_text().split())
    assert "Method classification_good has 9 clips (clip003, clip004, clip005 and 6 more)" in text
    assert "which Method part lacks (of 1 people whom it lacks: s5)" in text
    assert "have other people for 1 clip (clip010): left out of their tests." in text
    assert "have other labels for 1 clip (clip000): left out of their tests." in text


def test_methods_without_a_common_clip_are_not_tested(clips, folder, tmp_path):
    other = dataclasses.replace(clips, clip_ids=[f"x{name}" for name in clips.clip_ids])
    write_run(other, tmp_path / "other")
    assert run(folder / "classification_good", tmp_path / "other", "--out", tmp_path / "o") == 0
    assert not (tmp_path / "o" / "tests.csv").exists()
    text = (tmp_path / "o" / "compare.md").read_text()
    assert "Method classification_good and Method other have no clip in common: no test." in text


def test_repeats_count_once(clips, folder, tmp_path):
    write_run(clips, tmp_path / "repeated", seed=3, **{"protocol.repeats": 3})
    runs = folder / "classification_good", tmp_path / "repeated"
    assert run(*runs, "--out", tmp_path / "out") == 0
    found = differences_in(tmp_path / "out").iloc[0]
    table = pd.read_csv(tmp_path / "repeated" / "predictions.csv")
    right = table["predicted_mc_dropout"] == table["label"]
    assert found["clips"] == 36
    assert found["value_second"] == pytest.approx(right.mean())


def test_interval_is_that_of_the_mean_over_folds(folder):
    answers = read(Workdir(folder / "classification_bad"), "classification", ["stored"])["stored"]
    low, high = interval(TASKS["classification"].measures, answers)
    right = answers.labels == answers.predicted
    rng = np.random.default_rng(0)
    people = np.unique(answers.people)
    drawn = rng.multinomial(6, np.full(6, 1 / 6), size=1000)
    means = []
    for weight in drawn:
        weights = weight[np.searchsorted(people, answers.people)]
        parts = [
            np.average(right[own], weights=weights[own])
            for own in (answers.folds == name for name in np.unique(answers.folds))
            if weights[own].any()
        ]
        means.append(np.mean(parts))
    assert (low, high) == pytest.approx(tuple(np.quantile(means, (0.025, 0.975))))


def test_runs_of_one_name_are_told_apart_by_their_folders(folder, tmp_path):
    """The same experiment, from two machines."""
    copy = shutil.copytree(folder / "classification_good", tmp_path / "elsewhere" / "good")
    metrics = json.loads((copy / "metrics.json").read_text())
    metrics["environment"]["hardware"] = "8 x TPU"
    (copy / "metrics.json").write_text(json.dumps(metrics))
    own = folder / "classification_good"
    assert run(own, copy, "--out", tmp_path / "out") == 0
    methods = pd.read_csv(tmp_path / "out" / "compare.csv")["method"].tolist()
    assert methods == [f"Method classification_good ({path})" for path in (own, copy)]
    tests = differences_in(tmp_path / "out")
    assert (tests["p_permutation"] == 1).all() and (tests["p_wilcoxon"] == 1).all()
    assert tests["p_mcnemar"].dropna().tolist() == [1.0]
    assert "time of training was measured on 8 x TPU" in (tmp_path / "out/compare.md").read_text()


def test_names_that_look_like_numbers_or_nothing_stay(make_clips, tmp_path):
    clips = make_clips(subjects=4)
    names = dict(zip(("s0", "s1", "s2", "s3"), ("001", "NA", "1", "nan"), strict=True))
    clips = dataclasses.replace(clips, subjects=[names[name] for name in clips.subjects])
    for seed in (0, 1):
        write_run(clips, tmp_path / f"run{seed}", seed=seed)
    assert run(tmp_path / "run0", tmp_path / "run1", "--out", tmp_path / "out") == 0
    assert (differences_in(tmp_path / "out")["people"] == 4).all()
    assert "lacks" not in (tmp_path / "out" / "compare.md").read_text()


def damaged(folder, tmp_path, file, text):
    copy = shutil.copytree(folder / "classification_good", tmp_path / "copy")
    (copy / file).write_text(text)
    return copy


@pytest.mark.parametrize(
    ("file", "text", "code", "message"),
    [
        ("config.json", "{", 2, "config.json is damaged"),
        ("metrics.json", '{"inference_modes": {}}', 1, "an earlier version of fer_jax wrote it"),
        ("predictions.csv", "clip,subject\na,b\n", 1, "predictions.csv cannot be compared"),
        ("predictions.csv", "", 1, "predictions.csv cannot be compared"),
    ],
)
def test_damaged_run_is_one_line(folder, tmp_path, capsys, file, text, code, message):
    assert run(damaged(folder, tmp_path, file, text), "--out", tmp_path / "out") == code
    shown = "".join(capsys.readouterr())
    assert message in " ".join(shown.split()) and "Traceback" not in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{}/classification_good", "--config.seed=1"], "--config.seed=1 is for configs"),
        (["{}"], "is no finished run (it holds no config.json)"),
        (["{}/none"], "there is no folder "),
        (["{0}/classification_good", "{0}/dimensional_good"], "compare one kind"),
        (["{0}/classification_good", "{0}/classification_good"], "name every experiment diff"),
        (["stbln_synthetic", "--config.sede=1"], "--config.sede: there is no such field"),
        (["stbln_synthetic", "--config.seed"], "'seed' sets no field"),
        (["stbln_synthetic", "stbln_synthetic", "--config.seed=0"], "two methods are called"),
    ],
)
def test_wrong_command_line_is_one_line(folder, tmp_path, capsys, arguments, message):
    filled = [argument.format(folder) for argument in arguments]
    assert run(*filled, "--out", tmp_path / "out") == 2
    shown = capsys.readouterr().err
    assert message in shown and shown.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_table_that_cannot_be_written_is_one_line(folder, tmp_path, capsys):
    (tmp_path / "out").write_text("a file")
    assert run(folder / "classification_good", "--out", tmp_path / "out") == 1
    shown = capsys.readouterr()
    assert "a file is where a folder belongs" in " ".join(shown.err.split())
    assert "tables and figure" not in shown.out


def test_fields_belong_to_the_config_before_them(tmp_path, monkeypatch, capsys):
    seen = []
    monkeypatch.setattr(compare, "compare", lambda options: seen.append(options) or 0)
    run(
        "a", "--config.protocol.name=by_sequence", "--config.seed=3", "--out", tmp_path, "b:x",
        "--config.seed=4", "c", "--runs=elsewhere",
    )  # fmt: skip
    (options,) = seen
    assert options.methods == [
        ("a", ("protocol.name=by_sequence", "seed=3")), ("b:x", ("seed=4",)), ("c", ()),
    ]  # fmt: skip
    assert (options.out, str(options.runs)) == (tmp_path, "elsewhere")
    for wrong in (["--config.seed=1", "a"], ["a", "--out", "b", "--config.seed=1"]):
        with pytest.raises(SystemExit) as ended:
            run(*wrong)
        assert ended.value.code == 2
        assert "--config.seed=1 stands behind no config" in capsys.readouterr().err


def test_run_of_a_changed_config_has_a_name_of_its_own(tmp_path):
    plain = find("stbln_synthetic", (), tmp_path)
    same = find("stbln_synthetic", (f"seed={plain.config.seed}",), tmp_path)
    changed = find("stbln_synthetic", ("protocol.name=by_sequence", "seed=0"), tmp_path)
    named = find("stbln_synthetic", ("seed=5", "name=mine"), tmp_path)
    assert plain.workdir.path == same.workdir.path == tmp_path / "stbln_synthetic"
    assert changed.workdir.path.name == "stbln_synthetic_protocol.name=by_sequence"
    assert changed.config.protocol.name == "by_sequence"
    assert named.workdir.path == tmp_path / "mine"
    path = find("stbln_synthetic", ("data.path=/a b/../c",), tmp_path).workdir.path
    assert path.parent == tmp_path and " " not in path.name
