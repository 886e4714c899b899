"""3D Inception-ResNet: shortcuts weighted by the landmarks, and an LSTM over the frames.

Source: Hasani & Mahoor, CVPRW 2017 (arXiv 1705.07871); 3D Inception-ResNet specification for the
numbers of figure 2. "v1" has the widths of Inception-ResNet-v1, "v2" those of Inception-ResNet-v2
(Szegedy et al., arXiv 1602.07261).
"""

from __future__ import annotations

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name

from fer_jax.layers import fields
from fer_jax.layers.common import BatchNorm, Dense, Dropout
from fer_jax.layers.conv3d import Conv3D, max_pool_3, mean_pool_3
from fer_jax.layers.lstm import LSTM
from fer_jax.systems.inception_resnet_3d.landmark_filters import shortcut_filters
from fer_jax.systems.stc_nlstm.densenet import mean_over_frames

# Channels of each convolution, a tuple for each branch.
WIDTHS = {
    "v1": {
        "stem": ((32, 32, 64, 80, 192, 256),),
        "a": ((32,), (32, 32), (32, 32, 32)),
        "reduction_a": ((384,), (192, 192, 256)),
        "b": ((128,), (128, 128, 128)),
        "reduction_b": ((256, 384), (256, 256), (256, 256, 256)),
        "c": ((192,), (192, 192, 192)),
    },
    "v2": {
        "stem": ((32, 32, 64, 80, 192), (96,), (48, 64), (64, 96, 96), (64,)),
        "a": ((32,), (32, 32), (32, 48, 64)),
        "reduction_a": ((384,), (256, 256, 384)),
        "b": ((192,), (128, 160, 192)),
        "reduction_b": ((256, 384), (256, 288), (256, 288, 320)),
        "c": ((192,), (192, 224, 256)),
    },
}
FRAMES = 3  # that a kernel spans, unless it has one pixel
HE_NORMAL = nn.initializers.he_normal()
PRODUCT = "product"  # name of what a convolution yields, for `jax.checkpoint`


class Block(nn.Module):
    """What all blocks have in common.

    Attributes:
      widths: channels of each convolution, a tuple for each branch.
      frames: that a square kernel spans.
      factorised: frames that a kernel of one row or one column spans.
      scale: of the residual F.
      batch_norm, dtype, axis_name: see `InceptionResNet3D`.
    """

    widths: Sequence[Sequence[int]]
    frames: int = FRAMES
    factorised: int = FRAMES
    scale: float = 1.0
    batch_norm: bool = True
    dtype: str = "float32"
    axis_name: str | None = None

    def conv(self, x, train, place, size=(1, 1), stride=1, padding="SAME"):
        """One convolution of `size` rows and columns with BatchNorm and ReLU.

        Args:
          place: number of the branch and of the convolution in it.
        """
        spans = self.frames if size[0] == size[1] else self.factorised
        kernel = (1 if size == (1, 1) else spans, *size)
        name = "branch{}_{}".format(*place)
        features, bias = self.widths[place[0]][place[1]], not self.batch_norm
        made = Conv3D(
            features, self.dtype, kernel, stride, padding, bias, HE_NORMAL, name=f"{name}_conv"
        )
        x = checkpoint_name(made(x), PRODUCT)
        if self.batch_norm:
            x = BatchNorm(self.axis_name, name=f"{name}_norm")(x, train=train)
        return nn.relu(x)

    def add(self, shortcut, branches) -> jax.Array:
        """ReLU(w x + F(x)), F being the linear 1x1x1 convolution of the branches (equation 3)."""
        x = jnp.concatenate(branches, -1)
        size = shortcut.shape[-1]
        linear = Conv3D(size, self.dtype, (1, 1, 1), kernel_init=HE_NORMAL, name="linear")(x)
        return nn.relu(shortcut + self.scale * linear)


class Stem(Block):
    """`[B, T, S0, S0, 3] -> [B, T, S, S, C]`, S being an eighth of S0, rounded up three times."""

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        x = self.conv(x, train, (0, 0), (3, 3), stride=2)
        x = self.conv(x, train, (0, 1), (3, 3))
        x = self.conv(x, train, (0, 2), (3, 3))
        x = max_pool_3(x, "SAME")
        x = self.conv(x, train, (0, 3))
        x = self.conv(x, train, (0, 4), (3, 3))
        if len(self.widths) == 1:
            return self.conv(x, train, (0, 5), (3, 3), stride=2)
        x = max_pool_3(x, "SAME")
        y0 = self.conv(x, train, (1, 0))
        y1 = self.conv(x, train, (2, 0))
        y1 = self.conv(y1, train, (2, 1), (5, 5))
        y2 = self.conv(x, train, (3, 0))
        y2 = self.conv(y2, train, (3, 1), (3, 3))
        y2 = self.conv(y2, train, (3, 2), (3, 3))
        y3 = self.conv(mean_pool_3(x), train, (4, 0))
        return jnp.concatenate([y0, y1, y2, y3], -1)


class InceptionA(Block):
    """3D Inception-ResNet-A: `[B, T, S, S, C]` and weights `[B, T, S, S, 1]` or 1 to the same."""

    @nn.compact
    def __call__(self, x: jax.Array, weights, train: bool) -> jax.Array:
        y0 = self.conv(x, train, (0, 0))
        y1 = self.conv(x, train, (1, 0))
        y1 = self.conv(y1, train, (1, 1), (3, 3))
        y2 = self.conv(x, train, (2, 0))
        y2 = self.conv(y2, train, (2, 1), (3, 3))
        y2 = self.conv(y2, train, (2, 2), (3, 3))
        return self.add(weights * x, [y0, y1, y2])


class ReductionA(Block):
    """`[B, T, S, S, C] -> [B, T, (S - 1) // 2, (S - 1) // 2, C']`."""

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        y0 = self.conv(x, train, (0, 0), (3, 3), 2, "VALID")
        y1 = self.conv(x, train, (1, 0))
        y1 = self.conv(y1, train, (1, 1), (3, 3))
        y1 = self.conv(y1, train, (1, 2), (3, 3), 2, "VALID")
        return jnp.concatenate([max_pool_3(x, "VALID"), y0, y1], -1)


class InceptionB(Block):
    """3D Inception-ResNet-B: `[B, T, S, S, C]` and weights `[B, T, S, S, 1]` or 1 to the same."""

    @nn.compact
    def __call__(self, x: jax.Array, weights, train: bool) -> jax.Array:
        y0 = self.conv(x, train, (0, 0))
        y1 = self.conv(x, train, (1, 0))
        y1 = self.conv(y1, train, (1, 1), (1, 7))
        y1 = self.conv(y1, train, (1, 2), (7, 1))
        return self.add(weights * x, [y0, y1])


class ReductionB(Block):
    """`[B, T, S, S, C] -> [B, T, (S - 1) // 2, (S - 1) // 2, C']`."""

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        y0 = self.conv(x, train, (0, 0))
        y0 = self.conv(y0, train, (0, 1), (3, 3), 2, "VALID")
        y1 = self.conv(x, train, (1, 0))
        y1 = self.conv(y1, train, (1, 1), (3, 3), 2, "VALID")
        y2 = self.conv(x, train, (2, 0))
        y2 = self.conv(y2, train, (2, 1), (3, 3))
        y2 = self.conv(y2, train, (2, 2), (3, 3), 2, "VALID")
        return jnp.concatenate([max_pool_3(x, "VALID"), y0, y1, y2], -1)


class InceptionC(Block):
    """3D Inception-ResNet-C, its shortcut plain: `[B, T, S, S, C]` to the same."""

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        y0 = self.conv(x, train, (0, 0))
        y1 = self.conv(x, train, (1, 0))
        y1 = self.conv(y1, train, (1, 1), (1, 3))
        y1 = self.conv(y1, train, (1, 2), (3, 1))
        return self.add(x, [y0, y1])


class InceptionResNet3D(nn.Module):
    """3D Inception-ResNet: face crops and their landmarks to logits `[B, classes]`.

    The network takes `{"frames": [B, T, S0, S0, 3] in [-1, 1], "landmarks": [B, T, 68, 2]}`, the
    landmarks in pixels of these frames. Still faces (`still`) are the 2-D network: in training
    every frame is an example, `[B, T, classes]`; else a clip's probabilities are the mean of its
    frames', `[B, classes]` are their logarithms.

    Attributes:
      classes: number of classes.
      version: "v1" or "v2", whose widths the blocks have.
      divisor: of all widths but that of the LSTM.
      landmarks: weighs the shortcuts of A and B with the landmarks; without them these are plain.
      outside: weight of the cells that are near no landmark.
      factorised: frames that 1x7, 7x1, 1x3 and 3x1 kernels span, 3 or 1.
      still: kernels of one frame and no LSTM: every frame by itself.
      residual_scale: of the residuals of A, B and C (the paper has none).
      batch_norm: BatchNorm behind each convolution instead of a bias (not behind linear ones).
      hidden: units of the LSTM.
      dropout: rate in front of the LSTM, or of the classifier where there is none.
      dtype: of activations and products of the convolutions; all else is float32.
      remat: stores the products of convolutions only and computes the rest again going backwards.
      axis_name: name of the mapped device axis, if any.
    """

    classes: int
    version: str = "v1"
    divisor: int = 1
    landmarks: bool = True
    outside: float = 0.0
    factorised: int = FRAMES
    still: bool = False
    residual_scale: Sequence[float] = (1.0, 1.0, 1.0)
    batch_norm: bool = True
    hidden: int = 200
    dropout: float = 0.2
    dtype: str = "float32"
    remat: bool = False
    axis_name: str | None = None

    inputs = "faces"
    smallest_crop = 49  # pixels of a side, of which Reduction-B leaves one
    pixels = "symmetric"

    @property
    def tasks(self) -> tuple[str, ...]:
        return ("classification",) if self.still else ()  # still: the mean of class probabilities

    @nn.nowrap
    def check(self) -> None:
        """Refuses fields without meaning, see `layers.build`."""
        fields.one_of(self, "version", sorted(WIDTHS))
        fields.positive(self, "divisor", "hidden")
        fields.within(self, "outside", 0.0, 1.0)
        fields.one_of(self, "factorised", (1, FRAMES))
        scales = self.residual_scale
        if len(scales) != 3 or not all(isinstance(each, (int, float)) for each in scales):
            problem = "give one factor for each of the blocks A, B and C, e.g. (0.17, 0.1, 0.2)"
            raise fields.FieldError(self, "residual_scale", problem)

    def setup(self):
        self.check()
        self.stem = self._block(Stem, "stem")
        self.inception_a = self._block(InceptionA, "a", self.residual_scale[0], weighted=True)
        self.reduction_a = self._block(ReductionA, "reduction_a")
        self.inception_b = self._block(InceptionB, "b", self.residual_scale[1], weighted=True)
        self.reduction_b = self._block(ReductionB, "reduction_b")
        self.inception_c = self._block(InceptionC, "c", self.residual_scale[2])
        self.drop = Dropout(self.dropout, axis_name=self.axis_name)
        if not self.still:
            self.lstm = LSTM(self.hidden)
        self.head = Dense(self.classes, kernel_init=nn.initializers.glorot_uniform())

    def _block(self, kind, widths: str, scale: float = 1.0, weighted: bool = False) -> nn.Module:
        widths = [
            [max(1, width // self.divisor) for width in branch]
            for branch in WIDTHS[self.version][widths]
        ]
        frames, factorised = (1, 1) if self.still else (FRAMES, self.factorised)
        if self.remat:
            policy = jax.checkpoint_policies.save_only_these_names(PRODUCT)
            kind = nn.remat(kind, static_argnums=(2 + weighted,), policy=policy)
        return kind(widths, frames, factorised, scale, self.batch_norm, self.dtype, self.axis_name)

    def maps(self, inputs: dict, *, train: bool = False) -> list[jax.Array]:
        """What each of the six blocks yields, `[B, T, S, S, C]`."""
        weights = {name: each.astype(self.dtype) for name, each in self.filters(inputs).items()}
        maps = [self.stem(inputs["frames"], train)]
        maps.append(self.inception_a(maps[-1], weights["A"], train))
        maps.append(self.reduction_a(maps[-1], train))
        maps.append(self.inception_b(maps[-1], weights["B"], train))
        maps.append(self.reduction_b(maps[-1], train))
        maps.append(self.inception_c(maps[-1], train))
        return maps

    def filters(self, inputs: dict) -> dict[str, jax.Array]:
        """Weights of the shortcuts of the blocks A and B, `[B, T, S, S, 1]` or 1."""
        if not self.landmarks:
            return {"A": jnp.ones(()), "B": jnp.ones(())}
        size = inputs["frames"].shape[-2]
        side = -(-size // 8)  # behind the stem
        return {
            name: shortcut_filters(inputs["landmarks"], size, cells, self.outside)
            for name, cells in (("A", side), ("B", (side - 1) // 2))
        }

    def before_dropout(self, inputs: dict, *, train: bool = False) -> jax.Array:
        """Features of each frame, `[B, T, C]`."""
        return self.maps(inputs, train=train)[-1].mean((2, 3), dtype=jnp.float32)

    def of_frames(self, x: jax.Array, *, dropout: bool = False) -> jax.Array:
        """Logits of each still face, `[B, T, C] -> [B, T, classes]`."""
        return self.head(self.drop(x, active=dropout))

    def after_dropout(self, x: jax.Array, *, dropout: bool = False) -> jax.Array:
        """Logits of each clip, `[B, T, C] -> [B, classes]`."""
        if self.still:
            return mean_over_frames(self.of_frames(x, dropout=dropout))
        return self.head(self.lstm(self.drop(x, active=dropout))[:, -1])

    def __call__(self, inputs: dict, *, train: bool, dropout: bool | None = None) -> jax.Array:
        x = self.before_dropout(inputs, train=train)
        rest = self.of_frames if train and self.still else self.after_dropout
        return rest(x, dropout=train if dropout is None else dropout)
