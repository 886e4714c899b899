"""DenseNet on still faces: every frame of a clip is a separate example.

Source: Huang et al., CVPR 2017 (arXiv 1608.06993); for clips docs/papers/stc_nlstm.md.
"""

from __future__ import annotations

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from fer_jax.layers import fields
from fer_jax.layers.batch_norm import BatchNorm
from fer_jax.layers.common import Dense, Dropout
from fer_jax.layers.conv2d import Conv2D, max_pool_3

DENSENET121_BLOCKS = (6, 12, 24, 16)
WIDER = 4  # width of the 1x1 convolution of a layer, in units of the growth


def mean_pool_2(x: jax.Array) -> jax.Array:
    """Averages 2 x 2 pixels: `[N, H, W, C] -> [N, H / 2, W / 2, C]`, odd sides rounded down."""
    count, height, width, channels = x.shape
    x = x[:, : height // 2 * 2, : width // 2 * 2]
    return x.reshape(count, height // 2, 2, width // 2, 2, channels).mean((2, 4))


def mean_over_frames(logits: jax.Array) -> jax.Array:
    """Logits of a clip from its frames', `[B, T, C] -> [B, C]`: the log of the mean probability."""
    total = jax.nn.logsumexp(jax.nn.log_softmax(logits), axis=1)
    return total - jnp.log(logits.shape[1])


class DenseLayer(nn.Module):
    """BatchNorm, ReLU, 1x1 and again with 3x3 convolution; concatenates input and output."""

    growth: int
    dtype: str = "float32"
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        y = nn.relu(BatchNorm(self.axis_name, name="norm1")(x, train=train))
        y = _conv(WIDER * self.growth, 1, self.dtype, name="conv1")(y)
        y = nn.relu(BatchNorm(self.axis_name, name="norm2")(y, train=train))
        y = _conv(self.growth, 3, self.dtype, name="conv2")(y)
        return jnp.concatenate([x.astype(y.dtype), y], -1)


class Transition(nn.Module):
    """Halves the channels, then the sides: `[N, H, W, C] -> [N, H / 2, W / 2, C / 2]`."""

    dtype: str = "float32"
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        y = nn.relu(BatchNorm(self.axis_name, name="norm")(x, train=train))
        return mean_pool_2(_conv(x.shape[-1] // 2, 1, self.dtype, name="conv")(y))


class DenseBlocks(nn.Module):
    """DenseNet without its classifier: `[N, H, W, 3] -> [N, H / 32, W / 32, C]`."""

    blocks: Sequence[int] = DENSENET121_BLOCKS
    growth: int = 32
    initial: int = 64
    dtype: str = "float32"
    remat: bool = False
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        layer = nn.remat(DenseLayer, static_argnums=(2,)) if self.remat else DenseLayer
        x = _conv(self.initial, 7, self.dtype, stride=2, name="stem_conv")(x)
        x = max_pool_3(nn.relu(BatchNorm(self.axis_name, name="stem_norm")(x, train=train)))
        for block, layers in enumerate(self.blocks, 1):
            if block > 1:
                name = f"transition{block - 1}"
                x = Transition(self.dtype, self.axis_name, name=name)(x, train)
            for index in range(1, layers + 1):
                name = f"block{block}_layer{index}"
                x = layer(self.growth, self.dtype, self.axis_name, name=name)(x, train)
        return nn.relu(BatchNorm(self.axis_name, name="last_norm")(x, train=train))


class DenseNet(nn.Module):
    """DenseNet: face crops `[B, T, H, W, 3]` (normalised as ImageNet's) to logits.

    In training every frame is an example and logits are `[B, T, classes]`; otherwise they are
    `[B, classes]`, see `mean_over_frames`.

    Attributes:
      classes: number of classes.
      blocks: layers of each block; the default is DenseNet-121.
      growth: k, channels added by a layer.
      initial: channels before the first block.
      dropout: rate before the classifier (the paper has none).
      dtype, remat (of each layer), axis_name: see `layers.build`.
    """

    classes: int
    blocks: Sequence[int] = DENSENET121_BLOCKS
    growth: int = 32
    initial: int = 64
    dropout: float = 0.0
    dtype: str = "float32"
    remat: bool = False
    axis_name: str | None = None

    inputs = "frames"
    pixels = "imagenet"
    tasks = ("classification", "distribution")  # `mean_over_frames` needs classes

    @property
    def smallest_crop(self) -> int:
        return 2 ** (len(self.blocks) + 1)  # halved before the first block and after each

    @nn.nowrap
    def check(self) -> None:
        """Refuses invalid fields, see `layers.build`."""
        fields.positive(self, "growth", "initial")
        fields.positive_list(self, "blocks", "the number of layers of every block", "(6, 12)")

    def setup(self):
        self.check()
        sizes = (self.blocks, self.growth, self.initial)
        self.cnn = DenseBlocks(*sizes, self.dtype, self.remat, self.axis_name)
        self.drop = Dropout(self.dropout, axis_name=self.axis_name)
        self.head = Dense(self.classes, kernel_init=nn.initializers.glorot_uniform())

    def before_dropout(self, inputs: jax.Array, *, train: bool = False) -> jax.Array:
        """Features of each frame, `[B, T, H, W, 3] -> [B, T, C]`."""
        maps = self.cnn(inputs.reshape(-1, *inputs.shape[2:]), train=train)
        return maps.mean((1, 2), dtype=jnp.float32).reshape(*inputs.shape[:2], -1)

    def of_frames(self, x: jax.Array, *, dropout: bool = False) -> jax.Array:
        """Logits of each frame, `[B, T, C] -> [B, T, classes]`."""
        return self.head(self.drop(x, active=dropout))

    def after_dropout(self, x: jax.Array, *, dropout: bool = False) -> jax.Array:
        """Logits of each clip, `[B, T, C] -> [B, classes]`."""
        return mean_over_frames(self.of_frames(x, dropout=dropout))

    def __call__(self, inputs: jax.Array, *, train: bool, dropout: bool | None = None) -> jax.Array:
        x = self.before_dropout(inputs, train=train)
        rest = self.of_frames if train else self.after_dropout
        return rest(x, dropout=train if dropout is None else dropout)


def _conv(features: int, side: int, dtype: str, *, stride: int = 1, name: str) -> Conv2D:
    return Conv2D(features, side, stride, use_bias=False, dtype=dtype, name=name)
