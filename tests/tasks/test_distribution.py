"""Predicted distributions against votes: loss, scores, report, and clips without one class."""

import json
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import spearmanr

from fer_jax.faces.emotion_ratings import (
    FERPLUS_EMOTIONS,
    are_rated,
    ratings_of,
    read_votes,
    vad,
)  # fmt: skip
from fer_jax.tasks import TASKS
from fer_jax.tasks.classification.report import content as classification_content
from fer_jax.tasks.distribution import report, scores
from fer_jax.tasks.evaluation import Evaluated, Examples
from fer_jax.uncertainty.summaries import entropy
from tests.legible import check_legible
from tests.tasks.trusted import trusted

TASK = TASKS["distribution"]
CLASSES = ("a", "b", "c")


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def make_evaluated(rng, count=60, mode="mc_dropout"):
    """Predictions near the votes of ten people; some clips have no majority."""
    truth = rng.dirichlet([0.6] * 3, count)
    votes = np.stack([rng.multinomial(10, share) for share in truth])
    labels = read_votes(votes, 3, "majority")
    samples = np.stack([0.8 * truth + 0.2 * rng.dirichlet([1] * 3, count) for _ in range(5)])
    modes = {"stored": samples[0], "recalibrated": samples[1], mode: samples.mean(0)}
    summary, clips = TASK.summarise(samples), np.arange(count)
    validation = Examples(labels, summary, modes, clips // 2, clips)
    return trusted("distribution", Evaluated(
        clips, np.zeros(count, int), labels, modes, samples, summary, validation, clips // 2,
    ))  # fmt: skip


def make_clips(count=60):
    return types.SimpleNamespace(
        classes=CLASSES, clip_ids=[f"c{n}" for n in range(count)],
        subjects=[f"s{n // 2}" for n in range(count)], crops=None,
        landmarks=np.full((count, 1, 68, 2), np.nan), kind="clips",
    )  # fmt: skip


def make_content(evaluated, clips, chosen=()):
    import pandas as pd

    config = types.SimpleNamespace(
        evaluation=types.SimpleNamespace(target_accuracy=0.9, figure_clips=chosen),
        data=types.SimpleNamespace(vote_rule="majority", train_on=()),
        protocol=types.SimpleNamespace(name="holdout"),
    )
    fold = types.SimpleNamespace(name="holdout", repeat=0, evaluation=evaluated.indices)
    history = pd.DataFrame([{"fold": "holdout", "epoch": 1, "evaluation_accuracy": 0.5}])
    own, curves = report.content(config, clips, [fold], evaluated, history)
    whole = {"subjects_evaluated": 30, "clips_evaluated": len(evaluated.indices)} | own
    return whole, curves, (config, [fold], history)


def test_loss_is_least_for_the_votes_themselves():
    votes = read_votes([[5, 3, 2], [0, 9, 0]], 3, "majority")
    batch = {"label": jnp.asarray(votes)}
    logits = jnp.log(jnp.maximum(votes[:, 0], 1e-6))
    loss = TASK.loss(logits, batch)
    np.testing.assert_allclose(loss, entropy(votes[:, 0]), atol=1e-4)
    gradient = jax.grad(lambda x: TASK.loss(x, batch).sum())(logits)
    np.testing.assert_allclose(gradient, np.zeros((2, 3)), atol=1e-5)
    assert (TASK.loss(logits + jnp.array([1.0, 0, 0]), batch) > loss).all()


def test_score_counts_any_of_the_most_chosen_classes():
    votes = read_votes([[5, 5, 0]] * 3, 3, "majority")
    score = TASK.score(10 * jnp.eye(3), {"label": jnp.asarray(votes)})
    np.testing.assert_array_equal(score, [1, 1, 0])


def test_classifier_is_scored_on_clips_of_one_class(rng):
    evaluated, clips = make_evaluated(rng), make_clips()
    classes = scores.classes_of(evaluated.labels)
    known = classes != scores.NO_CLASS
    assert 0 < known.sum() < len(known)
    own, _, given = make_content(evaluated, clips)
    for name, probabilities in evaluated.probabilities.items():
        right = probabilities[known].argmax(-1) == classes[known]
        assert own["inference_modes"][name]["accuracy_pooled"] == right.mean()
    assert own["votes"]["clips_of_one_class"] == known.sum()
    config, folds, history = given
    scored = scores.of_one_class(evaluated)
    same, _ = classification_content(config, clips, folds, scored, history)
    assert json.dumps({key: own[key] for key in same}) == json.dumps(same)
    order = report.order(evaluated)
    assert sorted(order) == np.flatnonzero(known).tolist()
    summary = evaluated.summary
    assert summary.mean[order[0]].argmax() == classes[order[0]]
    assert summary.entropy[order[0]] == summary.entropy[order[: known.sum() // 2]].min()


def test_votes_are_scored_on_all_clips(rng):
    evaluated, clips = make_evaluated(rng), make_clips()
    rows = scores.score_votes(clips, evaluated)
    votes = evaluated.labels[:, 0].astype(float)
    for name, probabilities in evaluated.probabilities.items():
        row, own = rows[name], entropy(votes)
        expected = spearmanr(entropy(probabilities), own).statistic
        assert row["spearman_entropy"] == pytest.approx(expected)
        low, high = row["spearman_interval_95"]
        assert low < expected < high and high - low < 0.8
        crossed = -(votes * np.log(probabilities)).sum(-1)
        assert row["cross_entropy"] == pytest.approx(crossed.mean())
        assert row["kl_divergence"] == pytest.approx((crossed - own).mean()) and crossed.min() > 0
    perfect = Evaluated(**{**vars(evaluated), "probabilities": {"stored": votes}})
    row = scores.score_votes(clips, perfect)["stored"]
    assert row["kl_divergence"] == pytest.approx(0, abs=1e-6) and row["total_variation"] == 0
    assert row["spearman_entropy"] == pytest.approx(1)
    assert row["calibration_error"] == pytest.approx(0, abs=1e-6)
    surer = Evaluated(**{**vars(evaluated), "probabilities": {"stored": np.round(votes)}})
    distance = 1 - votes.max(-1)[votes.max(-1) > 0.5]
    rounded = scores.score_votes(clips, surer)["stored"]["calibration_error"]
    assert rounded >= distance.sum() / len(votes) - 1e-6 > 0


def test_table_shows_votes_and_leaves_unknown_classes_empty(rng):
    evaluated, clips = make_evaluated(rng), make_clips()
    fold = types.SimpleNamespace(name="holdout")
    table = report.table(clips, [fold], evaluated)
    classes = scores.classes_of(evaluated.labels)
    names = np.array([*CLASSES, ""])
    assert table["label"].tolist() == names[classes].tolist()
    votes = table[[f"votes_{name}" for name in CLASSES]].to_numpy()
    np.testing.assert_allclose(votes, evaluated.labels[:, 0], atol=1e-5)
    np.testing.assert_allclose(table["entropy_of_votes"], entropy(votes), atol=1e-4)
    assert (table["predicted_stored"] == names[evaluated.probabilities["stored"].argmax(-1)]).all()


def test_tables_are_those_of_a_classifier_on_clips_of_one_class(rng):
    evaluated, clips = make_evaluated(rng), make_clips()
    own, _, (_, folds, _) = make_content(evaluated, clips)
    tables = {part.name: part.rows for part in report.parts(clips, folds, evaluated, own)}
    rows = tables["classes"]
    shown = rows[(rows["class"] == "mean") & (rows["inference mode"] == "MC dropout")]
    assert shown["clips"].tolist() == [own["votes"]["clips_of_one_class"]]
    assert {"confusion", "folds"} <= tables.keys()


def test_report_tells_how_near_predictions_are_to_votes(rng):
    evaluated, clips = make_evaluated(rng), make_clips()
    undecided = scores.classes_of(evaluated.labels).argmin()
    own, curves, _ = make_content(evaluated, clips, chosen=[clips.clip_ids[undecided]])
    text = "\n".join(report.lines(own))
    assert f"those of {own['votes']['clips_of_one_class']} of 60 clips" in text
    assert f"{own['votes']['inference_modes']['stored']['spearman_entropy']:.4f}" in text
    drawn = {name: figure for name, figure, _ in report.figures(clips, evaluated, own, curves)}
    assert {"confusion", "reliability", "entropies", "clip_least_certain"} <= drawn.keys()
    assert not any("(true)" in text for text in check_legible(drawn["clip_chosen_1"]))
    assert any("(true)" in text for text in check_legible(drawn["clip_least_certain"]))
    check_legible(drawn["entropies"])
    texts = check_legible(drawn["reliability"])
    error = own["votes"]["inference_modes"]["mc_dropout"]["calibration_error"]
    assert "share of the votes" in texts and any(f"{error:.3f}; 60 clips" in t for t in texts)


def test_clips_without_any_class_have_no_score():
    labels = read_votes([[5, 5, 0], [3, 3, 3]], 3, "majority")
    with pytest.raises(ValueError, match="fold1: the votes for no clip .*vote_rule"):
        TASK.check_labels(labels, "fold1")
    TASK.check_labels(np.concatenate([labels, read_votes([[9, 0, 0]], 3, "majority")]), "fold1")


def test_ratings_of_a_distribution_are_those_of_votes(rng):
    votes = rng.integers(0, 9, (6, 8)) + np.eye(8)[:6]
    shares = votes / votes.sum(1, keepdims=True)
    mean, deviation = ratings_of(shares, FERPLUS_EMOTIONS)
    np.testing.assert_allclose(mean, vad(votes), rtol=1e-6)
    drawn = rng.choice(8, 200_000, p=shares[0])
    rated = vad(np.eye(8))[drawn]
    np.testing.assert_allclose(deviation[0], rated.std(0), rtol=0.01)
    assert not ratings_of(np.eye(8), FERPLUS_EMOTIONS)[1].any()  # everybody sees the same
    assert are_rated(FERPLUS_EMOTIONS[:3]) and not are_rated(("happiness", "yawn"))
    clips = types.SimpleNamespace(classes=FERPLUS_EMOTIONS)
    labels = np.stack([shares, np.eye(8)[:6]], 1)
    given = types.SimpleNamespace(mode="stored", probabilities={"stored": shares}, labels=labels)
    found = scores.score_ratings(clips, given)
    assert list(found) == ["valence", "arousal", "dominance"]
    assert found["valence"]["rmse"] == pytest.approx(0, abs=1e-9)
    assert found["arousal"]["ccc"] == pytest.approx(1)
