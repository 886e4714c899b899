"""Bilinear CNN: valence, arousal and dominance from second-order statistics of CNN features.

Source: Zhou, Kong, Fowlkes, Chen & Lei, arXiv 1805.01024, section IV and figure 5;
docs/papers/bilinear_cnn.md where the paper is silent.
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

    Source: Kong & Fowlkes, CVPR 2017.
    """

    outputs: int
    bias_init: nn.initializers.Initializer

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """`[..., D * rank]` squares `|X u|^2` of the columns of U+ and U- to outputs `[..., D]`."""
        halves = x.reshape(*x.shape[:-1], self.outputs, 2, -1).sum(-1)
        bias = self.param("bias", self.bias_init, (self.outputs,))
        return halves[..., 0] - halves[..., 1] + bias


class BilinearCNN(nn.Module):
    """Bilinear CNN: faces `[B, T, S, S, 3]` to values `[B, D]` on the scale of the labels.

    In training every frame is an example and values are `[B, T, D]`; otherwise a clip has the mean
    of its frames. A still image is a clip of one frame.

    Attributes:
      classes: D, number of dimensions.
      trunk: "vgg16" (up to relu5_3) or "resnet50".
      pooling: of the trunk's maps: "global" (their mean), "fc" (pool5, fc6 and fc7 of VGG16, the
        authors' code; fixes S) or "bilinear", for which ResNet50 ends within its last block, with
        512 channels.
      compact: of bilinear pooling: "full" (c * c features), "triangle" (each pair of channels once;
        half the memory, the same inner products), "reduced" (after a 1 x 1 convolution) or
        "low_rank" (W is a low-rank matrix on X'X, without roots).
      features: units of the layer between the bilinear feature and the output (figure 5c), 0 for
        none; "low_rank" has none.
      reduced: channels left by "reduced".
      rank: of each output's W, even.
      dropout: rate before the output, and after fc6; in the paper it belongs to the layer of
        `features`, which global pooling lacks.
      reference_grad: see `bilinear_vector`.
      label_mean: initial bias of the output.
      stages: of the trunk, see `backbones`; () is the paper's.
      batch_norm: of VGG16; the paper has none.
      size: side to which faces are enlarged (bicubic), pixels; 0 keeps them.
      gray: converts faces to gray, as in FER+.
      mirrored: averages a face and its mirror image, except in training.
      pixels: scaling of the pixels, a key of `model_inputs.PIXELS`: "vggface" in the paper for
        VGG16, "vggface2" for ResNet50; "imagenet" for weights from ImageNet, "symmetric" for a
        network from scratch. In a config also "auto", see `pixels_for`.
      channels: order of the colours that the trunk takes: "rgb", or "bgr" as networks of Caffe.
      stride_in_1x1, ceil_pool: of ResNet50, see `backbones`: both True for weights of Caffe, such
        as VGGFace2's.
      dtype, remat, axis_name: of the trunk, see `layers.build`; the rest is float32.
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
    channels: str = "rgb"
    stride_in_1x1: bool = False
    ceil_pool: bool = False
    dtype: str = "float32"
    remat: bool = False
    axis_name: str | None = None

    inputs = "frames"

    @property
    def smallest_crop(self) -> int:
        return 1 if self.size else 2 ** len(self.stages)  # each stage halves its maps

    @staticmethod
    def pixels_for(fields: dict, pretrained: bool) -> str:
        """Chooses pixels for a config: as in the paper for weights of faces, else -1 to 1."""
        faces = {"vgg16": "vggface", "resnet50": "vggface2"}
        return faces.get(fields.get("trunk", "vgg16"), "vggface") if pretrained else "symmetric"

    @nn.nowrap
    def check(self) -> None:
        """Refuses invalid fields, see `layers.build`."""
        fields.one_of(self, "trunk", TRUNKS)
        fields.one_of(self, "pooling", POOLINGS)
        fields.one_of(self, "compact", COMPACT)
        fields.one_of(self, "channels", ("rgb", "bgr"))
        for name in ("stride_in_1x1", "ceil_pool"):
            if getattr(self, name) and self.trunk != "resnet50":
                raise fields.FieldError(self, name, f"it belongs to resnet50, not {self.trunk}")
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
        if bilinear and self.compact == "reduced":
            self.reduce = Dense(self.reduced, kernel_init=glorot)
        if bilinear and self.compact == "low_rank":
            init = nn.initializers.normal(0.3)  # first outputs are within tenths of `label_mean`
            self.directions = nn.Dense(self.classes * self.rank, use_bias=False, kernel_init=init)
        elif bilinear and self.features:
            # Its input has length 1 for any number of entries, so the fan out counts.
            self.extra = Dense(self.features)
        # An MC sample is one network: frames and mirror images of a clip share its mask.
        self.drop = Dropout(self.dropout, axis_name=self.axis_name, shared_axis=1)
        self.head = self._head()

    def _trunk(self) -> nn.Module:
        options = {"dtype": self.dtype, "remat": self.remat, "axis_name": self.axis_name}
        if self.trunk == "vgg16":
            options |= {"batch_norm": self.batch_norm, "last_pool": self.pooling == "fc"}
            return VGG16(self.stages or VGG16_STAGES, **options)
        cut = self.pooling == "bilinear"
        options |= {"stride_in_1x1": self.stride_in_1x1, "ceil_pool": self.ceil_pool}
        return ResNet50(self.stages or RESNET50_STAGES, cut=cut, **options)

    def _head(self) -> nn.Module:
        start = nn.initializers.constant(self.label_mean)
        if self.pooling == "bilinear" and self.compact == "low_rank":
            return LowRank(self.classes, start)
        glorot = nn.initializers.glorot_uniform()
        return nn.Dense(self.classes, kernel_init=glorot, bias_init=start)

    def maps(self, inputs: jax.Array, *, train: bool = False) -> jax.Array:
        """Returns the feature maps of the trunk, `[B, T, S, S, 3] -> [B, T, h, w, c]`."""
        images = inputs.reshape(-1, *inputs.shape[2:])
        images = images[..., ::-1] if self.channels == "bgr" else images
        if self.size:
            shape = (len(images), self.size, self.size, 3)
            images = jax.image.resize(images, shape, "cubic")  # Keys' kernel, as the authors'
        maps = self.backbone(images, train=train)
        return maps.reshape(*inputs.shape[:2], *maps.shape[1:])

    def pool(self, x: jax.Array) -> jax.Array:
        """Pools the features of n positions of each image, `[N, n, c] -> [N, m]`."""
        if self.pooling == "global":
            return x.mean(1)
        if self.pooling == "fc":
            return nn.relu(self.fc6(x.reshape(len(x), -1)))
        if self.compact == "low_rank":
            return jnp.square(self.directions(scale_to_unit(x))).sum(1)
        if self.compact == "reduced":
            x = self.reduce(x)
        vector = bilinear_vector(x, self.compact == "triangle", self.reference_grad)
        return self.extra(vector) if self.features else vector

    def before_dropout(self, inputs: jax.Array, *, train: bool = False) -> jax.Array:
        """Returns the features of each frame `[B, T, m]`, of 2 T frames if mirrored."""
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
