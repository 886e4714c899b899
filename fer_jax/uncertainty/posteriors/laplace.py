"""Laplace approximation of the last layer: a normal distribution over its weights.

The network in front of the layer stays as trained. The mean is the trained weights, the precision
the curvature of the training loss there plus that of the prior. The prior of the kernel has mean 0,
that of the bias its trained value, so that a bias at the labels' mean does not count as a large
weight; both have the same precision.

Source: MacKay, Neural Computation 1992 (evidence); Daxberger et al., "Laplace Redux", NeurIPS 2021.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from fer_jax.uncertainty.posteriors.curvature import (
    LARGEST_BLOCK,
    Blocks,
    Kronecker,
    make_curvature,
)
from fer_jax.uncertainty.posteriors.last_layer import (
    LastLayer,
    last_layer_inputs,
    outputs_from_last_layer,
)
from fer_jax.uncertainty.posteriors.likelihoods import Gaussian, Sigmoid, Softmax

LIKELIHOODS = ("softmax", "sigmoid", "gaussian")
_PRECISIONS = np.logspace(-4, 8, 121)  # of the prior


@dataclasses.dataclass(frozen=True)
class Laplace:
    """The distribution of the weights of a last layer.

    Attributes:
      layer: the trained layer, its mean.
      likelihood: what its outputs mean.
      curvature: of the loss of the training examples.
      precision: of the prior, for every weight.
      log_evidence: log-likelihood of the training labels under the prior, nats.
    """

    layer: LastLayer
    likelihood: Softmax | Sigmoid | Gaussian
    curvature: Blocks | Kronecker
    precision: float
    log_evidence: float

    def draw(self, key: jax.Array, count: int) -> jax.Array:
        """Draws kernels with their bias as last row, `[count, D + 1, C]`."""
        outputs = self.layer.kernel.shape[1]
        mean = jnp.concatenate([self.layer.kernel, self.layer.bias[None]])
        return mean + self.curvature.draw(key, self.precision, count, outputs)


def fit_laplace(
    layer: LastLayer, features, labels, *, likelihood: str = "softmax",
    precision: float | None = None, noise_variance=None, largest_block: int = LARGEST_BLOCK,
) -> Laplace:  # fmt: skip
    """Fits the distribution of the weights of a trained last layer.

    Args:
      layer: of `find_last_layer`.
      features: of the training examples, `[N, D]` of `last_layer_inputs(..., pooled=False)`; or
        `[N, ..., D]`, whose positions (frames of a clip) are examples that share the label and
        together weigh as much as one.
      labels: "softmax": classes `[N]`, or shares of votes `[N, C]`; "sigmoid": units `[N, C]`, 0 or
        1; "gaussian": values `[N, C]`. NaN is unknown.
      likelihood: one of `LIKELIHOODS`.
      precision: of the prior; None: the one of the largest evidence. Weight decay d of a mean loss
        over N examples is a precision of d * N.
      noise_variance: of "gaussian", `[C]`; None: the mean squared residual of these labels.
      largest_block: see `curvature`: above it the Kronecker form is used, 0 forces it.

    Raises:
      ValueError: a likelihood, number of rows or precision that does not exist or fit.
    """
    phi, labels, weights = _examples(features, labels)
    outputs = _outputs(layer, phi)
    own = _likelihood(likelihood, outputs, labels, noise_variance)
    curvature = make_curvature(phi, own.second(outputs, labels), weights, largest_block)
    fit = float((weights * own.log(outputs, labels)).sum())
    norm = float(np.square(np.asarray(layer.kernel, np.float64)).sum())
    evidence = _evidence(fit, norm, np.asarray(curvature.values, np.float64).ravel())
    if precision is None:
        precision = _largest(evidence)
    if not precision > 0:
        raise ValueError(f"the precision of the prior must be above 0, not {precision}")
    return Laplace(layer, own, curvature, float(precision), float(evidence(precision)))


def tune_precision(
    laplace: Laplace, features, labels, key: jax.Array, *, mc_samples: int = 100,
    join: Callable | None = None,
) -> Laplace:  # fmt: skip
    """Returns the distribution with the prior under which held-out labels are likeliest.

    Args:
      laplace: of `fit_laplace`.
      features, labels: see `fit_laplace`, of people it was not fitted to.
      key, mc_samples: of the samples whose mean predicts.
      join: how the model makes its outputs of those at several positions, `[N, ..., C] -> [N, C]`,
        jit-able; None: each position is an example, as for `fit_laplace`.
    """
    if join is None:
        phi, labels, weights = _examples(features, labels)
        features, join = phi[:, :-1], jnp.asarray
    else:
        weights = np.ones(len(labels))
    rows, labels = jnp.asarray(features, jnp.float32), np.asarray(labels)

    @jax.jit
    def outputs(precision):
        heads = dataclasses.replace(laplace, precision=precision).draw(key, mc_samples)
        return jax.vmap(lambda head: join(rows @ head[:-1] + head[-1]))(heads)

    def loss(precision) -> float:
        samples = np.asarray(outputs(precision), np.float64)
        return -float((weights * laplace.likelihood.log_of_samples(samples, labels)).sum())

    best = min(_PRECISIONS[::5], key=loss)
    return dataclasses.replace(laplace, precision=float(best))


def sample_laplace(
    model, variables, inputs, key: jax.Array, *, laplace: Laplace, mc_samples: int = 100,
    probabilities: Callable = jax.nn.softmax,
) -> jax.Array:  # fmt: skip
    """Predicts the same inputs by last layers drawn from their distribution.

    Args:
      model, variables, inputs: see `last_layer_inputs`; evaluated once.
      key: of the draws.
      laplace: of `fit_laplace`.
      mc_samples: S.
      probabilities: applied to the outputs, over the last axis; for values the identity. Samples
        of values are without the noise of the labels.

    Returns:
      `[S, B, C]`. Jit-able.
    """
    heads = laplace.draw(key, mc_samples)
    return predict_by_layers(
        model, variables, inputs, laplace.layer, heads, probabilities=probabilities
    )


def predict_by_layers(
    model, variables, inputs, layer: LastLayer, heads, *, probabilities: Callable = jax.nn.softmax
) -> jax.Array:
    """Predicts the same inputs by several last layers.

    Args:
      model, variables, inputs: see `last_layer_inputs`; evaluated once.
      layer: which one it is; its weights do not count.
      heads: of `Laplace.draw`, `[S, D + 1, C]`.
      probabilities: see `sample_laplace`.

    Returns:
      `[S, B, C]`. Jit-able.
    """
    features = last_layer_inputs(model, variables, inputs, pooled=False)
    own = jnp.einsum("b...d,sdc->sb...c", features, heads[:, :-1])
    bias = heads[:, -1].reshape(len(heads), *[1] * (features.ndim - 1), -1)

    def rest(outputs):
        return outputs_from_last_layer(model, variables, inputs, layer, outputs)

    return probabilities(jax.vmap(rest)(own + bias))


def _examples(features, labels) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features with a one behind them `[N, D + 1]`, labels and weights of all positions."""
    features, labels = np.asarray(features, np.float64), np.asarray(labels)
    if len(features) != len(labels) or not len(labels):
        raise ValueError(f"{len(features)} rows of features do not go with {len(labels)} labels")
    positions = int(np.prod(features.shape[1:-1]))
    rows = features.reshape(-1, features.shape[-1])
    phi = np.concatenate([rows, np.ones((len(rows), 1))], 1)
    return phi, labels.repeat(positions, 0), np.full(len(rows), 1 / positions)


def _outputs(layer: LastLayer, phi: np.ndarray) -> np.ndarray:
    kernel, bias = (np.asarray(each, np.float64) for each in (layer.kernel, layer.bias))
    if phi.shape[1] != len(kernel) + 1:
        raise ValueError(f"the layer takes {len(kernel)} features, not {phi.shape[1] - 1}")
    return phi[:, :-1] @ kernel + bias


def _likelihood(name: str, outputs: np.ndarray, labels: np.ndarray, noise_variance):
    if name not in LIKELIHOODS:
        raise ValueError(f"likelihood {name!r} is unknown: use one of {', '.join(LIKELIHOODS)}")
    if labels.shape != outputs.shape and (name != "softmax" or labels.ndim > 1):
        raise ValueError(
            f"labels {list(labels.shape)} do not go with outputs {list(outputs.shape)}"
        )
    if name != "gaussian":
        return Softmax() if name == "softmax" else Sigmoid()
    if noise_variance is None:
        noise_variance = np.nanmean(np.square(outputs - labels), 0)
    return Gaussian(np.broadcast_to(np.asarray(noise_variance, np.float64), outputs.shape[1:]))


def _evidence(fit: float, norm: float, values: np.ndarray) -> Callable[[float], float]:
    """Makes `precision -> log evidence`, from the log-likelihood and the squared kernel."""

    def evidence(precision) -> float:
        # log det (H + p I) - log det (p I)
        return fit - 0.5 * (precision * norm + np.log1p(values / precision).sum())

    return evidence


def _largest(evidence: Callable[[float], float]) -> float:
    from scipy.optimize import minimize_scalar

    best = int(np.argmax([evidence(precision) for precision in _PRECISIONS]))
    ends = np.log(_PRECISIONS[[max(best - 1, 0), min(best + 1, len(_PRECISIONS) - 1)]])
    found = minimize_scalar(lambda log: -evidence(np.exp(log)), bounds=ends, method="bounded")
    return float(np.exp(found.x))
