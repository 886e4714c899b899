"""3D Inception-ResNet: shortcuts weighted by the landmarks, and an LSTM over the frames.

Source: Hasani & Mahoor, CVPRW 2017 (arXiv 1705.07871), section 3; for the widths, which figure 2
does not show legibly, docs/papers/inception_resnet_3d.md. "v1" has the widths of
Inception-ResNet-v1, "v2" those of Inception-ResNet-v2 (Szegedy et al., arXiv 1602.07261).
"""

from __future__ import annotations

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name

from fer_jax.layers import fields
from fer_jax.layers.batch_norm import BatchNorm
from fer_jax.layers.common import Dense, Dropout
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
POINT, SQUARE, FIVE = (1, 1), (3, 3), (5, 5)  # rows and columns of a kernel
FRAMES = 3  # spanned by a kernel of more than one pixel
HE_NORMAL = nn.initializers.he_normal()
PRODUCT = "product"  # name of a convolution's output, for `jax.checkpoint`


class Block(nn.Module):
    """Branches of convolutions, each with BatchNorm and ReLU.

    Attributes:
      widths: channels of each convolution, a tuple for each branch.
      frames: spanned by a square kernel.
      factorised: frames spanned by a kernel of one row or one column.
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

    def conv(self, x, train, branch, index, size=POINT, stride=1, padding="SAME"):
        """Applies convolution `index` of a branch, of `size` rows and columns."""
        spans = self.frames if size[0] == size[1] else self.factorised
        kernel = (1 if size == POINT else spans, *size)
        name, features = f"branch{branch}_{index}", self.widths[branch][index]
        made = Conv3D(
            features, self.dtype, kernel, stride, padding, not self.batch_norm, HE_NORMAL,
            name=f"{name}_conv",
        )  # fmt: skip
        x = made(x)
        if train:  # a name in between would hide from inference that BatchNorm follows directly
            x = checkpoint_name(x, PRODUCT)
        if self.batch_norm:
            x = BatchNorm(self.axis_name, name=f"{name}_norm")(x, train=train)
        return nn.relu(x)

    def branch(self, x, train, branch, *sizes, halve=False) -> jax.Array:
        """Applies the convolutions of a branch; the last one halves the sides if `halve`."""
        for index, size in enumerate(sizes):
            last = (2, "VALID") if halve and index == len(sizes) - 1 else ()
            x = self.conv(x, train, branch, index, size, *last)
        return x

    def add(self, shortcut, branches) -> jax.Array:
        """Equation 3: ReLU(w x + F(x)), F being a linear 1x1x1 convolution of the branches."""
        x = jnp.concatenate(branches, -1)
        size = shortcut.shape[-1]
        linear = Conv3D(size, self.dtype, (1, 1, 1), kernel_init=HE_NORMAL, name="linear")(x)
        return nn.relu(shortcut + self.scale * linear)


class Stem(Block):
    """`[B, T, S0, S0, 3] -> [B, T, S, S, C]`, S being an eighth of S0, rounded up three times."""

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        x = self.conv(x, train, 0, 0, SQUARE, stride=2)
        x = self.conv(x, train, 0, 1, SQUARE)
        x = self.conv(x, train, 0, 2, SQUARE)
        x = max_pool_3(x, "SAME")
        x = self.conv(x, train, 0, 3)
        x = self.conv(x, train, 0, 4, SQUARE)
        if len(self.widths) == 1:
            return self.conv(x, train, 0, 5, SQUARE, stride=2)
        x = max_pool_3(x, "SAME")
        y0 = self.branch(x, train, 1, POINT)
        y1 = self.branch(x, train, 2, POINT, FIVE)
        y2 = self.branch(x, train, 3, POINT, SQUARE, SQUARE)
        y3 = self.branch(mean_pool_3(x), train, 4, POINT)
        return jnp.concatenate([y0, y1, y2, y3], -1)


class InceptionA(Block):
    """3D Inception-ResNet-A: `[B, T, S, S, C]` and weights `[B, T, S, S, 1]` or 1 to the same."""

    @nn.compact
    def __call__(self, x: jax.Array, weights, train: bool) -> jax.Array:
        y0 = self.branch(x, train, 0, POINT)
        y1 = self.branch(x, train, 1, POINT, SQUARE)
        y2 = self.branch(x, train, 2, POINT, SQUARE, SQUARE)
        return self.add(weights * x, [y0, y1, y2])


class ReductionA(Block):
    """`[B, T, S, S, C] -> [B, T, (S - 1) // 2, (S - 1) // 2, C']`."""

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        y0 = self.branch(x, train, 0, SQUARE, halve=True)
        y1 = self.branch(x, train, 1, POINT, SQUARE, SQUARE, halve=True)
        return jnp.concatenate([max_pool_3(x, "VALID"), y0, y1], -1)


class InceptionB(Block):
    """3D Inception-ResNet-B: `[B, T, S, S, C]` and weights `[B, T, S, S, 1]` or 1 to the same."""

    @nn.compact
    def __call__(self, x: jax.Array, weights, train: bool) -> jax.Array:
        y0 = self.branch(x, train, 0, POINT)
        y1 = self.branch(x, train, 1, POINT, (1, 7), (7, 1))
        return self.add(weights * x, [y0, y1])


class ReductionB(Block):
    """`[B, T, S, S, C] -> [B, T, (S - 1) // 2, (S - 1) // 2, C']`."""

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        y0 = self.branch(x, train, 0, POINT, SQUARE, halve=True)
        y1 = self.branch(x, train, 1, POINT, SQUARE, halve=True)
        y2 = self.branch(x, train, 2, POINT, SQUARE, SQUARE, halve=True)
        return jnp.concatenate([max_pool_3(x, "VALID"), y0, y1, y2], -1)


class InceptionC(Block):
    """3D Inception-ResNet-C, its shortcut not weighted: `[B, T, S, S, C]` to the same."""

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        y0 = self.branch(x, train, 0, POINT)
        y1 = self.branch(x, train, 1, POINT, (1, 3), (3, 1))
        return self.add(x, [y0, y1])


class InceptionResNet3D(nn.Module):
    """3D Inception-ResNet: face crops and their landmarks to logits `[B, classes]`.

    Inputs are `{"frames": [B, T, S0, S0, 3] in [-1, 1], "landmarks": [B, T, 68, 2]}`, the landmarks
    in pixels of these frames. `still` gives the 2-D network: in training every frame is an example
    and logits are `[B, T, classes]`; otherwise see `mean_over_frames`.

    Attributes:
      classes: number of classes.
      version: "v1" or "v2", a key of `WIDTHS`.
      divisor: of all widths except the LSTM's.
      landmarks: weights the shortcuts of A and B by the landmarks.
      outside: weight of the cells far from every landmark.
      factorised: frames spanned by 1x7, 7x1, 1x3 and 3x1 kernels, 3 or 1.
      still: kernels of one frame and no LSTM.
      residual_scale: of the residuals of A, B and C (the paper has none).
      batch_norm: BatchNorm after each convolution instead of a bias (not after linear ones).
      hidden: units of the LSTM.
      dropout: rate before the LSTM, or before the classifier without LSTM.
      dtype: of the convolutions; all else is float32.
      remat: stores only the outputs of convolutions and recomputes the rest in the backward pass.
      axis_name: see `layers.build`.
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
    smallest_crop = 49  # pixels of a side; Reduction-B leaves one
    pixels = "symmetric"

    @property
    def tasks(self) -> tuple[str, ...]:
        # `mean_over_frames` needs classes
        return ("classification", "distribution") if self.still else ()

    @nn.nowrap
    def check(self) -> None:
        """Refuses invalid fields, see `layers.build`."""
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
        """Returns the output of each of the six blocks, `[B, T, S, S, C]`."""
        weights = {name: each.astype(self.dtype) for name, each in self.filters(inputs).items()}
        maps = [self.stem(inputs["frames"], train)]
        maps.append(self.inception_a(maps[-1], weights["A"], train))
        maps.append(self.reduction_a(maps[-1], train))
        maps.append(self.inception_b(maps[-1], weights["B"], train))
        maps.append(self.reduction_b(maps[-1], train))
        maps.append(self.inception_c(maps[-1], train))
        return maps

    def filters(self, inputs: dict) -> dict[str, jax.Array]:
        """Returns the weights of the shortcuts of blocks A and B, `[B, T, S, S, 1]` or 1."""
        if not self.landmarks:
            return {"A": jnp.ones(()), "B": jnp.ones(())}
        size = inputs["frames"].shape[-2]
        side = -(-size // 8)  # after the stem
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
