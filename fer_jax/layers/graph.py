"""The layer and the network that the landmark systems share: ST-BLN, ST-GCN and AGCN.

Arrays inside are `[E, B, T, F]`, nodes or edges first and channels last, so that mixing the nodes
and mixing the channels are one matrix product each, without moving memory. AGCN has examples first.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from fer_jax.layers import fields
from fer_jax.layers.batch_norm import BatchNorm
from fer_jax.layers.common import Dense, Dropout, TemporalConv, every_other_frame

STRIDED_LAYERS = (4, 7)  # 0-based: these halve the time axis in all landmark systems
SMALL = nn.initializers.constant(1e-6)


class GraphLayer(nn.Module):
    """The spatio-temporal bilinear layer (ST-BLL) of ST-BLN, also with the maps of ST-GCN and AGCN.

    Section III of Heidari and Iosifidis, MMSP 2021:

        Z     = graph(H)               ST-BLL: sum_s U_s H W_s, equation 1 with S parallel maps
        X     = ReLU(BN(Z) + R1(H))
        Y     = BN(Conv_{K x 1}(X))    convolution over time
        H_out = ReLU(Y + R2(H))        dropout follows in `GraphNetwork`

    R1 and R2 are identities where the shapes agree, else 1x1 convolutions with BatchNorm.

    Attributes:
      graph: makes the map over the graph, `(features, name=...) -> module`.
      features: Fo.
      kernel_size, stride: of the convolution over time, axis 2.
      residual: False: without R2, as in the first layer.
      down: False: without R1, as in the original ST-GCN.
      names: of the map, R1 and R2 among the parameters.
      dtype, axis_name: see `layers.build`.
    """

    graph: functools.partial
    features: int
    kernel_size: int = 9
    stride: int = 1
    residual: bool = True
    down: bool = True
    names: tuple[str, str, str] = ("graph", "down", "residual")
    dtype: str = "float32"
    axis_name: str | None = None

    @nn.compact
    def __call__(self, h: jax.Array, *, train: bool) -> jax.Array:
        def norm(value, name, scale_init=nn.initializers.ones):
            return BatchNorm(self.axis_name, scale_init, name=f"{name}_norm")(value, train=train)

        def projection(value, name):
            return norm(Dense(self.features, dtype=self.dtype, name=name)(value), name)

        graph, down, residual = self.names
        same_width = h.shape[-1] == self.features
        z = self.graph(self.features, name=graph)(h)
        # A scale near zero: each layer starts as residual + temporal convolution.
        x = norm(z, graph, SMALL if self.down else nn.initializers.ones)
        if self.down:
            x = x + (h if same_width else projection(h, down))
        conv = TemporalConv(
            self.features, self.kernel_size, self.stride, dtype=self.dtype, name="temporal"
        )
        y = norm(conv(nn.relu(x)), "temporal")
        if not self.residual:
            return nn.relu(y)
        if same_width and self.stride == 1:
            return nn.relu(y + h)
        return nn.relu(y + projection(every_other_frame(h, self.stride), residual))


class GraphNetwork(nn.Module):
    """Landmark features `[B, T, E, 2]` (pixels) to logits `[B, classes]`.

    Attributes:
      classes: number of classes.
      widths: output channels of every layer.
      kernel_size: taps of the temporal convolution, odd.
      dropout: rate of element-wise dropout at every layer; the graph baselines have none.
      dtype, axis_name: see `layers.build`.
    """

    classes: int
    widths: Sequence[int] = (8, 16, 16, 32, 32, 64, 64)
    kernel_size: int = 9
    dropout: float = 0.0
    dtype: str = "float32"
    axis_name: str | None = None

    batch_axis = 1  # of the arrays inside; nodes or edges have the other of 0 and 1
    dropout_place = "after"  # every layer, or "before"

    def layer_options(self) -> dict:
        """Returns the fields of `GraphLayer` in which the systems differ."""
        raise NotImplementedError

    @nn.nowrap
    def check(self) -> None:
        """Refuses invalid fields, see `layers.build`."""
        fields.odd(self, "kernel_size")
        fields.positive_list(self, "widths", "the width of every layer", "(8, 16, 16)")

    @nn.nowrap
    def check_inputs(self, inputs: jax.Array) -> None:
        """Refuses inputs of another shape."""

    @nn.compact
    def __call__(self, inputs: jax.Array, *, train: bool, dropout: bool | None = None) -> jax.Array:
        self.check()
        self.check_inputs(inputs)
        active = train if dropout is None else dropout
        drop = Dropout(self.dropout, batch_axis=self.batch_axis, axis_name=self.axis_name)
        x = normalised(self, inputs, "data_norm", train=train)
        for index, width in enumerate(self.widths):
            if self.dropout_place == "before":
                x = drop(x, active=active)
            x = GraphLayer(
                features=width,
                kernel_size=self.kernel_size,
                stride=2 if index in STRIDED_LAYERS else 1,
                residual=index > 0,
                dtype=self.dtype,
                axis_name=self.axis_name,
                name=f"layer{index + 1}",
                **self.layer_options(),
            )(x, train=train)
            if self.dropout_place == "after":
                x = drop(x, active=active)
        pooled = x.mean((1 - self.batch_axis, 2), dtype=jnp.float32)
        return classifier(self.classes)(pooled)


def normalised(network: GraphNetwork, x: jax.Array, name: str, *, train: bool) -> jax.Array:
    """Normalises each coordinate of each node or edge: `[B, T, E, 2] -> [E, B, T, 2]`."""
    norm = BatchNorm(network.axis_name, name=name)
    x = norm(x.reshape(*x.shape[:2], -1), train=train).reshape(x.shape)
    axes = (network.batch_axis, 1 - network.batch_axis)
    return jnp.moveaxis(x, (0, 2), axes).astype(network.dtype)


def classifier(classes: int) -> Dense:
    """Makes the last layer, `[B, F] -> [B, classes]`."""
    return Dense(classes, nn.initializers.normal((2.0 / classes) ** 0.5), name="head")
