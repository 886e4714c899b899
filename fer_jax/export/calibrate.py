"""Calibrators of a bundle as functions that JAX traces, see `uncertainty.calibrators`."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from fer_jax.uncertainty.calibrators import FLOOR, Calibrator


def calibrated(probabilities, calibrator: Calibrator | tuple[Calibrator, ...]) -> jax.Array:
    """Calibrates probabilities `[..., C]` as `Calibrator.apply` does.

    Args:
      probabilities: mean of the samples or of the members.
      calibrator: of the classes, or one of each action unit.
    """
    p = jnp.asarray(probabilities)
    if isinstance(calibrator, Calibrator):
        return _APPLIED[calibrator.method](p, calibrator.parameters)
    units = [
        calibrated(jnp.stack([1.0 - p[..., unit], p[..., unit]], -1), own)[..., 1]
        for unit, own in enumerate(calibrator)
    ]
    return jnp.stack(units, -1)


def _log(p: jax.Array) -> jax.Array:
    return jnp.log(jnp.maximum(p, FLOOR))


def _isotonic(p: jax.Array, parameters) -> jax.Array:
    pairs = zip(parameters[::2], parameters[1::2], strict=True)
    shares = [
        jnp.interp(p[..., c], jnp.asarray(places), jnp.asarray(levels))
        for c, (places, levels) in enumerate(pairs)
    ]
    shares = jnp.stack(shares, -1)
    total = shares.sum(-1, keepdims=True)
    return jnp.where(total > 0, shares / jnp.where(total > 0, total, 1.0), p)


_APPLIED = {
    "none": lambda p, parameters: p,
    "temperature": lambda p, parameters: jax.nn.softmax(_log(p) / parameters[0][0]),
    "vector": lambda p, parameters: jax.nn.softmax(
        jnp.asarray(parameters[0]) * _log(p) + jnp.asarray(parameters[1])
    ),
    "isotonic": _isotonic,
}
