"""Calibration, sets and thresholds are chosen on other people than they are judged on."""

import dataclasses
import types

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_jax import uncertainty
from fer_jax.tasks import TASKS, abstaining, report_lines, trust_report
from fer_jax.tasks.action_units import report as unit_report
from fer_jax.tasks.action_units import scores as unit_scores
from fer_jax.tasks.classification import scores as class_scores
from fer_jax.tasks.dimensions import intervals
from fer_jax.tasks.dimensions.scores import summarise_dimensions
from fer_jax.tasks.evaluation import Evaluated, Examples, choose_elsewhere, divides_people
from fer_jax.tasks.trust import LEAST_PEOPLE, PEOPLE_FOR_PROMISE, name_sets
from tests.legible import check_legible
from tests.tasks.trusted import trusted

ITSELF = "the evaluation clips themselves (optimistic: there is no other split)"


def drawn(people=12, clips=20, folds=4, classes=3, seed=0, too_sure=3.0, validation=False):
    """Predictions that are surer than they are right, for people of whom some are easier."""
    rng = np.random.default_rng(seed)
    who = np.repeat(np.arange(people), clips)
    labels = rng.integers(classes, size=len(who))
    skill = (2.0 + 0.5 * rng.standard_normal(people))[who]
    logits = rng.standard_normal((len(who), classes)) + skill[:, None] * np.eye(classes)[labels]
    sampled = too_sure * (logits + 0.1 * rng.standard_normal((5, *logits.shape)))
    samples = np.exp(sampled) / np.exp(sampled).sum(-1, keepdims=True)
    modes = {"stored": samples[0], "recalibrated": samples[1], "mc_dropout": samples.mean(0)}
    summary, number = uncertainty.summarise(samples), np.arange(len(who))
    own = Evaluated(number, who % folds, labels, modes, samples, summary, None, who)
    return dataclasses.replace(own, validation=own.examples) if validation else own


def with_labels(evaluated, labels):
    return dataclasses.replace(evaluated, labels=labels)


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 3), st.sampled_from(["auto", "temperature"]))
def test_what_a_fold_gets_never_depends_on_its_own_people(seed, folds, calibration):
    evaluated = drawn(people=6, clips=20, folds=folds, seed=seed)
    rng = np.random.default_rng(seed)
    own = evaluated.folds == rng.integers(folds)
    others = np.where(own, rng.integers(3, size=len(own)), evaluated.labels)
    options = {"target": 0.8, "calibration": calibration}
    first, second = (
        trusted("classification", with_labels(evaluated, labels), **options).trust
        for labels in (evaluated.labels, others)
    )
    for before, after in zip(first.given, second.given, strict=True):
        np.testing.assert_array_equal(before[own], after[own])
    np.testing.assert_array_equal(first.deterministic[0][own], second.deterministic[0][own])


def test_dimensions_and_units_of_a_fold_never_depend_on_its_own_people():
    rng = np.random.default_rng(0)
    who = np.repeat(np.arange(8), 10)
    own = who % 2 == 0
    values = 5 + rng.standard_normal((4, 80, 2))
    shares = rng.uniform(0.05, 0.95, (4, 80, 2))
    for task, samples, summary, changed in (
        ("dimensional", values, summarise_dimensions(values), 3.0),
        ("action_units", shares, TASKS["action_units"].summarise(shares), 0.0),
    ):
        modes = {"recalibrated": samples[0], "mc_dropout": samples.mean(0)}
        labels = np.round(samples.mean(0)) if task == "action_units" else samples[1]
        evaluated = Evaluated(np.arange(80), who % 2, labels, modes, samples, summary, None, who)
        other = np.where(own[:, None], changed, labels)
        first, second = (
            trusted(task, with_labels(evaluated, each), calibration="temperature").trust
            for each in (labels, other)
        )
        for before, after in zip(first.given, second.given, strict=True):
            np.testing.assert_array_equal(before[own], after[own])
            assert not np.array_equal(before[~own], after[~own]) or before.dtype == bool


def test_one_place_says_whom_something_is_chosen_on():
    def fit(examples: Examples):
        return set(examples.people.tolist())

    def apply(people, examples: Examples):
        return (np.array([person in people for person in examples.people]),)

    crossed = choose_elsewhere(drawn(), fit, apply)
    assert not crossed.applied[0].any() and crossed.crossed and len(crossed.fitted) == 12
    assert crossed.chosen_on == "the other folds"
    itself = choose_elsewhere(drawn(folds=1), fit, apply)
    assert itself.applied[0].all() and itself.chosen_on == ITSELF and not itself.crossed
    evaluated = drawn(folds=1, validation=True)
    aside = evaluated.validation._replace(people=evaluated.people + 100)
    found = choose_elsewhere(dataclasses.replace(evaluated, validation=aside), fit, apply)
    assert not found.applied[0].any() and found.chosen_on == "validation"


def test_folds_that_share_people_promise_nothing():
    """As in a division by sequences: everybody is in every fold."""
    evaluated = drawn(people=40, clips=40)
    shared = dataclasses.replace(evaluated, folds=np.arange(len(evaluated.labels)) % 4)
    found = []
    for each in (evaluated, shared):
        trust = trusted("classification", each, target=0.8).trust
        found.append((divides_people(each), trust.fitted.threshold.promise.promised))
    assert found == [(True, True), (False, False)]
    assert "which share people" in trust.chosen_on


def test_repeats_of_a_clip_are_no_further_clips():
    once = drawn(people=6, clips=20, folds=2)
    twice = Evaluated(
        np.tile(once.indices, 2), np.concatenate([once.folds, once.folds + 2]),
        np.tile(once.labels, 2), {n: np.tile(p, (2, 1)) for n, p in once.probabilities.items()},
        np.tile(once.samples, (1, 2, 1)), uncertainty.summarise(np.tile(once.samples, (1, 2, 1))),
        None, np.tile(once.people, 2),
    )  # fmt: skip
    one, other = (
        trusted("classification", each, calibration="temperature").trust for each in (once, twice)
    )
    assert one.fitted[:2] == other.fitted[:2] and one.fitted.calibrator.clips == 120
    assert one.fitted.threshold.promise.clips == other.fitted.threshold.promise.clips == 120


def measured(trust, evaluated):
    return uncertainty.expected_calibration_error(trust.given.probabilities, evaluated.labels)


@pytest.mark.parametrize("folds, validation", [(2, False), (1, True)])
def test_too_sure_model_is_calibrated_and_its_sets_cover(folds, validation):
    evaluated = drawn(people=24, clips=30, folds=folds)
    if validation:
        evaluated = dataclasses.replace(
            evaluated, validation=drawn(people=24, clips=30, seed=1).examples
        )
    found = trusted("classification", evaluated, target=0.95, calibration="auto")
    trust, labels = found.trust, found.labels
    assert trust.fitted.calibrator.method == "temperature"
    before = uncertainty.expected_calibration_error(found.summary.mean, labels)
    assert before > 0.05 and measured(trust, found) < 0.6 * before
    held = trust.given.sets[np.arange(len(labels)), labels]
    assert 0.86 < held.mean() < 0.97 and not trust.fitted.rule.promised
    assert trust.fitted.rule.crossed == (not validation) and trust.fitted.rule.unit == "effective"
    content = trust_report.content("abc", found)
    row = content["calibration"]["modes"]["mc_dropout"]
    assert row["method"] == "temperature" and row["people"] == 24 and row["clips"] == 720
    assert row["before"]["expected_calibration_error"] == before
    assert row["after"]["expected_calibration_error"] == measured(trust, found)
    sets = content["sets"]
    assert sum(sets["sizes"]) == 720 and sets["sizes"][0] == 0
    assert sets["worst_coverage"] <= sets["coverage"] == pytest.approx(held.mean())
    text = "\n".join(trust_report.lines(content))
    assert f"{before:.4f}, {measured(trust, found):.4f}" in text and "Not promised" in text
    for name, figure, _ in trust_report.figures(sets, held, found.people):
        assert name in ("coverage", "set_sizes")
        check_legible(figure)


@pytest.mark.parametrize(("level", "said"), [(0.6, True), (0.99, False)])
def test_sets_that_are_never_empty_say_why_they_cover_more(level, said):
    found = trusted("classification", drawn(people=8), sets=level)
    sets = trust_report.content("abc", found)["sets"]
    right = found.trust.given.probabilities.argmax(-1) == found.labels
    assert sets["accuracy"] == pytest.approx(right.mean())  # people have equally many clips
    assert sets["level"] < sets["accuracy"] <= sets["coverage"] if said else sets["level"] > 0.98
    text = "\n".join(trust_report.lines({"sets": sets, "calibration": CALIBRATION}))
    line = f"the likeliest class is right: {right.mean():.1%}, above the level."
    assert (line in text) == said == ("No set is empty" in text)


CALIBRATION = {"modes": {"stored": {
    "method": "none", "people": 8, "clips": 9,
    **dict.fromkeys(("before", "after"), dict.fromkeys(
        ("expected_calibration_error", "adaptive_calibration_error", "negative_log_likelihood",
         "brier_score"), 0.1)),
}}, "chosen_on": "validation"}  # fmt: skip


def units_of(evaluated):
    """The same clips, each class a unit that is present or absent."""
    samples = evaluated.samples
    modes = {"recalibrated": samples[0], "mc_dropout": samples.mean(0)}
    return dataclasses.replace(
        evaluated, labels=np.eye(3)[evaluated.labels], probabilities=modes,
        summary=TASKS["action_units"].summarise(samples),
    )  # fmt: skip


def test_units_whose_sets_are_never_empty_are_named():
    evaluated = units_of(drawn(people=8))
    found = trusted("action_units", evaluated, sets=0.8)
    units = ("AU01", "AU02", "AU04")
    sets = unit_scores.calibration_and_sets(units, found)["sets"]["units"]
    text = unit_report._set_line(sets)
    above = [unit for unit in units if sets[unit]["accuracy"] > 0.8]
    least = min(sets[unit]["accuracy"] for unit in above)
    assert f"No set of {', '.join(above)} is empty" in text and f"{least:.1%} or more" in text
    row = unit_report._set_cells(sets["AU01"])
    classes = sets["AU01"]["classes"]
    expected = (sets["AU01"]["coverage"], sets["AU01"]["worst_coverage"],
                classes["absent"]["coverage"], classes["present"]["coverage"])  # fmt: skip
    assert row[:4] == [f"{share:.1%}" for share in expected]


def test_each_person_has_a_row():
    evaluated = drawn(people=5, clips=12)
    found = trusted("classification", evaluated)
    (part,) = trust_report.parts(found)
    expected = uncertainty.coverage_by(found.people, found.trust.given.sets, found.labels)
    assert list(part.rows["person"]) == list(expected)
    for row in part.rows.to_dict("records"):
        own = expected[row["person"]]
        assert (row["labels"], row["coverage"]) == (own["clips"], pytest.approx(own["coverage"]))
        assert row["mean size"] == pytest.approx(own["mean_size"])
    alone = dataclasses.replace(evaluated, people=np.arange(60))
    assert trust_report.parts(trusted("classification", alone)) == []
    assert trust_report.parts(trusted("classification", evaluated, sets=0.0)) == []


def test_each_person_has_a_row_for_units_and_dimensions():
    units = units_of(drawn(people=5, clips=12))
    units.labels[::2, 1] = np.nan
    found = trusted("action_units", units)
    held, sizes, people = unit_scores.labels_in_sets(found)
    assert len(held) == 150 and list(np.unique(people, return_counts=True)[1]) == [30] * 5
    (part,) = unit_report._people_parts(found, {})
    assert list(part.rows["labels"]) == [30] * 5
    assert part.rows["coverage"].mean() == pytest.approx(held.mean())
    assert part.rows["sets of both"].mean() == pytest.approx((sizes == 2).mean())
    assert unit_report._people_parts(found, None) == []

    values = 5 + np.random.default_rng(0).standard_normal((4, 60, 2))
    modes, summary = {"mc_dropout": values.mean(0)}, summarise_dimensions(values)
    dimensions = dataclasses.replace(
        units, labels=values[1], probabilities=modes, samples=values, summary=summary
    )
    found = trusted("dimensional", dimensions)
    (part,) = intervals.parts(found)
    given = found.trust.given
    inside = (given.low <= values[1]) & (values[1] <= given.high)
    assert part.rows["coverage"].mean() == pytest.approx(inside.mean())
    assert part.rows["mean width"].mean() == pytest.approx((given.high - given.low).mean())


def test_many_people_promise_sets():
    few, many = (
        trusted("classification", drawn(people=count, folds=1)).trust.fitted.rule
        for count in (PEOPLE_FOR_PROMISE - 1, PEOPLE_FOR_PROMISE)
    )
    assert (few.unit, few.promised) == ("effective", False)
    assert (many.unit, many.promised) == ("person", True)


def test_few_people_have_no_calibrator_and_no_sets_if_none_are_wanted():
    few = trusted("classification", drawn(people=LEAST_PEOPLE - 1, clips=60, folds=1), sets=0.0,
                  calibration="auto")  # fmt: skip
    assert few.trust.fitted.calibrator.method == "none" and few.trust.fitted.rule is None
    np.testing.assert_array_equal(few.trust.given.probabilities, few.summary.mean)
    content = trust_report.content("abc", few)
    assert content["sets"] is None
    assert '"none" changes nothing' in "\n".join(trust_report.lines(content))


def measure(evaluated):
    summary = evaluated.summary
    return summary.entropy, summary.mean.argmax(-1) == evaluated.labels


def test_threshold_without_a_promise_is_that_which_reached_the_target():
    evaluated = drawn(people=4, clips=15, folds=1)
    entropy, right = (
        evaluated.summary.entropy,
        evaluated.summary.mean.argmax(-1) == evaluated.labels,
    )
    found = abstaining.choose_threshold(entropy, right, evaluated.people, 0.95, 0.9)
    assert not found.promise.promised
    assert found.value == uncertainty.abstain_threshold(entropy, right, 0.95)
    itself = types.SimpleNamespace(chosen_on=ITSELF, crossed=False)
    shown = abstaining.content(
        abstaining.Judged(found, entropy, right, entropy <= found.value), itself
    )
    assert shown["accuracy"] >= 0.95 and shown["promise"]["threshold"] is None
    line = report_lines.abstaining_line(shown, "the entropy", "above {:.3f}", "clips")
    assert "No threshold can promise that target with 90% confidence over people (4 " in line
    many = drawn(people=60, clips=30, folds=1)
    entropy, right = measure(many)
    kept = abstaining.choose_threshold(entropy, right, many.people, 0.9, 0.9)
    assert kept.value == kept.promise.threshold and kept.promise.bound >= 0.9
    shown = abstaining.content(
        abstaining.Judged(kept, entropy, right, entropy <= kept.value), itself
    )
    assert "Promised with 90% confidence over people (60" in report_lines.abstaining_line(
        shown, "", "{}", "clips"
    )
    assert not abstaining.choose_threshold(entropy, right, many.people, 1.0, 0.9).promise.promised


@pytest.mark.parametrize("folds", [4, 1])
def test_promise_says_that_it_is_of_the_networks_of_the_folds(folds):
    """A cross-validation promises of those; the bundle has another one, trained on everybody."""
    evaluated = drawn(people=60, clips=30, folds=folds)
    row = class_scores.abstaining(trusted("classification", evaluated, target=0.8))
    assert row["promise"]["threshold"] is not None and row["crossed"] == (folds > 1)
    units = trusted("action_units", units_of(evaluated), target=0.8)
    unit = unit_scores.abstaining(("AU01", "AU02", "AU04"), units)["units"]["AU01"]
    sentences = (
        report_lines.abstaining_line(row, "the entropy", "above {:.3f}", "clips"),
        unit_report._promise_line(unit),
    )
    for said in sentences:
        assert ("for the networks of the folds" in said) == (folds > 1)
        assert ("the bundle's network, trained on all of them, is no worse" in said) == (folds > 1)
        assert "with 90% confidence" in said


@pytest.mark.parametrize(
    ("level", "people", "crossed", "said"),
    [
        (0.9, 40, False, "Promised for the next person, by 40 people."),
        (0.9, 12, False, "that takes 9 people, and to be of use about 30; there are 12."),
        (0.999, 7, False, "that takes 999 people; there are 7, too few for this level."),
        (0.9, 1, False, "to be of use about 30; there is 1, too few for this level."),
        (0.999, 7, True, "Of one network it would take 999 people; there are 7, too few"),
        (0.9, 40, True, "the networks of the folds, and no theorem carries a level"),
    ],
)
def test_level_of_sets_says_how_many_people_its_promise_takes(level, people, crossed, said):
    unit = "person" if people >= PEOPLE_FOR_PROMISE else "effective"
    rule = uncertainty.SetRule("lac", level, (0.9,), people, 100, unit, crossed)
    line = trust_report.promise_of(trust_report.rule_content(rule))
    assert said in line and line.startswith("Promised") == rule.promised
    assert ("too few" in line) == (people < rule.needed)


def test_level_out_of_reach_keeps_its_digits():
    found = trusted("classification", drawn(people=7, clips=20, folds=1), sets=0.999)
    sets = trust_report.content("abc", found)["sets"]
    text = "\n".join(trust_report.lines({"sets": sets, "calibration": CALIBRATION}))
    assert "at a level of 99.9%" in text and "that takes 999 people; there are 7" in text


def test_sets_name_the_likeliest_class_first():
    p, sets = [[0.2, 0.5, 0.3]] * 3, np.array([[1, 1, 0], [0, 0, 0], [1, 1, 1]], bool)
    assert name_sets(("a", "b", "c"), p, sets) == ["b|a", "", "b|c|a"]
