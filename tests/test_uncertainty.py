"""BatchNorm recalibration, Monte Carlo dropout, calibration and selective prediction."""

import subprocess
import sys

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from fer_jax import uncertainty
from fer_jax.layers.batch_norm import BatchNorm
from fer_jax.systems.st_bln.network import STBLN


class UserModel(nn.Module):
    """What a user may bring: the BatchNorm and Dropout of Flax."""

    rate: float = 0.5

    @nn.compact
    def __call__(self, x, *, train, dropout=None):
        active = train if dropout is None else dropout
        x = nn.BatchNorm(use_running_average=not train, momentum=0.97)(x)
        x = nn.relu(nn.Dense(8)(x))
        x = nn.Dropout(self.rate, deterministic=not active)(x)
        x = nn.BatchNorm(use_running_average=not train)(x)
        return nn.Dense(3)(x)


def rows(seed=0, count=24, features=5):
    rng = np.random.default_rng(seed)
    return jnp.asarray(rng.normal(100, 20, (count, features)) * [1, 1, 5, 1, 0.1], jnp.float32)


def clips(count=12):
    offset = np.array([80.0, -40.0])  # pixels: brow to nose
    return jnp.asarray(np.random.default_rng(1).normal(offset, 5, (count, 4, 7, 2)), jnp.float32)


def model_and_batches(name):
    if name == "user":
        return UserModel(), jnp.split(rows(), 3)
    return STBLN(classes=3, widths=(4, 6)), jnp.split(clips(), 3)


def statistics_of(model):
    def statistics(variables, inputs):
        return model.apply(variables, inputs, train=True, dropout=False, mutable=["batch_stats"])[
            1
        ]["batch_stats"]

    return jax.jit(statistics)


def inputs_of_norms(model, variables, inputs):
    """What enters every BatchNorm in a forward pass in training mode, by path."""
    seen = {}

    def record(call, args, kwargs, context):
        if isinstance(context.module, (BatchNorm, nn.BatchNorm)) and context.method_name == (
            "__call__"
        ):
            seen[context.module.path] = np.asarray(args[0], np.float64)
        return call(*args, **kwargs)

    with nn.intercept_methods(record):
        model.apply(variables, inputs, train=True, dropout=False, mutable=["batch_stats"])
    return seen


@pytest.mark.parametrize("name", ["user", "st_bln"])
def test_recalibrated_statistics_are_those_computed_directly(name):
    model, batches = model_and_batches(name)
    variables = model.init(jax.random.key(0), batches[0], train=False)
    stale = jax.tree.map(lambda leaf: leaf + 3.0, variables["batch_stats"])
    variables = {**variables, "batch_stats": stale}
    stats = uncertainty.recalibrate_batch_norm(statistics_of(model), variables, batches)
    assert jax.tree.structure(stats) == jax.tree.structure(stale)
    entering = [inputs_of_norms(model, variables, batch) for batch in batches]
    for path in entering[0]:
        leaf = stats
        for part in path:
            leaf = leaf[part]
        values = [seen[path].reshape(-1, seen[path].shape[-1]) for seen in entering]
        means = np.array([value.mean(0) for value in values])
        # Flax stores the variance of the batch, ours the unbiased estimate of PyTorch.
        within = np.array([value.var(0, ddof=int(name == "st_bln")) for value in values])
        spread = np.maximum(within.mean(0), 1e-12) ** 0.5
        assert np.abs((leaf["mean"] - means.mean(0)) / spread).max() < 2e-4
        np.testing.assert_allclose(leaf["var"], within.mean(0) + means.var(0), rtol=3e-4, atol=1e-6)


def test_with_one_batch_inference_is_the_training_pass_without_dropout():
    model, inputs = UserModel(), rows()
    variables = model.init(jax.random.key(0), inputs, train=False)
    stats = uncertainty.recalibrate_batch_norm(statistics_of(model), variables, [inputs])
    expected, _ = model.apply(variables, inputs, train=True, dropout=False, mutable=["batch_stats"])
    logits = model.apply({**variables, "batch_stats": stats}, inputs, train=False)
    np.testing.assert_allclose(logits, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("mean, deviation", [(1000.0, 0.5), (0.0, 1e-3), (-300.0, 1e3)])
def test_recalibrated_statistics_of_a_distant_mean(mean, deviation):
    inputs = np.float32(np.random.default_rng(0).normal(mean, deviation, (4, 24, 5)))
    norm = BatchNorm()
    variables = norm.init(jax.random.key(0), inputs[0], train=False)

    def statistics(variables, inputs):
        return norm.apply(variables, inputs, train=True, mutable=["batch_stats"])[1]["batch_stats"]

    found = uncertainty.recalibrate_batch_norm(jax.jit(statistics), variables, inputs)
    wide = inputs.astype(np.float64)
    expected = wide.var(1, ddof=1).mean(0) + wide.mean(1).var(0)
    np.testing.assert_allclose(found["mean"], wide.mean((0, 1)), rtol=1e-6, atol=1e-3 * deviation)
    np.testing.assert_allclose(found["var"], expected, rtol=1e-3)


def test_recalibration_needs_a_batch():
    model = UserModel()
    variables = model.init(jax.random.key(0), rows(), train=False)
    with pytest.raises(ValueError, match="at least one batch"):
        uncertainty.recalibrate_batch_norm(statistics_of(model), variables, [])


@pytest.fixture(scope="module", params=["user", "st_bln"])
def sampler(request):
    """Function `(mc_samples, chunk, seed, rate) -> [S, B, C]` on one model."""
    _, batches = model_and_batches(request.param)
    inputs = batches[0]
    if request.param == "user":  # a fresh BatchNorm in inference mode scales nothing
        inputs = (inputs - inputs.mean(0)) / inputs.std(0)

    def sample(mc_samples=12, chunk=0, seed=0, rate=0.5):
        if request.param == "user":
            model = UserModel(rate)
        else:
            model = STBLN(classes=3, widths=(4, 6), dropout=rate)
        variables = model.init(jax.random.key(0), inputs, train=False)
        run = jax.jit(
            lambda key: uncertainty.mc_dropout(
                uncertainty.stochastic(model),
                variables,
                inputs,
                key,
                mc_samples=mc_samples,
                chunk=chunk,
            )
        )
        plain = jax.nn.softmax(model.apply(variables, inputs, train=False), -1)
        return np.asarray(run(jax.random.key(seed))), np.asarray(plain)

    return sample


def test_samples_are_distributions_that_differ(sampler):
    samples, plain = sampler()
    assert samples.shape == (12, *plain.shape)
    np.testing.assert_allclose(samples.sum(-1), 1, rtol=1e-5)
    flat = samples.reshape(12, -1)
    assert len(np.unique(flat.round(6), axis=0)) == 12
    assert (samples != sampler(seed=1)[0]).any()
    np.testing.assert_array_equal(samples, sampler()[0])


def test_without_dropout_every_sample_is_the_plain_prediction(sampler):
    samples, plain = sampler(mc_samples=3, rate=0.0)
    np.testing.assert_allclose(samples, np.broadcast_to(plain, samples.shape), atol=1e-6)
    np.testing.assert_array_equal(samples, samples[:1].repeat(3, 0))


def test_chunks_do_not_change_the_samples(sampler):
    whole, _ = sampler(chunk=12)
    for chunk in (1, 4, 5, 100):  # 5 does not divide 12: 4 are taken
        np.testing.assert_allclose(sampler(chunk=chunk)[0], whole, atol=1e-5)


def test_prime_number_of_samples(sampler):
    assert sampler(mc_samples=7, chunk=3)[0].shape[0] == 7


PROBABILITIES = st.tuples(st.integers(1, 8), st.integers(1, 5), st.integers(2, 9)).flatmap(
    lambda shape: npst.arrays(np.float64, shape, elements=st.floats(0, 1)).map(
        lambda x: (x + 1e-9) / (x + 1e-9).sum(-1, keepdims=True)
    )
)


@settings(max_examples=150, deadline=None)
@given(PROBABILITIES)
def test_bounds_of_the_summary(samples):
    summary = uncertainty.summarise(samples)
    classes = samples.shape[-1]
    np.testing.assert_allclose(summary.mean.sum(-1), 1)
    assert (summary.variance >= 0).all() and (summary.variance <= 0.25 + 1e-9).all()
    assert (summary.entropy >= -1e-9).all()
    assert (summary.entropy <= np.log(classes) + 1e-9).all()
    assert (summary.mutual_information >= 0).all()
    assert (summary.mutual_information <= summary.entropy + 1e-9).all()
    assert (summary.agreement >= 0).all() and (summary.agreement <= 1).all()
    for value in summary:
        assert np.isfinite(value).all() and value.shape[0] == samples.shape[1]


def test_entropy_of_sure_and_of_even():
    np.testing.assert_allclose(uncertainty.entropy([[1, 0, 0], [1 / 3] * 3]), [0, np.log(3)],
                               atol=1e-12)  # fmt: skip


def test_samples_that_agree_have_no_mutual_information():
    samples = np.tile([[[0.6, 0.4]]], (5, 1, 1))
    summary = uncertainty.summarise(samples)
    assert summary.mutual_information == pytest.approx(0, abs=1e-12)
    opposed = np.array([[[1.0, 0.0]], [[0.0, 1.0]]])
    assert uncertainty.summarise(opposed).mutual_information == pytest.approx(np.log(2))


# Calibration, by hand: five bins, five clips.
CONFIDENCE = np.array([0.95, 0.85, 0.75, 0.65, 0.55])
RIGHT = np.array([True, False, True, True, False])


def two_classes(confidence, right):
    probabilities = np.stack([confidence, 1 - confidence], -1)
    return probabilities, np.where(right, 0, 1)


def test_calibration_error_by_hand():
    probabilities, labels = two_classes(CONFIDENCE, RIGHT)
    # (0.8, 1]: mean 0.90, 1 of 2 right; (0.6, 0.8]: 0.70, 2 of 2; (0.4, 0.6]: 0.55, 0 of 1
    expected = (2 * 0.4 + 2 * 0.3 + 1 * 0.55) / 5
    error = uncertainty.expected_calibration_error(probabilities, labels, bins=5)
    assert error == pytest.approx(expected)
    confidence, accuracy, count = uncertainty.reliability_bins(probabilities, labels, bins=5)
    assert count.tolist() == [0, 0, 1, 2, 2]
    np.testing.assert_allclose(confidence, [np.nan, np.nan, 0.55, 0.7, 0.9])
    np.testing.assert_allclose(accuracy, [np.nan, np.nan, 0, 1, 0.5])


def test_edges_of_the_bins():
    probabilities, labels = two_classes(np.array([1.0, 0.6, 0.5]), np.array([True] * 3))
    _, _, count = uncertainty.reliability_bins(probabilities, labels, bins=5)
    assert count.tolist() == [0, 0, 2, 0, 1]  # a bin holds its upper edge
    assert np.isnan(uncertainty.expected_calibration_error(np.zeros((0, 2)), []))


def test_sure_and_right_is_calibrated():
    probabilities, labels = two_classes(np.ones(4), np.ones(4, bool))
    assert uncertainty.expected_calibration_error(probabilities, labels) == 0


# Selective prediction. Uncertainty 0.1 right, 0.2 right and wrong, 0.5 right, 0.9 wrong.
UNCERTAINTY = np.array([0.1, 0.2, 0.2, 0.5, 0.9])
CORRECT = np.array([True, True, False, True, False])


def test_risk_and_coverage_by_hand():
    coverage, risk = uncertainty.risk_coverage(UNCERTAINTY, CORRECT)
    np.testing.assert_allclose(coverage, [0.2, 0.6, 0.8, 1.0])
    np.testing.assert_allclose(risk, [0, 1 / 3, 1 / 4, 2 / 5])
    area = 0.2 * 0 + 0.4 / 3 + 0.2 / 4 + 0.2 * 2 / 5
    assert uncertainty.area_under_risk_coverage(UNCERTAINTY, CORRECT) == pytest.approx(area)


EVALUATED = st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=40)


@settings(max_examples=100, deadline=None)
@given(EVALUATED, st.randoms(use_true_random=False))
def test_order_of_the_clips_does_not_matter_even_with_ties(evaluated, random):
    shuffled = random.sample(evaluated, len(evaluated))
    first, second = (
        uncertainty.risk_coverage(*(np.array(column) for column in zip(*rows, strict=True)))
        for rows in (evaluated, shuffled)
    )
    np.testing.assert_array_equal(first, second)
    coverage, risk = first
    assert len(coverage) == len({value for value, _ in evaluated})
    assert coverage[-1] == 1 and (np.diff(coverage) > 0).all()
    assert risk[-1] == pytest.approx(np.mean([not right for _, right in evaluated]))


@settings(max_examples=100, deadline=None)
@given(EVALUATED, st.sampled_from([0.0, 0.5, 0.8, 1.0]))
def test_threshold_reaches_the_target_and_is_the_largest_that_does(evaluated, target):
    values, correct = (np.array(column) for column in zip(*evaluated, strict=True))
    threshold = uncertainty.abstain_threshold(values, correct, target)
    coverage, accuracy = uncertainty.selective_accuracy(values, correct, threshold)
    larger = [value for value in np.unique(values) if value > threshold]
    if np.isneginf(threshold):
        assert coverage == 0 and np.isnan(accuracy)
    else:
        assert coverage > 0 and accuracy >= target
    for value in larger:
        assert correct[values <= value].mean() < target


def test_threshold_by_hand():
    assert uncertainty.abstain_threshold(UNCERTAINTY, CORRECT, 1.0) == 0.1
    assert uncertainty.abstain_threshold(UNCERTAINTY, CORRECT, 0.7) == 0.5
    assert uncertainty.abstain_threshold(UNCERTAINTY, CORRECT, 0.6) == 0.9
    assert uncertainty.selective_accuracy(UNCERTAINTY, CORRECT, 0.5) == pytest.approx((0.8, 0.75))
    assert uncertainty.abstain_threshold([0.1, 0.2], [False, False], 0.5) == float("-inf")


def test_package_loads_only_what_is_used():
    code = (
        "import sys; from fer_jax import uncertainty; loaded = set(sys.modules); "
        "uncertainty.risk_coverage; "
        "print({'jax', 'numpy'} & loaded or {'jax', 'scipy', 'matplotlib'} & set(sys.modules))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "set()"
    assert all(hasattr(uncertainty, name) for name in uncertainty.__all__)
    with pytest.raises(AttributeError, match="no attribute 'uncertainty'"):
        uncertainty.uncertainty  # noqa: B018


@pytest.mark.parametrize("outputs", [[2.0, -1.0], [0.9, 0.9]])
def test_logits_are_no_probabilities(outputs):
    with pytest.raises(ValueError, match="take the softmax of logits"):
        uncertainty.summarise(np.full((3, 2, 2), outputs))
