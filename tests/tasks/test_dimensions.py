"""Valence, arousal and dominance: loss, scores, intervals, abstaining."""

import dataclasses
import types

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from ml_collections import ConfigDict

from configs import base
from fer_jax import metrics
from fer_jax.data.clips import Clips
from fer_jax.data.folds import Fold
from fer_jax.experiments import validate, write_bundle
from fer_jax.faces import emotion_ratings
from fer_jax.faces.emotion_ratings import WORD_RATINGS
from fer_jax.tasks import TASKS
from fer_jax.tasks.dimensions import report, scores
from fer_jax.tasks.dimensions.scores import summarise_dimensions
from fer_jax.tasks.evaluation import Evaluated, Examples
from tests.tasks.trusted import trusted

TASK = TASKS["dimensional"]
NAMES = ("valence", "arousal")


def test_loss_of_the_paper():
    """Equation 2 with a = 2: e^2 + 2|e|, here of (.6, -.8) and (1.2, .9)."""
    labels = np.array([[5.0, 4.0], [6.0, 3.0]], np.float32)
    values = labels + np.array([[0.6, -0.8], [1.2, 0.9]], np.float32)
    batch = {"label": labels}
    expected = [(0.36 + 1.2 + 0.64 + 1.6) / 2, (1.44 + 2.4 + 0.81 + 1.8) / 2]
    np.testing.assert_allclose(TASK.loss(jnp.array(values), batch), expected, rtol=1e-5)
    np.testing.assert_array_equal(TASK.score(jnp.array(values), batch), [1, 0])  # .7071, 1.0607
    np.testing.assert_array_equal(TASK.probabilities(values), values)
    # T is reached, not undercut
    np.testing.assert_array_equal(TASK.score(jnp.array(labels + 1), batch), [0, 0])


def test_weight_of_the_absolute_error_is_a_field():
    """a of equation 2: 0 is the squared error alone, for one output a clip or a frame."""
    batch = {"label": jnp.array([[5.0, 4.0]])}
    values = batch["label"] + jnp.array([[0.6, -0.8]])
    for absolute, expected in ((0.0, 0.5), (2.0, 1.9), (0.5, 0.85)):
        task = TASK.configured(ConfigDict({"loss": {"absolute": absolute}}))
        np.testing.assert_allclose(task.loss(values, batch), [expected], rtol=1e-5)
        frames = jnp.stack([values, batch["label"]], 1)
        np.testing.assert_allclose(task.loss(frames, batch), [expected / 2], rtol=1e-5)
    assert TASK.configured(ConfigDict()) == TASK and TASK.absolute == 2.0


def test_perfect_prediction_has_a_finite_gradient():
    labels = jnp.array([[5.0, 4.0]])
    gradient = jax.grad(lambda v: TASK.loss(v, {"label": labels}).sum())
    assert (np.abs(gradient(labels)) <= 1).all()
    above, below = gradient(labels + 0.5), gradient(labels - 0.5)
    np.testing.assert_allclose(above, [[1.5, 1.5]])  # (2 e + 2) / D
    np.testing.assert_allclose(below, -above)


def test_summary_of_samples():
    samples = np.array([[[1.0, 4.0]], [[3.0, 4.0]]])
    spread = TASKS["dimensional"].summarise(samples)
    np.testing.assert_allclose(spread.mean, [[2, 4]])
    np.testing.assert_allclose(spread.variance, [[1, 0]])
    np.testing.assert_allclose(spread.uncertainty, np.sqrt([0.5]))
    np.testing.assert_allclose(spread.half_width(0.95), [[1.96, 0]], atol=1e-3)
    wider = spread._replace(residual=np.array([3.0, 0.25]))
    np.testing.assert_allclose(wider.half_width(), [[1.6449 * 2, 1.6449 / 2]], atol=1e-3)


def test_nearest_word():
    for word, place in emotion_ratings.word_points(NAMES).items():
        assert place == WORD_RATINGS[word][:2]
        assert emotion_ratings.nearest(np.array(place) + [0.05, 0.02], NAMES) == word
    assert len(emotion_ratings.word_points(NAMES)) == 8
    assert emotion_ratings.nearest([7.5, 6.2], ("valence", "dominance")) == "surprised"
    assert emotion_ratings.has_plane(("valence", "arousal", "dominance"))
    assert not emotion_ratings.has_plane(("valence", "dominance"))


# --- evaluation -----------------------------------------------------------------------------


def evaluated_images(count=1200, folds=1, mc_samples=40, validation=True, noise=0.4, seed=0):
    """MC samples vary by an amount of each image, labels by that and by `noise` besides."""
    rng = np.random.default_rng(seed)

    def split():
        own = rng.uniform(0.1, 0.8, (count, 1))
        true = rng.uniform(2, 8, (count, 2))
        centre = true + rng.normal(0, 1, (count, 2)) * np.sqrt(own**2 + noise**2)
        return true.astype(np.float32), centre + own * rng.normal(0, 1, (mc_samples, count, 2))

    labels, samples = split()
    validation = split() if validation else None
    return Evaluated(
        indices=np.arange(count),
        folds=np.arange(count) * folds // count,
        labels=labels,
        probabilities={"stored": samples[0], "mc_dropout": samples.mean(0)},
        samples=samples,
        summary=summarise_dimensions(samples),
        validation=validation and Examples(
            validation[0], summarise_dimensions(validation[1]),
            {"stored": validation[1][0], "mc_dropout": validation[1].mean(0)},
            np.arange(count), np.arange(count),
        ),
    )  # fmt: skip


@pytest.mark.parametrize(
    "folds, validation, source",
    [(1, True, "validation"), (4, False, "the other folds"), (1, False, "optimistic")],
)
def test_intervals_reach_nominal_coverage(folds, validation, source):
    evaluated = evaluated_images(folds=folds, validation=validation)
    found = scores.intervals(NAMES, trusted("dimensional", evaluated))
    assert source in found["measured_on"]
    np.testing.assert_allclose(found["residual_variance"], 0.4**2, rtol=0.2)
    for name in NAMES:
        row = found["predictive"][name]
        np.testing.assert_allclose(row["coverage"], found["levels"], atol=0.035)
        assert (np.diff(row["width"]) > 0).all()
        alone = found["mc_samples"][name]  # without the noise in the labels
        assert (np.array(alone["coverage"]) < np.array(found["levels"]) - 0.04).all()
        assert (np.array(alone["width"]) < row["width"]).all()


def test_residuals_of_a_fold_come_from_the_other_folds():
    evaluated = evaluated_images(folds=2, validation=False)
    labels = evaluated.labels.copy()
    labels[evaluated.folds == 1] += (
        3  # errors of one fold, to be seen in the intervals of the other
    )
    trust = trusted("dimensional", dataclasses.replace(evaluated, labels=labels)).trust
    assert trust.given.residual[evaluated.folds == 0].min() > 8
    assert trust.given.residual[evaluated.folds == 1].max() < 0.3
    assert 4 < trust.fitted.residual.min() < 6


def test_repeat_of_an_image_is_no_other_image():
    """Two repeats of two folds: those of the first half of the images are far off."""
    evaluated = evaluated_images(count=800, folds=4, validation=False)
    indices = np.tile(np.arange(400), 2)
    labels = evaluated.labels + 3 * (indices < 200)[:, None]
    evaluated = dataclasses.replace(evaluated, indices=indices, labels=labels, people=indices)
    residual = trusted("dimensional", evaluated).trust.given.residual
    assert residual[indices < 200].max() < 0.3 and residual[indices >= 200].min() > 8


def test_samples_with_more_spread_than_errors_leave_no_residual():
    evaluated = evaluated_images(noise=0.0)
    calm = dataclasses.replace(evaluated, labels=evaluated.summary.mean.clip(1, 9), validation=None)
    found = scores.intervals(NAMES, trusted("dimensional", calm))
    assert found["residual_variance"] == [0, 0]
    assert found["predictive"]["valence"]["coverage"] == [1, 1, 1, 1]


def clips_of(evaluated, **more):
    count = len(evaluated.labels)
    return types.SimpleNamespace(
        classes=NAMES, clip_ids=[f"fer{n:07d}" for n in range(count)], frames=None,
        subjects=[f"p{n}" for n in range(count)], **more,
    )  # fmt: skip


def content_of(evaluated, target=0.95):
    evaluation = types.SimpleNamespace(target_accuracy=target)
    own = types.SimpleNamespace(dataset="ferplus")
    protocol = base.get_config().protocol
    config = types.SimpleNamespace(
        evaluation=evaluation, method="mine", data=own, protocol=protocol
    )
    evaluated = trusted("dimensional", evaluated, target)
    folds = [Fold(f"fold{n}", None, None) for n in range(evaluated.folds[-1] + 1)]
    clips, history = clips_of(evaluated), pd.DataFrame({"fold": []})
    return clips, folds, *report.content(config, clips, folds, evaluated, history)


def test_inference_modes_hold_errors_and_label_deviation():
    evaluated = evaluated_images(count=300)
    _, _, found, _ = content_of(evaluated)
    own = found["inference_modes"]["mc_dropout"]
    error = evaluated.summary.mean - evaluated.labels
    distance = np.sqrt((error**2).mean(1))
    assert own["accuracy"] == (distance < 1).mean()
    low, high = own["interval_95_subjects"]
    assert low < own["accuracy"] < high
    np.testing.assert_allclose(
        own["accuracy_curve"], [(distance < t / 10).mean() for t in range(21)]
    )
    assert (distance <= own["threshold_for_kaggle"]).mean() == pytest.approx(0.7116, abs=0.004)
    row = own["dimensions"]["arousal"]
    assert row["label_deviation"] == pytest.approx(evaluated.labels[:, 1].std(), rel=1e-5)
    assert row["rmse"] == pytest.approx(np.sqrt((error[:, 1] ** 2).mean()))
    for key in ("rmse", "mae", "pearson", "ccc"):
        low, high = row[f"{key}_interval_95"]
        assert low < row[key] < high
    text = "\n".join(report.lines(found))
    for value in (row["rmse"], row["label_deviation"], own["accuracy"]):
        assert f"{value:.4f}" in text
    assert f"{row['rmse']:.4f} (labels +- {row['label_deviation']:.2f})" in (report.headline(own))


def test_threshold_holds_on_other_images():
    """Abstaining above the threshold chosen on validation images reaches the target on others."""
    evaluated = evaluated_images(count=2000, mc_samples=20)
    selective, _ = scores.abstaining(trusted("dimensional", evaluated, 0.97))
    overall = (metrics.distances(evaluated.summary.mean, evaluated.labels) < 1).mean()
    assert selective["chosen_on"] == "validation" and overall < 0.96
    assert selective["accuracy"] == pytest.approx(0.97, abs=0.01)
    assert 0.3 < selective["coverage"] < 0.95
    assert selective["area_under_risk_coverage"] < 1 - overall


def test_misleading_uncertainty_gives_no_threshold():
    """A single image that happens to be right does not make a threshold."""
    evaluated = evaluated_images(count=300)
    labels, summary, *_ = evaluated.validation
    far = metrics.distances(summary.mean, labels)
    # one right, then the worst
    uncertainty = np.where(np.arange(len(far)) == far.argmin(), -1.0, -far)
    wrong = dataclasses.replace(
        evaluated,
        validation=evaluated.validation._replace(summary=summary._replace(uncertainty=uncertainty)),
    )
    found, _ = scores.abstaining(trusted("dimensional", wrong, 0.99))
    assert found["threshold"] is None and found["coverage"] == 1.0
    assert found["error_of_all"] == pytest.approx(1 - found["accuracy"])


def test_images_come_from_the_best_to_the_worst():
    evaluated = evaluated_images(count=50)
    distance = np.linalg.norm(evaluated.summary.mean - evaluated.labels, axis=1)
    assert (np.diff(distance[report.order(evaluated)]) >= 0).all()


def test_table_of_predictions_names_its_columns():
    evaluated = evaluated_images(count=20)
    folds = [Fold("holdout", None, None)]
    evaluated = trusted("dimensional", evaluated, sets=0.0)  # intervals of a normal distribution
    table = scores.predictions(clips_of(evaluated), folds, evaluated)
    assert list(table)[:3] == ["clip", "subject", "fold"]
    for name in NAMES:
        residual = evaluated.trust.fitted.residual[NAMES.index(name)]
        half = 1.6449 * np.sqrt(table[f"std_{name}"] ** 2 + residual)
        for end, way in (("low", -1), ("high", 1)):  # the scale ends at 1 and 9
            expected = np.clip(table[name] + way * half, 1, 9)
            np.testing.assert_allclose(table[f"{end}_{name}"], expected, atol=1e-3)
    np.testing.assert_allclose(table["true_arousal"], evaluated.labels[:, 1], atol=1e-4)
    np.testing.assert_allclose(table["stored_valence"], evaluated.samples[0, :, 0], atol=1e-4)
    error = table[[*NAMES]].to_numpy() - evaluated.labels
    np.testing.assert_allclose(table["distance"], np.sqrt((error**2).mean(1)), atol=1e-4)


def test_without_dropout_there_are_no_mc_samples():
    evaluated = evaluated_images(count=40, mc_samples=1)
    evaluated = dataclasses.replace(evaluated, probabilities={"stored": evaluated.samples[0]})
    _, _, found, _ = content_of(evaluated)
    assert found["single_samples"] is None and "mc_samples" not in found["intervals"]
    assert "no MC samples" in "\n".join(report.lines(found))


def test_one_image_of_each_kind_is_no_failure():
    """Constant labels and predictions: no correlation, no interval, but a report."""
    evaluated = evaluated_images(count=3)
    constant = np.full((3, 2), 5.0)
    evaluated = dataclasses.replace(
        evaluated, labels=constant, probabilities={"stored": constant, "mc_dropout": constant}
    )
    found = content_of(evaluated)[2]
    assert np.isnan(found["inference_modes"]["stored"]["dimensions"]["valence"]["pearson"])
    assert "| - |" in "\n".join(report.lines(found))


def test_votes_are_of_whole_recordings():
    config = base.get_config()
    config.task, config.data.frame_rule = "dimensional", "windows"
    with pytest.raises(ValueError, match="labels belong to frames"):
        validate.check(config)


def test_still_stands_for_a_moment_of_a_video():
    def seconds(frames, rule, known=np.nan):
        data = types.SimpleNamespace(frames=frames, frame_rule=rule, train_on=())
        clips = Clips([""], [""], ["train"], np.zeros(1), None, np.array([known]), (), None)
        return write_bundle._window_seconds(types.SimpleNamespace(data=data), clips)

    assert seconds(1, "middles") == write_bundle.STILL_SECONDS == 0.2
    assert seconds(1, "middles", known=3.0) == 3.0
    assert seconds(4, "uniform") == 2.0 and seconds(5, "windows") == 0.2
