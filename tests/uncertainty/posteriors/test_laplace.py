"""The Laplace approximation of a last layer."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from fer_jax import uncertainty
from tests.quick import quick
from tests.uncertainty.posteriors.plain_models import Plain, rows, started

KEY = jax.random.key(5)


def drawn(likelihood, count=40, features=3, outputs=3, frames=()):
    """A layer, features and labels that do not determine it."""
    rng = np.random.default_rng(0)
    layer = uncertainty.LastLayer(
        ("head",),
        jnp.asarray(rng.normal(0, 0.7, (features, outputs)), jnp.float32),
        jnp.asarray(rng.normal(0, 0.3, outputs), jnp.float32),
        not frames,
    )
    x = rng.normal(size=(count, *frames, features)).astype(np.float32)
    if likelihood == "softmax":
        return layer, x, rng.integers(0, outputs, count)
    labels = rng.normal(size=(count, outputs))
    labels = labels if likelihood == "gaussian" else (labels > 0).astype(float)
    labels[1, 0] = np.nan
    return layer, x, labels


def loss_of(likelihood, x, labels, noise=1.0):
    """Negative log-likelihood of weights `[D + 1, C]`, written with JAX alone."""
    x = x.reshape(len(x), -1, x.shape[-1])
    known = 1.0 - np.isnan(labels)
    labels = np.nan_to_num(labels).astype(int if likelihood == "softmax" else float)

    def loss(head):
        outputs = x @ head[:-1] + head[-1]  # [N, positions, C]
        if likelihood == "softmax":
            logs = jnp.take_along_axis(jax.nn.log_softmax(outputs), labels[:, None, None], axis=-1)[
                ..., 0
            ]
            return -logs.mean(1).sum()
        if likelihood == "sigmoid":
            sign = 2 * labels[:, None] - 1
            return -(known[:, None] * jax.nn.log_sigmoid(sign * outputs)).mean(1).sum()
        error = known[:, None] * jnp.square(outputs - labels[:, None]) / noise
        return 0.5 * error.mean(1).sum()

    return loss


def covariance(laplace, count=3):
    """Exact covariance of the weights, outputs first, from the curvature."""
    mean = jnp.concatenate([laplace.layer.kernel, laplace.layer.bias[None]])
    draw = functools.partial(laplace.curvature.draw, precision=laplace.precision, outputs=count)
    noise = jax.random.normal  # the draw is linear in the noise: unit vectors give its matrix
    columns, size = [], mean.size
    for index in range(size):
        unit = jnp.zeros(size).at[index].set(1.0)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(jax.random, "normal", lambda key, shape, unit=unit: unit.reshape(shape))
            columns.append(draw(KEY, count=1)[0].T.ravel())
    assert jax.random.normal is noise
    matrix = np.stack(columns, 1)
    return matrix @ matrix.T


@pytest.mark.parametrize("frames", [(), (2,)], ids=["clips", "frames"])
@pytest.mark.parametrize("likelihood", ["softmax", "sigmoid", "gaussian"])
def test_covariance_is_that_of_the_hessian(likelihood, frames):
    layer, x, labels = drawn(likelihood, frames=frames)
    noise = np.array([0.5, 1.0, 2.0])
    options = {"noise_variance": noise} if likelihood == "gaussian" else {}
    laplace = uncertainty.fit_laplace(
        layer, x, labels, likelihood=likelihood, precision=0.7, **options
    )
    head = jnp.concatenate([layer.kernel, layer.bias[None]])
    hessian = quick(jax.hessian(loss_of(likelihood, x, labels, noise)))(head)
    hessian = np.asarray(hessian.transpose(1, 0, 3, 2), np.float64).reshape(head.size, -1)
    expected = np.linalg.inv(hessian + 0.7 * np.eye(head.size))
    np.testing.assert_allclose(covariance(laplace), expected, rtol=2e-3, atol=2e-5)


def test_linear_regression_has_its_posterior_and_evidence_in_closed_form():
    """Bishop, Pattern Recognition and Machine Learning, 2006, equations 3.53, 3.54 and 3.86."""
    rng = np.random.default_rng(1)
    x, precision, noise = rng.normal(size=(30, 3)), 2.5, 0.4
    phi = np.concatenate([x, np.ones((30, 1))], 1)
    y = phi @ [0.5, -1.0, 0.3, 4.0] + noise**0.5 * rng.normal(size=30)
    prior = np.diag([precision] * 3 + [0.0])  # of the bias: around its fitted value
    weights = np.linalg.solve(phi.T @ phi / noise + prior, phi.T @ y / noise)
    layer = uncertainty.LastLayer(
        ("head",), jnp.asarray(weights[:3, None], jnp.float32), jnp.asarray(weights[3:]), True
    )
    fit = functools.partial(
        uncertainty.fit_laplace, layer, x, y[:, None], likelihood="gaussian", noise_variance=noise
    )
    laplace = fit(precision=precision)
    expected = np.linalg.inv(phi.T @ phi / noise + precision * np.eye(4))
    np.testing.assert_allclose(covariance(laplace, 1), expected, rtol=1e-3, atol=1e-6)
    mean = np.full(30, weights[3])
    own = stats.multivariate_normal(mean, noise * np.eye(30) + phi @ phi.T / precision)
    assert laplace.log_evidence == pytest.approx(own.logpdf(y), abs=1e-2)
    best = fit()
    for factor in (0.8, 1.25):
        assert fit(precision=best.precision * factor).log_evidence < best.log_evidence
    kronecker = fit(precision=precision, largest_block=0)  # exact for values
    np.testing.assert_allclose(covariance(kronecker, 1), expected, rtol=1e-3, atol=1e-6)
    assert kronecker.log_evidence == pytest.approx(laplace.log_evidence, abs=1e-2)


def test_kronecker_form_is_the_product_of_its_means():
    layer, x, labels = drawn("softmax")
    laplace = uncertainty.fit_laplace(layer, x, labels, precision=0.7, largest_block=0)
    phi = np.concatenate([x, np.ones((40, 1))], 1).astype(float)
    p = np.asarray(jax.nn.softmax(x @ layer.kernel + layer.bias), float)
    mean = (np.eye(3) * p[:, None] - p[:, :, None] * p[:, None]).mean(0)
    expected = np.linalg.inv(np.kron(mean, phi.T @ phi) + 0.7 * np.eye(12))
    np.testing.assert_allclose(covariance(laplace), expected, rtol=2e-3, atol=2e-5)


@pytest.mark.parametrize("largest_block", [0, 1024])
def test_draws_have_mean_and_covariance(largest_block):
    layer, x, labels = drawn("softmax")
    laplace = uncertainty.fit_laplace(layer, x, labels, largest_block=largest_block)
    heads = np.asarray(laplace.draw(KEY, 20_000), np.float64)
    mean = np.concatenate([layer.kernel, layer.bias[None]])
    np.testing.assert_allclose(heads.mean(0), mean, atol=0.03)
    found = np.cov(heads.swapaxes(1, 2).reshape(len(heads), -1).T)
    assert np.abs(found - covariance(laplace)).max() < 0.05 * np.abs(found).max()


def test_samples_of_a_plain_model_are_those_of_its_heads():
    module, x = Plain(), rows(12)
    variables = started(module)
    labels = np.arange(12) % 3
    layer = uncertainty.find_last_layer(module.apply, variables, x)
    features = uncertainty.last_layer_inputs(module.apply, variables, x, pooled=False)
    laplace = uncertainty.fit_laplace(layer, features, labels)
    sample = jax.jit(
        functools.partial(uncertainty.sample_laplace, module.apply, laplace=laplace, mc_samples=5)
    )
    samples = sample(variables, x, KEY)
    heads = laplace.draw(KEY, 5)
    expected = jax.nn.softmax(features @ heads[:, :-1] + heads[:, -1:])
    np.testing.assert_allclose(samples, expected, rtol=1e-4, atol=1e-5)


def test_frames_are_joined_by_the_model():
    class OfFrames(Plain):
        def __call__(self, x, *, train):
            return jax.nn.log_softmax(super().__call__(x)).mean(1)

    module, x = OfFrames(), rows(16).reshape(8, 2, 4)
    variables = started(Plain())
    layer = uncertainty.find_last_layer(module, variables, x)
    features = uncertainty.last_layer_inputs(module, variables, x, pooled=False)
    laplace = uncertainty.fit_laplace(layer, features, np.arange(8) % 3)
    samples = uncertainty.sample_laplace(module, variables, x, KEY, laplace=laplace, mc_samples=3)
    heads = laplace.draw(KEY, 3)
    own = jnp.einsum("btd,sdc->sbtc", features, heads[:, :-1]) + heads[:, None, None, -1]
    expected = jax.nn.softmax(jax.nn.log_softmax(own).mean(2))
    np.testing.assert_allclose(samples, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("likelihood", ["softmax", "sigmoid", "gaussian"])
def test_tuned_prior_predicts_held_out_labels_best(likelihood):
    layer, x, labels = drawn(likelihood)
    laplace = uncertainty.fit_laplace(layer, x, labels, likelihood=likelihood, precision=1e4)
    tuned = uncertainty.tune_precision(laplace, x, labels, KEY, mc_samples=30)
    phi = np.concatenate([x, np.ones((40, 1))], 1)

    def loss(each):
        outputs = phi @ np.asarray(each.draw(KEY, 30), float)
        return -each.likelihood.log_of_samples(outputs, labels).sum()

    others = [dataclasses.replace(laplace, precision=each) for each in (1e-3, 1e-1, 1e1, 1e3)]
    assert loss(tuned) <= min(map(loss, [laplace, *others])) < max(map(loss, others))


def test_tuned_prior_is_for_the_outputs_that_the_model_joins():
    layer, x, labels = drawn("softmax", frames=(2,))
    laplace = uncertainty.fit_laplace(layer, x, labels)

    def join(outputs):
        return jax.nn.log_softmax(3 * outputs).max(1)

    tuned = uncertainty.tune_precision(laplace, x, labels, KEY, mc_samples=20, join=join)

    def loss(precision):
        heads = dataclasses.replace(laplace, precision=precision).draw(KEY, 20)
        own = x[None] @ heads[:, None, :-1] + heads[:, None, None, -1]
        outputs = np.asarray([join(each) for each in own], np.float64)
        return -laplace.likelihood.log_of_samples(outputs, labels).sum()

    others = tuned.precision * np.array([1e-3, 1e-2, 1e-1, 1e1, 1e2, 1e3])
    least = min(map(loss, others))  # far below the best, precision changes rounding alone
    assert loss(tuned.precision) <= least * (1 + 1e-5) < max(map(loss, others))
    alone = uncertainty.tune_precision(laplace, x, labels, KEY, mc_samples=20)
    assert alone.precision != tuned.precision


REFUSED = {
    "likelihood": ({"likelihood": "poisson"}, "use one of softmax, sigmoid, gaussian"),
    "precision": ({"precision": 0.0}, "must be above 0, not 0.0"),
    "labels": ({"likelihood": "sigmoid"}, r"labels \[40\] do not go with outputs \[40, 3\]"),
    "rows": ({"labels": [0, 1]}, "40 rows of features do not go with 2 labels"),
    "features": ({"features": np.ones((40, 2))}, "takes 3 features, not 2"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_is_refused(name):
    options, problem = REFUSED[name]
    layer, x, labels = drawn("softmax")
    with pytest.raises(ValueError, match=problem):
        uncertainty.fit_laplace(layer, **{"features": x, "labels": labels} | options)


def test_a_layer_of_too_many_features_is_refused():
    layer = uncertainty.LastLayer(("head",), jnp.ones((9000, 2)), jnp.zeros(2), True)
    with pytest.raises(ValueError, match="takes 9000 features: more than 8191 are too many"):
        uncertainty.fit_laplace(layer, np.ones((2, 9000), np.float32), [0, 1])
