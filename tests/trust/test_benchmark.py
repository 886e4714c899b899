"""`python -m benchmarks.trust` on tiny runs: every part, its files, its tables."""

import dataclasses
import functools
import threading

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from benchmarks.trust import __main__ as command
from benchmarks.trust import methods, saved, scores, sets, tables, unfamiliar
from benchmarks.trust.measures import Figure
from benchmarks.trust.methods import METHODS
from fer_jax import systems, uncertainty
from fer_jax.predict.predictor import Predictor
from fer_jax.storage import lock
from fer_jax.training import averaging
from fer_jax.uncertainty.people import groups_of_people
from tests import finished_runs


@pytest.fixture(scope="module")
def opened(finished_run):
    """Function `kind -> Experiment` of a finished run."""

    @functools.cache
    def experiment(kind):
        run = finished_run(kind)
        return systems.prepare(finished_runs.CONFIGS[kind](run.prepared), run.workdir)

    return experiment


@pytest.fixture(autouse=True)
def few_groups(monkeypatch):
    """Each group costs a choice of calibrators."""
    monkeypatch.setattr(saved, "GROUPS", 2)


def drawn(people=24, clips=12, known=1.2):
    """A model that knows some people better than others."""
    rng = np.random.default_rng(0)
    who = np.repeat(np.arange(people), clips)
    labels = rng.integers(4, size=len(who))
    sure = known + 0.5 * rng.standard_normal(people)[who]
    logits = rng.standard_normal((5, len(who), 4)) + 2 * sure[:, None] * np.eye(4)[labels]
    samples = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    return saved.Held(samples, labels, None, who, groups_of_people(who, 3))


def by_name(figures):
    return {(each.what, each.measure): each for each in figures}


def test_saved_predictions_are_those_of_the_report(opened, finished_run):
    held = saved.read(opened("landmarks"), "samples")
    table = finished_run("landmarks").table
    np.testing.assert_allclose(held.summary.entropy, table["entropy"], atol=1e-5)
    assert list(held.people) == list(table["subject"])
    plain = saved.read(opened("landmarks"), "recalibrated")
    assert len(plain.samples) == 1 and plain.samples.shape[1:] == held.samples.shape[1:]
    # of one person: nobody is there to fit to
    assert sets.coverage(held) == sets.abstention(held) == []
    assert "after" not in {each.what for each in scores.quality(held)}


def test_nobody_is_judged_by_what_was_fitted_to_them(opened):
    held = saved.read(opened("distribution"), "samples")
    pairs = list(held.elsewhere())
    assert np.sum([own for own, _ in pairs], 0).tolist() == [1] * len(held.people)
    for own, rest in pairs:
        assert not set(held.people[own]) & set(held.people[rest])


@pytest.mark.parametrize("kind", ["landmarks", "distribution"])
def test_quality_agrees_with_the_report(kind, opened, finished_run):
    held = saved.read(opened(kind), "samples")
    found = by_name(scores.quality(held))
    mode = finished_run(kind).metrics["inference_modes"]["mc_dropout"]
    names = {
        "accuracy": "accuracy_pooled", "ECE": "expected_calibration_error",
        "NLL": "negative_log_likelihood", "AURC": "area_under_risk_coverage",
        "AUGRC": "area_under_generalised_risk",
    }  # fmt: skip
    for ours, theirs in names.items():
        assert found["before", ours].value == pytest.approx(mode[theirs], abs=1e-6), ours
    assert ("after" in {what for what, _ in found}) == held.divided
    assert ("by mutual information", "AURC") in found


def test_error_by_votes_agrees_with_the_report(opened, finished_run):
    held = saved.read(opened("distribution"), "samples")
    found = by_name(scores.quality(held))
    mode = finished_run("distribution").metrics["votes"]["inference_modes"]["mc_dropout"]
    assert found["before", "ECE by votes"].value == pytest.approx(
        mode["calibration_error"], abs=1e-6
    )
    p, votes = held.calibrated(), held.votes
    after = uncertainty.expected_calibration_error(p, votes)
    assert found["after", "ECE by votes"].value == pytest.approx(after, abs=1e-6)
    plain = by_name(scores.quality(saved.read(opened("landmarks"), "samples")))
    assert ("before", "ECE by votes") not in plain


def test_exact_probabilities_have_the_calibration_error_of_chance():
    p = np.random.default_rng(0).dirichlet(np.ones(4), 400)
    draws = np.random.default_rng(1)
    errors = []
    for _ in range(20):
        labels = np.array([draws.choice(4, p=each) for each in p])
        held = saved.Held(p[None], labels, None, np.zeros(400), np.zeros(400))
        found = by_name(scores.quality(held))
        errors.append(found["before", "ECE"].value)
    assert found["before", "ECE of chance"].value == pytest.approx(np.mean(errors), rel=0.1)


def test_votes_agree_with_the_report(opened, finished_run):
    held = saved.read(opened("distribution"), "samples")
    found = by_name(scores.votes(held))["entropy", "Spearman"]
    mode = finished_run("distribution").metrics["votes"]["inference_modes"]["mc_dropout"]
    assert found.value == pytest.approx(mode["spearman_entropy"], abs=1e-4)
    assert [found.low, found.high] == pytest.approx(mode["spearman_interval_95"], abs=1e-4)
    assert scores.votes(drawn()) == []
    assert len(held.of_one_class().labels) < len(held.labels) or (held.labels >= 0).all()


def test_sets_hold_the_labels_as_often_as_their_level():
    found = by_name(sets.coverage(drawn()))
    for score in ("LAC", "APS", "RAPS"):
        levels = [found[f"{score} {level:g}", "coverage"] for level in sets.LEVELS]
        assert all(
            level - 0.04 < each.value and each.low < each.value <= each.high and each.people == 24
            for level, each in zip(sets.LEVELS, levels, strict=True)
        )
        sizes = [found[f"{score} {level:g}", "mean size"].value for level in sets.LEVELS]
        assert 0.999 < sizes[0] < sizes[-1] < 4
        assert found[f"{score} 0.9", "worst person"].value <= levels[1].value


def test_sets_that_may_be_empty_hold_no_more_than_their_level():
    found = by_name(sets.coverage(drawn(known=4.0)))  # right more often than any level
    for level in sets.LEVELS:
        never, empty = (found[f"LAC{word} {level:g}", "coverage"] for word in ("", " or none"))
        assert never.value > 0.96 and empty.value == pytest.approx(level, abs=0.05)
        assert found[f"LAC or none {level:g}", "mean size"].value < 1


def test_intervals_of_dimensions_hold_the_labels():
    rng, who = np.random.default_rng(0), np.repeat(np.arange(20), 10)
    labels = rng.normal(5, 2, (200, 3)).clip(1, 9)  # the scale of the ratings
    samples = labels + rng.normal(0, 1, (200, 3)) + rng.normal(0, 0.5, (30, 200, 3))
    held = saved.Held(samples, labels, None, who, groups_of_people(who, 3))
    found = by_name(sets.coverage(held))
    for method in sets.INTERVALS:
        for level in sets.LEVELS:
            each = found[f"{method} {level:g}", "coverage"]
            assert each.value == pytest.approx(level, abs=0.05) and each.people == 20
        sizes = [found[f"{method} {level:g}", "mean size"].value for level in sets.LEVELS]
        assert 1 < sizes[0] < sizes[1] < sizes[2]


def test_dimensions_without_samples_have_intervals_of_one_width(opened):
    held = saved.read(opened("dimensions"), "recalibrated")
    found = by_name(sets.coverage(held))
    assert {what.split()[0] for what, _ in found} == {"total"}
    widths = [found[f"total {level:g}", "mean size"].value for level in sets.LEVELS]
    assert widths[0] > 0 and (np.diff(widths) > -1e-9).all()  # of few people the largest error
    assert scores.quality(held) == sets.abstention(held) == []


def test_divisions_keep_refuse_or_break():
    found = by_name(sets.abstention(drawn(known=1.5)))
    for target in ("target 0.9", "target 0.95"):
        shares = [found[target, name].value for name in ("kept", "broken", "refused")]
        assert sum(shares) == pytest.approx(1)
    assert found["target 0.9", "kept, of promises"].value >= 0.8
    assert 0 < found["target 0.9", "coverage"].value < 1
    hopeless = by_name(sets.abstention(drawn(people=6, known=0.1)))
    assert hopeless["target 0.95", "refused"].value == 1


def test_a_promise_that_answers_nothing_is_not_broken():
    found = by_name(sets._kept(0.9, [(0.5, 0.95), (0.4, 0.8), (0.0, np.nan), None], "abcd"))
    shares = {name: each.value for (_, name), each in found.items()}
    assert shares == pytest.approx({
        "kept": 0.5, "broken": 0.25, "refused": 0.25, "kept, of promises": 2 / 3,
        "coverage": 0.3, "accuracy": 0.875,
    })  # fmt: skip


def test_doubts_of_a_fold_are_those_of_its_weights(opened, tmp_path):
    experiment = opened("landmarks")
    fold = experiment.folds[0]
    predictor = unfamiliar.fold_predictor(experiment, fold, tmp_path)
    values = unfamiliar.values_of(experiment.clips, fold.evaluation, predictor)
    found = unfamiliar.make_doubts(predictor, "recalibrated", 5)(values)
    held = saved.read(experiment, "recalibrated")
    np.testing.assert_allclose(found["entropy"], held.summary.entropy, atol=1e-4)
    assert list(found) == ["entropy"]
    inputs = predictor.features(values)
    spread = uncertainty.activation_spread(predictor.module, predictor.recalibrated, inputs)
    fitted = dataclasses.replace(uncertainty.fit_familiarity(spread), threshold=2.0)
    told = dataclasses.replace(predictor, familiarity=fitted)
    sampled = unfamiliar.make_doubts(told, "samples", len(spread))(values)
    assert list(sampled) == ["unfamiliarity", "entropy", "mutual information"]
    np.testing.assert_allclose(sampled["unfamiliarity"], fitted.score(spread) / 2, rtol=1e-3)


@pytest.mark.parametrize("kind", ["landmarks", "crops"])
def test_areas_are_of_every_kind_and_strength(kind, opened, finished_run, tmp_path, monkeypatch):
    monkeypatch.setattr(unfamiliar, "CLIPS", 6)
    unseen, said = {"other": str(finished_run(kind).prepared), "missing": "nowhere"}, []
    figures = unfamiliar.measure(opened(kind), "recalibrated", unseen, tmp_path, said.append)
    found = by_name(figures)
    kinds = {what.partition(",")[0] for what, _ in found}
    assert kinds >= {"all kinds", "other"} and any("nowhere" in line for line in said)
    assert kinds >= ({"jitter", "still"} if kind == "landmarks" else {"JPEG", "no faces"})
    assert all(0 <= each.value <= 1 for each in figures)
    assert ("all kinds, entropy", "strength 5") in found and ("other, entropy", "AUROC") in found


def test_command_measures_once_and_prints_tables(finished_run, tmp_path, monkeypatch, capsys):
    run = finished_run("landmarks")
    config = finished_runs.CONFIGS["landmarks"](run.prepared)
    monkeypatch.setattr(command, "config_of", lambda *given: config)
    calls = []

    def train(config, dataset, method, out, console):
        calls.append(method)
        return dataclasses.replace(systems.prepare(config, run.workdir).workdir)

    monkeypatch.setattr(command, "train", train)
    asked = ["synthetic", "--methods", "none", "--parts", "d", "f", "--seeds", "2"]
    for _ in range(2):
        assert command.main([*asked, "--out", str(tmp_path)]) == 0
    assert calls == ["none", "none"]
    shown = capsys.readouterr().out
    assert "## Calibration and selective prediction" in shown and "bundle, MB" in shown
    table = pd.read_csv(tmp_path / "trust.csv")
    assert set(table["part"]) == {"d", "f"} and set(table["seed"]) == {0, 1}
    with pytest.raises(SystemExit):
        command.main(["nothing"])
    assert "unknown dataset 'nothing'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("reads", "called"), [("recalibrated", "deterministic"), ("samples", "predict")]
)
def test_cost_is_of_the_prediction_that_a_method_makes(opened, monkeypatch, reads, called):
    calls = []
    for name in ("deterministic", "predict"):
        monkeypatch.setattr(Predictor, name, lambda self, values, name=name: calls.append(name))
    found = {each.measure: each.value for each in command._cost(opened("landmarks"), reads)}
    assert set(calls) == {called}
    assert found["bundle, MB"] > 0 and found["training, minutes"] > 0


def test_tables_say_what_is_met():
    figures = [
        Figure("d", "after", "ECE", 0.02, 0.01, 0.04, 9),
        Figure("c", "LAC 0.9", "coverage", 0.95, 0.9, 0.97, 9),
        Figure("c", "LAC 0.8", "coverage", 0.85, people=9),
    ]
    found = pd.concat(
        [
            tables.rows("buhmap", "none", 0, figures),
            tables.rows("buhmap", "none", 1, [each._replace(value=0.95) for each in figures]),
        ]
    )
    text = "\n".join(tables.lines(found.iloc[:3]))
    assert "| 0.020 [0.010, 0.040] met |" in text
    assert "| 0.950 [0.900, 0.970] **not met** |" in text and "| 0.850 |" in text
    assert "- ECE of after: at most 0.03" in text
    assert "| 0.485 [0.010, 0.040] (0.020 to 0.950) **not met** |" in "\n".join(tables.lines(found))


@pytest.mark.parametrize("method", METHODS)
def test_every_method_has_a_config_of_every_dataset(method):
    names = set()
    for dataset in methods.DATASETS:
        config = methods.config_of(dataset, method, 3)
        assert config.seed == 3 and config.uncertainty.familiarity
        names.add(config.name)
        averaged = config.uncertainty.posterior in averaging.AVERAGED
        assert not averaged or config.train.select_checkpoint == "last"  # else it is refused
        given = methods.config_of(dataset, method, 3, {"train.select_checkpoint": "best"})
        assert given.train.select_checkpoint == "best"  # what is given comes last
    assert len(names) == len(methods.DATASETS)
    begins = METHODS[method].begins
    assert not begins or begins in {each.run for each in METHODS.values()}


def test_training_that_two_methods_share_is_not_repeated(finished_run, tmp_path, monkeypatch):
    run, trained = finished_run("landmarks"), []
    (tmp_path / "buhmap_single_seed0").symlink_to(run.workdir)
    monkeypatch.setattr(systems, "run", lambda config, path, console: trained.append(path))
    config = finished_runs.CONFIGS["landmarks"](run.prepared)
    config.name = "buhmap_posterior-laplace_seed0"
    workdir = methods.train(config, "buhmap", "laplace", tmp_path, Console())
    assert trained == [workdir.path]
    assert list(workdir.path.glob("checkpoints/*/*.msgpack")) and workdir.log.exists()
    config.name = "buhmap_single_seed0"
    assert methods.train(config, "buhmap", "none", tmp_path, Console()).metrics.exists()
    assert len(trained) == 1


def test_commands_that_share_a_folder_lose_no_figure(tmp_path):
    """Who writes waits for who does, and then reads the figures of both."""

    def figure(name, value):
        rows = tables.rows("buhmap", name, 0, [Figure("d", "after", "ECE", value)])
        tables.save(tmp_path / "figures" / f"buhmap_{name}_seed0_d.csv", rows)

    figure("none", 0.1)
    (tmp_path / "figures" / "lse_none_seed0_d.partial.csv").write_text("dataset,met")
    with lock(tmp_path):
        other = threading.Thread(target=command.write, args=[tmp_path])
        other.start()
        other.join(3 * command._WAIT)
        assert other.is_alive() and not (tmp_path / "trust.csv").exists()
        figure("swa", 0.2)
    other.join(60)
    found = pd.read_csv(tmp_path / "trust.csv")
    assert found[["method", "value"]].to_numpy().tolist() == [["none", 0.1], ["swa", 0.2]]
    assert "| none |" in (tmp_path / "trust_summary.md").read_text()
