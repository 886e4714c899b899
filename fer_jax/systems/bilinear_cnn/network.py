"""Bilinear CNN: second-order statistics of a CNN's features to valence, arousal and dominance.

Source: Zhou, Kong, Fowlkes, Chen & Lei, arXiv 1805.01024; bilinear CNN specification, section 3,
for what the paper leaves open.
"""

from __future__ import annotations

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from fer_jax.layers import fields
from fer_jax.layers.backbones import RESNET50_STAGES, VGG16, VGG16_STAGES, ResNet50
from fer_jax.layers.common import Dense, Dropout
from fer_jax.systems.bilinear_cnn.pooling import bilinear_vector, scale_to_unit

TRUNKS = ("vgg16", "resnet50")
POOLINGS = ("global", "fc", "bilinear")
COMPACT = ("full", "triangle", "reduced", "low_rank")
SCALE = (1.0, 9.0)  # of the labels
FC = 4096  # units of fc6 and of fc7


class LowRank(nn.Module):
    """Outputs `<W, X'X> + b = |X U+|^2 - |X U-|^2 + b`, for `W = U+ U+' - U- U-'`.

    Attributes:
      outputs: D.
      bias_init: of b.

    Source: Kong & Fowlkes, CVPR 2017.
    """

    outputs: int
    bias_init: nn.initializers.Initializer

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """The squares `|X u|^2` of each column of U+ and U- to outputs, `[..., D * rank] -> D`."""
        halves = x.reshape(*x.shape[:-1], self.outputs, 2, -1).sum(-1)
        bias = self.param("bias", self.bias_init, (self.outputs,))
        return halves[..., 0] - halves[..., 1] + bias


class BilinearCNN(nn.Module):
    """Bilinear CNN: faces `[B, T, S, S, 3]` to values `[B, D]` on the scale of the labels.

    In training every frame is an example: values are `[B, T, D]`. Else a clip's are the mean of its
    frames'. A still image is a clip of one frame.

    Attributes:
      classes: D, dimensions that are predicted.
      trunk: "vgg16" (up to relu5_3) or "resnet50".
      pooling: what becomes of the trunk's maps: "global" (their mean), "fc" (pool5, fc6 and fc7
        of VGG16, the authors' code; ties the network to S) or "bilinear", for which ResNet50 ends
        within its last block, with 512 channels.
      compact: of bilinear pooling: "full" (c * c numbers), "triangle" (each pair of channels once;
        half the memory, the same inner products), "reduced" (a 1 x 1 convolution in front of it)
        or "low_rank" (W is a low-rank matrix on X'X, without roots).
      features: units of the layer between the bilinear feature and the output; 0, "reduced" and
        "low_rank" have none.
      reduced: channels that "reduced" leaves.
      rank: of each output's W, even.
      dropout: rate in front of the output, and behind fc6.
      reference_grad: see `bilinear_vector`.
      label_mean: first value of the output's bias.
      stages: of the trunk, see `backbones`; () is the paper's.
      batch_norm: of VGG16, which has none in the paper.
      size: pixels of a side to which faces are enlarged (bicubic); 0 takes them as they are.
      gray: takes the colour out of faces, as FER+ has none.
      mirrored: takes the mean of a face and its mirror image, except in training.
      pixels: how pixels are scaled, a key of `model_inputs.PIXELS`. "vggface" is the paper's for
        VGG16, "vggface2" for ResNet50; weights from ImageNet want "imagenet", a network from
        scratch "symmetric".
      dtype, remat: of the trunk, see `backbones`; all behind it is float32.
      axis_name: name of the mapped device axis, if any.
    """

    classes: int
    trunk: str = "vgg16"
    pooling: str = "bilinear"
    compact: str = "full"
    features: int = 512
    reduced: int = 100
    rank: int = 8
    dropout: float = 0.3
    reference_grad: bool = False
    label_mean: float = 5.0
    stages: Sequence[tuple[int, int]] = ()
    batch_norm: bool = False
    size: int = 0
    gray: bool = False
    mirrored: bool = False
    pixels: str = "vggface"
    dtype: str = "float32"
    remat: bool = False
    axis_name: str | None = None

    inputs = "frames"

    @property
    def smallest_crop(self) -> int:
        return 1 if self.size else 2 ** len(self.stages)  # each stage halves its maps

    @nn.nowrap
    def check(self) -> None:
        """Refuses fields without meaning, see `layers.build`."""
        fields.one_of(self, "trunk", TRUNKS)
        fields.one_of(self, "pooling", POOLINGS)
        fields.one_of(self, "compact", COMPACT)
        fields.stages(self)
        fields.positive(self, "reduced")
        fields.within(self, "features", 0, 100_000)
        fields.within(self, "label_mean", *SCALE)
        if self.pooling == "fc" and self.trunk != "vgg16":
            raise fields.FieldError(
                self, "pooling", f"fc6 and fc7 belong to vgg16, not {self.trunk}"
            )
        if self.compact != "full" and self.pooling != "bilinear":
            problem = f"it is for bilinear pooling, not {self.pooling}"
            raise fields.FieldError(self, "compact", problem)
        if self.rank % 2 or self.rank < 2:
            raise fields.FieldError(self, "rank", "it must be even: half of it is subtracted")
        if 0 < self.size < 2 ** len(self.stages):
            problem = f"{len(self.stages)} stages halve it to nothing"
            raise fields.FieldError(self, "size", problem)

    def setup(self):
        self.check()
        self.backbone = self._trunk()
        bilinear, glorot = self.pooling == "bilinear", nn.initializers.glorot_uniform()
        if self.pooling == "fc":
            he = nn.initializers.he_normal()
            self.fc6, self.fc7 = Dense(FC, kernel_init=he), Dense(FC, kernel_init=he)
        elif bilinear and self.compact == "reduced":
            self.reduce = Dense(self.reduced, kernel_init=glorot)
        elif bilinear and self.compact == "low_rank":
            init = nn.initializers.normal(0.3)  # outputs begin within tenths of `label_mean`
            self.directions = nn.Dense(self.classes * self.rank, use_bias=False, kernel_init=init)
        elif bilinear and self.features:
            # its input has length 1, whatever the number of entries: the fan out counts
            self.extra = Dense(self.features)
        # one network a pass: frames and mirror images of a clip share its mask
        self.drop = Dropout(self.dropout, axis_name=self.axis_name, shared_axis=1)
        self.head = self._head()

    def _trunk(self) -> nn.Module:
        options = {"dtype": self.dtype, "remat": self.remat, "axis_name": self.axis_name}
        if self.trunk == "vgg16":
            options |= {"batch_norm": self.batch_norm, "last_pool": self.pooling == "fc"}
            return VGG16(self.stages or VGG16_STAGES, **options)
        cut = self.pooling == "bilinear"
        return ResNet50(self.stages or RESNET50_STAGES, cut=cut, **options)

    def _head(self) -> nn.Module:
        start = nn.initializers.constant(self.label_mean)
        if self.pooling == "bilinear" and self.compact == "low_rank":
            return LowRank(self.classes, start)
        glorot = nn.initializers.glorot_uniform()
        return nn.Dense(self.classes, kernel_init=glorot, bias_init=start)

    def maps(self, inputs: jax.Array, *, train: bool = False) -> jax.Array:
        """Feature maps of the trunk, `[B, T, S, S, 3] -> [B, T, h, w, c]`."""
        images = inputs.reshape(-1, *inputs.shape[2:])
        if self.size:
            shape = (len(images), self.size, self.size, 3)
            images = jax.image.resize(images, shape, "cubic")  # Keys' kernel, as the authors'
        maps = self.backbone(images, train=train)
        return maps.reshape(*inputs.shape[:2], *maps.shape[1:])

    def pool(self, x: jax.Array) -> jax.Array:
        """Features of an image from those of its positions, `[N, n, c] -> [N, m]`."""
        if self.pooling == "global":
            return x.mean(1)
        if self.pooling == "fc":
            return nn.relu(self.fc6(x.reshape(len(x), -1)))
        if self.compact == "low_rank":
            return jnp.square(self.directions(scale_to_unit(x))).sum(1)
        if self.compact == "reduced":
            return bilinear_vector(self.reduce(x), False, self.reference_grad)
        vector = bilinear_vector(x, self.compact == "triangle", self.reference_grad)
        return self.extra(vector) if self.features else vector

    def before_dropout(self, inputs: jax.Array, *, train: bool = False) -> jax.Array:
        """Features of each frame, `[B, T, S, S, 3] -> [B, T, m]`; mirrored, of 2 T."""
        if self.mirrored and not train:
            inputs = jnp.concatenate([inputs, inputs[..., ::-1, :]], axis=1)
        maps = self.maps(inputs, train=train).astype(jnp.float32)
        *leading, height, width, channels = maps.shape
        return self.pool(maps.reshape(-1, height * width, channels)).reshape(*leading, -1)

    def of_frames(self, x: jax.Array, *, dropout: bool = False) -> jax.Array:
        """Values of each frame, `[B, T, m] -> [B, T, D]`."""
        x = self.drop(x, active=dropout)
        if self.pooling == "fc":
            x = self.drop(nn.relu(self.fc7(x)), active=dropout)
        return self.head(x)

    def after_dropout(self, x: jax.Array, *, dropout: bool = False) -> jax.Array:
        """Values of each clip, `[B, T, m] -> [B, D]`."""
        return self.of_frames(x, dropout=dropout).mean(1)

    def __call__(self, inputs: jax.Array, *, train: bool, dropout: bool | None = None) -> jax.Array:
        x = self.before_dropout(inputs, train=train)
        rest = self.of_frames if train else self.after_dropout
        return rest(x, dropout=train if dropout is None else dropout)
