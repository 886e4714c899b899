"""FER-GCN: a graph over the frames of a clip weights them by the intensity of the expression.

Source: Liu, Zhang & Zhou, ICPR 2020 (arXiv 2010.13386), section III; docs/papers/fer_gcn.md where
the paper is silent.
"""

from __future__ import annotations

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from fer_jax.layers import fields
from fer_jax.layers.backbones import VGG16, VGG16_STAGES
from fer_jax.layers.common import Dense, Dropout
from fer_jax.layers.lstm import LSTM, BiLSTM

LEAKY_SLOPE = 0.2
RECURRENCES = ("concat", "eq6")


def identity(key, shape) -> jax.Array:
    """Initialises the adjacency: every frame depends only on itself."""
    del key
    return jnp.eye(*shape)


def propagate(adjacency: jax.Array, features: jax.Array, kernel: jax.Array) -> jax.Array:
    """Graph convolution, equations 1 to 4: frame i gathers frame j with weight A[i, j].

    Args:
      adjacency: A, `[N, N]`.
      features: `[B, N, d]`, one node per frame.
      kernel: W, `[d, d]`.
    """
    gathered = jnp.einsum("ij,bjd->bid", adjacency, features @ kernel)
    return nn.leaky_relu(gathered, LEAKY_SLOPE)


def intensity_weights(adjacency: jax.Array) -> jax.Array:
    """Expression intensity of each frame, equation 7: its mean weight in all frames, `[N]`.

    No gradient flows into the adjacency.
    """
    return jax.nn.softmax(jax.lax.stop_gradient(adjacency).mean(axis=0))


def fuse(weights: jax.Array, features: jax.Array) -> jax.Array:
    """Equation 8: `[N], [B, N, d] -> [B, d]`."""
    return jnp.einsum("n,bnd->bd", weights, features)


def torch_default(fan_in: int) -> nn.initializers.Initializer:
    """PyTorch's first weights and biases of a dense layer: uniform within 1 / sqrt(fan_in)."""
    bound = fan_in**-0.5

    def init(key, shape, dtype=jnp.float32) -> jax.Array:
        return jax.random.uniform(key, shape, dtype, -bound, bound)

    return init


class Equation6(nn.Module):
    """Equation 6: `[B, N, d] -> [B, N, d]`, `tanh(V_f s(U_f [s_f, o]) + V_b s(U_b [s_b, o]) + b)`.

    s is the sigmoid; U maps 2 d numbers to d / 2, V maps d / 2 to d. How the states s_f and s_b
    come about is not in the equation: they are those of a bidirectional LSTM of d units a
    direction, as the text calls it, after the frames before (s_f) and behind (s_b) the frame, zero
    at either end.

    Source: Liu, Zhang & Zhou, ICPR 2020, section III-A.
    """

    features: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        def dense(features, fan_in, name):
            init = torch_default(fan_in)
            return nn.Dense(features, use_bias=False, kernel_init=init, name=name)

        d = self.features
        before = LSTM(d, name="forward")(x)[:, :-1]
        behind = LSTM(d, reverse=True, name="backward")(x)[:, 1:]
        none = jnp.zeros_like(x[:, :1])
        total = self.param("bias", torch_default(d // 2), (d,))
        states = {"f": jnp.concatenate([none, before], 1), "b": jnp.concatenate([behind, none], 1)}
        for way, state in states.items():
            embedded = dense(d // 2, 2 * d, f"U_{way}")(jnp.concatenate([state, x], -1))
            total += dense(d, d // 2, f"V_{way}")(nn.sigmoid(embedded))
        return jnp.tanh(total)


class GraphModule(nn.Module):
    """A graph convolution and a recurrence over the frames: `[B, N, d] -> [B, N, d]`."""

    features: int
    recurrence: str = "concat"

    def setup(self):
        kernel_init = nn.initializers.glorot_uniform()
        self.kernel = self.param("kernel", kernel_init, (self.features, self.features))
        if self.recurrence == "eq6":
            self.equation6 = Equation6(self.features)
        else:
            self.bilstm = BiLSTM(self.features // 2)

    def graph(self, adjacency: jax.Array, x: jax.Array) -> jax.Array:
        return propagate(adjacency, x, self.kernel)

    def __call__(self, adjacency: jax.Array, x: jax.Array) -> jax.Array:
        recur = self.equation6 if self.recurrence == "eq6" else self.bilstm
        return recur(self.graph(adjacency, x))


class FERGCN(nn.Module):
    """FER-GCN: face crops `[B, N, H, W, 3]` (normalised as ImageNet's) to logits `[B, classes]`.

    Attributes:
      classes: number of classes.
      frames: N, the size of the adjacency.
      features: d, features of a frame.
      modules: graph modules; 0 is the CNN alone.
      fusion: weights the frames by their intensity; False averages them.
      recurrence: over the frames: "eq6" (equation 6 of the paper) or "concat" (a bidirectional LSTM
        of d / 2 units a direction, concatenated, as the paper's words are usually understood).
      stages: of VGG16, see `backbones.VGG16`.
      feature_relu: ReLU after the reduction to d.
      dropout: rate before the classifier (the paper has none).
      dtype, remat, axis_name: of the CNN, see `layers.build`.
    """

    classes: int
    frames: int = 16
    features: int = 256
    modules: int = 2
    fusion: bool = True
    recurrence: str = "concat"
    stages: Sequence[tuple[int, int]] = VGG16_STAGES
    feature_relu: bool = True
    dropout: float = 0.0
    dtype: str = "float32"
    remat: bool = False
    axis_name: str | None = None

    inputs = "frames"
    pixels = "imagenet"

    @property
    def smallest_crop(self) -> int:
        return 2 ** len(self.stages)  # each stage halves its maps

    @nn.nowrap
    def check(self) -> None:
        """Refuses invalid fields, see `layers.build`."""
        fields.within(self, "features", 2, 100_000)
        if self.features % 2:
            raise fields.FieldError(self, "features", "it must be even: half for each direction")
        fields.within(self, "modules", 0, 100)
        fields.one_of(self, "recurrence", RECURRENCES)
        fields.stages(self)

    def setup(self):
        self.check()
        self.backbone = VGG16(self.stages, self.dtype, self.remat, self.axis_name)
        reduce_init, head_init = torch_default(self.stages[-1][0]), torch_default(self.features)
        self.reduce = Dense(self.features, kernel_init=reduce_init, bias_init=reduce_init)
        self.graph_modules = [
            GraphModule(self.features, self.recurrence) for _ in range(self.modules)
        ]
        if self.modules:
            self.A = self.param("A", identity, (self.frames, self.frames))
        self.drop = Dropout(self.dropout, axis_name=self.axis_name)
        self.head = Dense(self.classes, kernel_init=head_init, bias_init=head_init)

    def maps(self, inputs: jax.Array, *, train: bool = False) -> jax.Array:
        """Returns the feature maps of the CNN, `[B, N, H, W, 3] -> [B, N, h, w, C]`."""
        batch, frames = inputs.shape[:2]
        if frames != self.frames:
            raise ValueError(f"FER-GCN was made for {self.frames} frames, not {frames}")
        maps = self.backbone(inputs.reshape(-1, *inputs.shape[2:]), train=train)
        return maps.reshape(batch, frames, *maps.shape[1:])

    def embed(self, maps: jax.Array) -> jax.Array:
        """Returns H0 of the paper, the features of each frame, `[B, N, h, w, C] -> [B, N, d]`."""
        reduced = self.reduce(maps.mean((2, 3), dtype=jnp.float32))
        return nn.relu(reduced) if self.feature_relu else reduced

    def graph(self, features: jax.Array) -> jax.Array:
        """Applies the first graph convolution, `[B, N, d] -> [B, N, d]`."""
        return self.graph_modules[0].graph(self.A, features)

    def before_dropout(self, inputs: jax.Array, *, train: bool = False) -> jax.Array:
        """Returns r, the representation of the clip, `[B, N, H, W, 3] -> [B, d]`."""
        x = self.embed(self.maps(inputs, train=train))
        for module in self.graph_modules:
            x = module(self.A, x)
        if self.fusion and self.modules:
            return fuse(intensity_weights(self.A), x)
        return x.mean(1)

    def after_dropout(self, x: jax.Array, *, dropout: bool = False) -> jax.Array:
        return self.head(self.drop(x, active=dropout))

    def __call__(self, inputs: jax.Array, *, train: bool, dropout: bool | None = None) -> jax.Array:
        x = self.before_dropout(inputs, train=train)
        return self.after_dropout(x, dropout=train if dropout is None else dropout)
