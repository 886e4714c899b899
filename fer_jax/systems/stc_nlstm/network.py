"""STC-NLSTM: LSTMs over the frames nested in an LSTM over the layers of a 3-D CNN.

Source: Yu, Liu, Liu & Deng, Neurocomputing 317 (2018), section 3 and table 2;
docs/papers/stc_nlstm.md for what the paper leaves open.
"""

from __future__ import annotations

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from fer_jax.layers import fields
from fer_jax.layers.batch_norm import BatchNorm
from fer_jax.layers.common import Dense, Dropout
from fer_jax.layers.conv3d import Conv3D, largest, max_pool_frames
from fer_jax.layers.cpu.store import store_gradient
from fer_jax.layers.lstm import LSTM

WIDTHS = (64, 64, 64, 64, 64)
NORMED = (1, 2)  # convolutions with BatchNorm
POOLED = (1, 2, 4)  # convolutions followed by max pooling, except the last
BINS = (8, 4, 2)  # per side, at the three levels of the pyramid
UNITS = 18  # of the layer before the classifier without an LSTM ("FC18")
NESTINGS = ("nested", "sum", "last", "none")


def mspp(maps: jax.Array) -> jax.Array:
    """MSPP-norm: the largest value in each of 8 x 8, 4 x 4 and 2 x 2 bins.

    Bin i reaches from `floor(i * side / n)` to `ceil((i + 1) * side / n)`.

    Args:
      maps: `[..., H, W, C]`.

    Returns:
      `[..., 84 C]`, each level in the order row, column, channel.
    """
    whole = all(side % BINS[0] == 0 for side in maps.shape[-3:-1])
    levels = []
    for bins in BINS:
        binned = _largest(_largest(maps, bins, -3), bins, -2)
        levels.append(binned.reshape(*binned.shape[:-3], -1))
        maps = binned if whole else maps  # whole bins: the next level is made of these
    return jnp.concatenate(levels, -1)


def pyramid(maps: jax.Array, pooled: jax.Array) -> jax.Array:
    """`mspp` of maps, computed from the pooled maps if they hold the maximum of every bin."""
    whole = all(side % (2 * BINS[0]) == 0 for side in maps.shape[-3:-1])
    return mspp(pooled if whole else maps).astype(jnp.float32)


def _largest(x: jax.Array, bins: int, axis: int) -> jax.Array:
    """Largest value in each bin of one axis."""
    side, axis = x.shape[axis], axis % x.ndim
    if side % bins == 0:
        return largest(
            x.reshape(*x.shape[:axis], bins, side // bins, *x.shape[axis + 1 :]), axis + 1
        )
    edges = [(i * side // bins, -(-(i + 1) * side // bins)) for i in range(bins)]
    parts = [largest(jax.lax.slice_in_dim(x, start, end, axis=axis), axis) for start, end in edges]
    return jnp.stack(parts, axis)


class Layer(nn.Module):
    """A convolution, BatchNorm if `norm`, ReLU, 2 x 2 max pooling if `pool`."""

    features: int
    norm: bool
    pool: bool
    dtype: str = "float32"
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> tuple[jax.Array, jax.Array]:
        """Returns the maps `[B, T, H, W, features]` and the input of the next layer."""
        x = Conv3D(self.features, self.dtype, name="conv")(x)
        if self.norm:
            x = BatchNorm(self.axis_name, name="norm")(x, train=train)
        maps = nn.relu(x)
        if not self.pool:
            return maps, maps
        # Pooling first gives the same result at a quarter of the cost.
        return maps, store_gradient(nn.relu(max_pool_frames(store_gradient(x))))


class TwoLevelLSTM(nn.Module):
    """Two stacked LSTMs, the last hidden state: `[B, T, d] -> [B, features]`."""

    features: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        glorot = nn.initializers.glorot_uniform()  # throughout the network
        x = LSTM(self.features, recurrent_init=glorot, name="level1")(x)
        return LSTM(self.features, recurrent_init=glorot, name="level2")(x)[:, -1]


class STCNLSTM(nn.Module):
    """STC-NLSTM: face crops `[B, T, H, W, 3]` in [-1, 1] to logits `[B, classes]`.

    Attributes:
      classes: number of classes.
      channels: of each convolution. BatchNorm follows the first two; 2 x 2 max pooling follows
        the first, the second and the fourth, unless it is the last.
      hidden: H, units of every LSTM.
      nesting: "nested" (a T-LSTM for each layer's maps, a C-LSTM over theirs: STC-NLSTM), "sum"
        (one T-LSTM over the sum of all maps: STC-SLSTM), "last" (one over the last maps: STC-LSTM),
        "none" (instead a layer of 18 units, tied to T: STC).
      flat: for nesting "last": the last maps as they are (4,096 numbers a frame, as the paper's
        words may be read), not their pyramid (5,376, as in the other networks).
      dropout: rate before the classifier (the paper has none).
      dtype: of the convolutions; all else is float32.
      remat (of each layer), axis_name: see `layers.build`.
    """

    classes: int
    channels: Sequence[int] = WIDTHS
    hidden: int = 128
    nesting: str = "nested"
    flat: bool = False
    dropout: float = 0.0
    dtype: str = "float32"
    remat: bool = False
    axis_name: str | None = None

    inputs = "frames"
    pixels = "symmetric"

    @nn.nowrap
    def check(self) -> None:
        """Refuses invalid fields, see `layers.build`."""
        fields.positive(self, "hidden")
        fields.positive_list(self, "channels", "the width of every layer", "(64, 64, 64)")
        fields.one_of(self, "nesting", NESTINGS)
        if self.flat and self.nesting != "last":
            raise fields.FieldError(self, "flat", f"it is for nesting last, not {self.nesting}")
        if self.nesting == "sum" and len(set(self.channels)) > 1:
            raise fields.FieldError(self, "channels", "the layers of a sum have one width")

    def setup(self):
        self.check()
        glorot = nn.initializers.glorot_uniform()
        layer = nn.remat(Layer, static_argnums=(2,)) if self.remat else Layer
        count = len(self.channels)
        for index, features in enumerate(self.channels, 1):
            norm, pool = index in NORMED, index in POOLED and index < count
            made = layer(features, norm, pool, self.dtype, self.axis_name)
            setattr(self, f"layer{index}", made)
        if self.nesting == "nested":
            for index in range(1, count + 1):
                setattr(self, f"t_lstm{index}", TwoLevelLSTM(self.hidden))
            self.c_lstm = TwoLevelLSTM(self.hidden)
        elif self.nesting == "none":
            self.units = Dense(UNITS, kernel_init=glorot)
        else:
            self.t_lstm = TwoLevelLSTM(self.hidden)
        self.drop = Dropout(self.dropout, axis_name=self.axis_name)
        self.head = Dense(self.classes, kernel_init=glorot)

    def layers(
        self, inputs: jax.Array, *, train: bool = False
    ) -> list[tuple[jax.Array, jax.Array]]:
        """Returns the maps f_1 to f_l of the layers, each with the input of the next layer."""
        pairs, x = [], inputs
        for index in range(1, len(self.channels) + 1):
            pairs.append(getattr(self, f"layer{index}")(x, train))
            x = pairs[-1][1]
        return pairs

    def before_dropout(self, inputs: jax.Array, *, train: bool = False) -> jax.Array:
        """Represents a clip, `[B, T, H, W, 3] -> [B, H]`; `[B, 18]` without an LSTM."""
        pairs = self.layers(inputs, train=train)
        if self.nesting == "none":
            return self.units(pairs[-1][0].reshape(len(inputs), -1).astype(jnp.float32))
        if self.nesting == "last":
            last = pairs[-1][0]
            rows = last.reshape(*last.shape[:2], -1).astype(jnp.float32) if self.flat else None
            return self.t_lstm(pyramid(*pairs[-1]) if rows is None else rows)
        rows = [pyramid(*pair) for pair in pairs]
        if self.nesting == "sum":
            return self.t_lstm(sum(rows))
        states = [getattr(self, f"t_lstm{index}")(row) for index, row in enumerate(rows, 1)]
        return self.c_lstm(jnp.stack(states, 1))

    def after_dropout(self, x: jax.Array, *, dropout: bool = False) -> jax.Array:
        return self.head(self.drop(x, active=dropout))

    def __call__(self, inputs: jax.Array, *, train: bool, dropout: bool | None = None) -> jax.Array:
        x = self.before_dropout(inputs, train=train)
        return self.after_dropout(x, dropout=train if dropout is None else dropout)
