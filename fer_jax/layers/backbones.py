"""Backbones of several systems: VGG16, ResNet50.

Blocks follow those of torchvision, whose weights `fer_jax.training.initial_weights` reads.
"""

from __future__ import annotations

from collections.abc import Sequence

import flax.linen as nn
import jax

from fer_jax.layers.batch_norm import BatchNorm
from fer_jax.layers.conv2d import Conv2D, max_pool_3
from fer_jax.layers.conv3d import max_pool_frames

VGG16_STAGES = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
RESNET50_STAGES = ((64, 3), (128, 4), (256, 6), (512, 3))


class VGGStage(nn.Module):
    """Convolutions of one width, each with BatchNorm and ReLU, then 2 x 2 max pooling."""

    features: int
    convolutions: int
    dtype: str = "float32"
    axis_name: str | None = None
    batch_norm: bool = True
    pool: bool = True

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        for index in range(self.convolutions):
            x = Conv2D(self.features, dtype=self.dtype, name=f"conv{index + 1}")(x)
            if self.batch_norm:
                x = BatchNorm(self.axis_name, name=f"norm{index + 1}")(x, train=train)
            x = nn.relu(x)
        return max_pool_frames(x) if self.pool else x


class VGG16(nn.Module):
    """The convolutional part of VGG16: `[N, H, W, 3] -> [N, H / 32, W / 32, 512]`.

    Attributes:
      stages: (channels, convolutions) of every stage; the default is VGG16.
      dtype, remat (of each stage), axis_name: see `layers.build`.
      batch_norm: after every convolution; the paper has none.
      last_pool: pools after the last stage too; False ends with its ReLU, `[N, H / 16, ...]`.

    Source: Simonyan & Zisserman, arXiv 1409.1556, configuration D.
    """

    stages: Sequence[tuple[int, int]] = VGG16_STAGES
    dtype: str = "float32"
    remat: bool = False
    axis_name: str | None = None
    batch_norm: bool = True
    last_pool: bool = True

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        make = nn.remat(VGGStage, static_argnums=(2,)) if self.remat else VGGStage
        for index, (features, convolutions) in enumerate(self.stages, 1):
            pool = self.last_pool or index < len(self.stages)
            stage = make(
                features, convolutions, self.dtype, self.axis_name, self.batch_norm, pool,
                name=f"stage{index}",
            )  # fmt: skip
            x = stage(x, train)
        return x


class Bottleneck(nn.Module):
    """1x1, 3x3 (strided) and 1x1 convolutions with a shortcut; the output is four times as wide.

    With `cut` it ends with the ReLU of the 3x3 convolution, without widening and shortcut; with
    `stride_in_1x1` the first convolution strides instead of the second.
    """

    features: int
    stride: int = 1
    dtype: str = "float32"
    axis_name: str | None = None
    cut: bool = False
    stride_in_1x1: bool = False

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        def block(value, features, side, stride, conv, norm):
            layer = Conv2D(features, side, stride, use_bias=False, dtype=self.dtype, name=conv)
            return BatchNorm(self.axis_name, name=norm)(layer(value), train=train)

        wide = 4 * self.features
        first, second = (self.stride, 1) if self.stride_in_1x1 else (1, self.stride)
        y = nn.relu(block(x, self.features, 1, first, "conv1", "norm1"))
        y = nn.relu(block(y, self.features, 3, second, "conv2", "norm2"))
        if self.cut:
            return y
        y = block(y, wide, 1, 1, "conv3", "norm3")
        if x.shape[-1] != wide or self.stride > 1:
            x = block(x, wide, 1, self.stride, "shortcut_conv", "shortcut_norm")
        return nn.relu(x + y)


class ResNet50(nn.Module):
    """ResNet50 without its classifier: `[N, H, W, 3] -> [N, H / 32, W / 32, 2048]`.

    Attributes:
      stages: (channels, blocks) of every stage; the default is ResNet50.
      dtype, remat (of each block), axis_name: see `VGG16`.
      cut: ends within the last block, see `Bottleneck`: 512 channels.
      stride_in_1x1: see `Bottleneck`; so in the paper and in Caffe, not in torchvision.
      ceil_pool: the first pooling is Caffe's, see `conv2d.max_pool_3`.

    Source: He et al., CVPR 2016; by default as in torchvision.
    """

    stages: Sequence[tuple[int, int]] = RESNET50_STAGES
    dtype: str = "float32"
    remat: bool = False
    axis_name: str | None = None
    cut: bool = False
    stride_in_1x1: bool = False
    ceil_pool: bool = False

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        bottleneck = nn.remat(Bottleneck, static_argnums=(2,)) if self.remat else Bottleneck
        first = self.stages[0][0]
        stem = Conv2D(first, 7, 2, use_bias=False, dtype=self.dtype, name="stem_conv")
        x = BatchNorm(self.axis_name, name="stem_norm")(stem(x), train=train)
        x = max_pool_3(nn.relu(x), self.ceil_pool)
        blocks = [(s, b) for s, (_, count) in enumerate(self.stages) for b in range(count)]
        for stage, block in blocks:
            stride = 2 if stage and not block else 1
            cut = self.cut and (stage, block) == blocks[-1]
            made = bottleneck(
                self.stages[stage][0], stride, self.dtype, self.axis_name, cut,
                self.stride_in_1x1, name=f"stage{stage + 1}_block{block + 1}",
            )  # fmt: skip
            x = made(x, train)
        return x
