"""Ambiguous against unfamiliar: the numbers of the figure, of every task, and how it looks."""

import dataclasses
import types

import numpy as np
import pytest

from fer_jax import uncertainty
from fer_jax.data.folds import Fold
from fer_jax.plotting import doubts as drawings
from fer_jax.tasks import TASKS, doubts
from fer_jax.tasks.abstaining import Judged, Threshold
from fer_jax.tasks.evaluation import Evaluated
from tests.legible import check_legible
from tests.tasks.trusted import trusted

FOLDS = 2


def _results(rng, count):
    """Results of the folds: every second clip is in the second; clips 0 and 1 are unlike others."""
    features = rng.standard_normal((count, 4))
    turns = rng.normal(0, 5, (count, 2))
    fit, turned = uncertainty.fit_familiarity(features), uncertainty.fit_familiarity(turns)
    features[0] += 20
    turns[1, 0] = 60  # seen from the side
    folds = [np.arange(first, count, FOLDS) for first in range(FOLDS)]
    clips = types.SimpleNamespace(
        classes=("valence", "arousal"), kind="clips", subjects=[f"s{n // 4}" for n in range(count)]
    )
    return (
        clips,
        [Fold(f"fold{index}", np.zeros(0, int), chosen) for index, chosen in enumerate(folds)],
        [
            doubts.kept(
                {
                    "activations": (fit, {"evaluation": fit.score(features[chosen])}),
                    "turns": (turned, {"evaluation": turned.score(turns[chosen])}),
                }
            )
            for chosen in folds
        ],
    )


def _evaluated(task, rng, count=80):
    """Predictions fold after fold; of units the second is never labelled."""
    p = rng.uniform(0.02, 0.98, count)
    samples = np.clip(p + 0.02 * rng.standard_normal((5, count)), 0.01, 0.99)
    labels, samples = (p > rng.random(count)).astype(int), np.stack([1 - samples, samples], -1)
    if task == "action_units":
        labels, samples = np.stack([labels, np.full(count, np.nan)], -1), samples[..., ::-1]
    elif task == "dimensional":
        own = rng.uniform(0.1, 2, (count, 1))  # the larger, the further from the label
        samples = 5 + own * rng.standard_normal((5, count, 2))
        labels = samples.mean(0) + own * rng.standard_normal((count, 2))
    elif task == "distribution":
        votes = np.stack([1 - labels, labels], -1).astype(float)
        own = votes * (rng.random(count) > 0.2)[:, None]  # of the others votes have no class
        labels = np.stack([votes, own], 1)
    order = np.concatenate([np.arange(first, count, FOLDS) for first in range(FOLDS)])
    modes = {"stored": samples[0], "recalibrated": samples[0], "mc_dropout": samples.mean(0)}
    summary, folds = TASKS[task].summarise(samples), np.repeat(np.arange(FOLDS), count // FOLDS)
    people = order // 4
    return trusted(
        task, Evaluated(order, folds, labels, modes, samples, summary, None, people), target=0.8
    )


@pytest.mark.parametrize("task", TASKS)
def test_every_task_is_drawn_with_the_reasons_of_predict(task, monkeypatch):
    rng = np.random.default_rng(0)
    evaluated, (clips, folds, results) = _evaluated(task, rng), _results(rng, 80)
    drawn = {}
    monkeypatch.setattr(drawings, "doubts", lambda panels, *words: drawn.update(panels))
    ambiguity = TASKS[task].report.ambiguity(clips.classes, evaluated)
    ((name, _, caption),) = doubts.figures(ambiguity, clips, folds, results)
    assert name == "doubts" and ambiguity.measure in caption
    ((kind, own),) = drawn.items()  # a unit that was never labelled has no panel
    assert kind == ("valence" if task == "action_units" else "")
    known = np.ones(80, bool)
    if task == "distribution":
        known = evaluated.labels[:, 1].any(-1)
        assert 0 < known.sum() < 80
    fits = doubts.familiarity_of(results[0], clips, folds, results)
    scores = [
        np.concatenate([each[f"evaluation_{name}"] for each in results])[known]
        for name in ("unfamiliarity", "unfamiliar_turns")
    ]
    limits = [fits["activations"].threshold, fits["turns"].threshold]
    np.testing.assert_allclose(
        own.unfamiliarity, np.maximum(scores[0] / limits[0], scores[1] / limits[1])
    )
    far = own.unfamiliarity > 1
    assert 0 < far.sum() <= 4 and far[0] == known[0]  # 95% of the clips of people lie within both
    assert far[known[::FOLDS].sum()] == known[1]  # familiar but for the turn of the head
    # what a bundle would say of the same clips
    task, rows = TASKS[task], []
    fitted = evaluated.trust.fitted
    thresholds = [each.threshold.value for each in fitted] if kind else fitted.threshold.value
    for index in np.flatnonzero(known):
        summary = task.summarise(evaluated.samples[:, [index]])
        rows.append(task.row(summary, clips.classes, thresholds))
    said = [row["abstained_valence" if kind else "abstained"] for row in rows]
    assert own.threshold is not None and 0 < sum(said) < len(said)
    assert (own.ambiguity > 1).tolist() == said


def test_task_without_a_threshold_and_without_any_label():
    rng = np.random.default_rng(0)
    clips, folds, results = _results(rng, 80)
    amount = rng.uniform(0, 0.69, 80)
    never = Threshold(np.inf, None)

    def ambiguity(values):
        judged = Judged(never, values, np.ones(80, bool), np.ones(80, bool))
        return doubts.Ambiguity("entropy", " nats", {"": judged})

    ((_, figure, _),) = doubts.figures(ambiguity(amount), clips, folds, results)
    assert "entropy (nats), no threshold" in check_legible(figure)
    assert not list(doubts.figures(ambiguity(np.full(80, np.nan)), clips, folds, results))


def _drawn(count=40, threshold=0.5, seed=0):
    rng = np.random.default_rng(seed)
    return drawings.Doubted(
        rng.uniform(0.1, 2, count), threshold, rng.uniform(0.4, 1.6, count), rng.random(count) < 0.7
    )


def test_corners_count_what_is_in_them():
    own = drawings.Doubted(
        np.array([0.5, 2.0, 3.0, 0.1, 9.0, 0.2]), 0.44, np.array([0.9, 0.8, 0.7, 1.2, 1.5, np.nan]),
        np.array([1, 1, 0, 0, 1, 0], bool),
    )  # fmt: skip
    figure = drawings.doubts({"": own}, "entropy", "clips", " nats")
    texts = check_legible(figure)
    assert {
        "answered\n1 clip, 100% right", "ambiguous\n2 clips, 50% right",
        "unfamiliar\n2 clips, 0% right", "unfamiliar (ambiguous too)\n1 clip, 100% right",
        "ambiguous: entropy, over its threshold of 0.44 nats", "right prediction",
        "wrong prediction",
    } <= set(texts)  # fmt: skip
    axes = figure.axes[0]
    right, wrong = axes.collections
    assert [len(each.get_offsets()) for each in (right, wrong)] == [3, 3]
    assert not np.array_equal(right.get_paths()[0].vertices, wrong.get_paths()[0].vertices)
    assert [set(line.get_xdata() if n else line.get_ydata()) for n, line in
            enumerate(axes.get_lines())] == [{1}, {1}]  # fmt: skip


@pytest.mark.parametrize("outlier", [1e-9, 0.0, 500.0, np.inf, np.nan])
def test_outliers_are_drawn_at_the_edge(outlier):
    own = _drawn()
    own.unfamiliarity[:9], own.ambiguity[:9] = outlier, outlier
    figure = drawings.doubts({"": own}, "entropy")
    texts = check_legible(figure)
    assert sum(text[0] in "≤≥" for text in texts) == 2
    axes = figure.axes[0]
    shown = np.concatenate([each.get_offsets() for each in axes.collections])
    assert np.isfinite(shown).all() and len(shown) == 40
    assert (shown > [axes.get_xlim()[0], axes.get_ylim()[0]]).all()
    assert (shown < [axes.get_xlim()[1], axes.get_ylim()[1]]).all()


@pytest.mark.parametrize("units", [2, 3, 18])
def test_panels_of_many_units_and_very_many_windows_are_legible(units):
    panels = {f"AU{unit:02}": _drawn(20_000, 0.5 if unit else None, unit) for unit in range(units)}
    figure = drawings.doubts(panels, "entropy", "windows", " nats")
    texts = check_legible(figure)
    assert {*panels, "entropy (nats), no threshold", "ambiguous: entropy / 0.50 nats"} <= set(texts)
    drawn = sum(len(each.get_offsets()) for axes in figure.axes for each in axes.collections)
    assert drawn <= 3000 < sum(len(own.right) for own in panels.values())


@pytest.mark.parametrize("older", ["the bundle's", "a fold"])
def test_results_of_before_there_were_turns_are_judged_by_activations(older):
    clips, folds, results = _results(np.random.default_rng(0), 80)
    plain = {name: each for name, each in results[0].items() if "turns" not in name}
    result = plain if older == "the bundle's" else results[0]
    if older == "a fold":
        results = [results[1], plain][::-1]
    fits = doubts.familiarity_of(result, clips, folds, results)
    assert list(fits) == ["activations"]
    scores = np.concatenate([each["evaluation_unfamiliarity"] for each in results])
    people = np.asarray(clips.subjects)[np.concatenate([fold.evaluation for fold in folds])]
    alone = fits["activations"].with_threshold(scores, people).threshold
    assert fits["activations"].threshold == pytest.approx(alone)


@pytest.mark.parametrize("validated", [False, True])
def test_limit_and_share_beyond_it_are_reported(validated):
    clips, folds, results = _results(np.random.default_rng(0), 80)
    if validated:  # on the clips of the other fold, whom the first is not evaluated on
        folds = [
            dataclasses.replace(fold, validation=other.evaluation)
            for fold, other in zip(folds, folds[::-1], strict=True)
        ]
        names = ("unfamiliarity", "unfamiliar_turns")
        results = [
            each | {f"validation_{name}": other[f"evaluation_{name}"] for name in names}
            for each, other in zip(results, results[::-1], strict=True)
        ]
    found = doubts.summary(clips, folds, results)
    assert found["people"] == 20 and found["clips"] == 80 and found["same"] is not validated
    assert 2 / 80 <= found["beyond"] <= 0.1  # clips 0 and 1 for certain
    (text, _) = doubts.lines(found, "clips")
    assert ("the validation part" if validated else "themselves") in text
    assert f"{found['beyond']:.1%} of the evaluated clips" in text
    assert f"in the turn of the head, of {found['turn_limit']:.3g}; 95%" in text
    assert "lie within both" in text
    (text, _) = doubts.lines({k: v for k, v in found.items() if k != "turn_limit"}, "clips")
    assert "lie within it" in text and "turn" not in text
