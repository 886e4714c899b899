"""Small models that a user may bring."""

import flax.linen as nn
import jax
import numpy as np


class Plain(nn.Module):
    """Neither dropout nor BatchNorm, nor the argument `train`; its last layer has no bias."""

    classes: int = 3
    scaled: float = 1.0
    normed: bool = False

    @nn.compact
    def __call__(self, x):
        x = nn.tanh(nn.Dense(5, name="hidden")(x))
        x = nn.Dense(self.classes, use_bias=False, name="score")(x)
        return nn.LayerNorm(name="norm")(x) if self.normed else self.scaled * x


class Dropping(nn.Module):
    """Flax's own BatchNorm and Dropout."""

    @nn.compact
    def __call__(self, x, *, train, dropout=None):
        active = train if dropout is None else dropout
        x = nn.relu(nn.Dense(8)(x))
        x = nn.Dropout(0.5, deterministic=not active)(x)
        x = nn.BatchNorm(use_running_average=not train, momentum=0.9)(x)
        return nn.Dense(3)(x)


class Around(nn.Module):
    """Has a parameter of its own around the network whose layer is the last."""

    @nn.compact
    def __call__(self, x):
        shift = self.param("shift", nn.initializers.ones, x.shape[-1:])
        return Plain(name="inner")(x + shift)


def rows(count: int = 6, seed: int = 0) -> np.ndarray:
    """Inputs `[B, 4]`."""
    return np.random.default_rng(seed).normal(size=(count, 4)).astype(np.float32)


def started(module: nn.Module, seed: int = 0, **options) -> dict:
    """First weights of a model of `rows`."""
    return module.init(jax.random.key(seed), rows(2), **options)
