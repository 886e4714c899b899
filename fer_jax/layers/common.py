"""Layers that several systems share. Channels are always the last axis."""

from __future__ import annotations

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

# On a GPU: side of a product's tile, parts that fill the multiprocessors, fewest rows of a part.
_TILE, _PARTS, _LEAST_ROWS = 64, 256, 1024

# For kernels [..., in, out]: the fan is taps times output channels.
he_normal_fan_out = nn.initializers.variance_scaling(2.0, "fan_out", "normal")


@jax.custom_vjp
def channel_mix(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Multiplies the channels: `[..., C] @ [C, D] -> [..., D]`.

    The derivative is explicit because XLA's own transposes the (large) cotangent in memory to
    compute the (small) kernel gradient.
    """
    return x @ kernel


def _channel_mix_forward(x, kernel):
    return x @ kernel, (x, kernel)


def _channel_mix_backward(saved, cotangent):
    x, kernel = saved
    rows_x = x.reshape(-1, x.shape[-1])
    rows_cotangent = cotangent.reshape(-1, cotangent.shape[-1])
    return cotangent @ kernel.T, _over_rows(rows_x, rows_cotangent)


channel_mix.defvjp(_channel_mix_forward, _channel_mix_backward)


def _over_rows(x: jax.Array, y: jax.Array) -> jax.Array:
    """Sums the products of rows, `[N, C], [N, D] -> [C, D]`.

    On a GPU the rows are divided into parts: the result of few channels is a single tile, which
    would occupy only one multiprocessor.
    """
    if jax.default_backend() == "cpu":
        return jax.lax.dot_general(x, y, (((0,), (0,)), ((), ())))
    tiles = -(-x.shape[1] // _TILE) * -(-y.shape[1] // _TILE)
    most = max(1, min(_PARTS // tiles, len(x) // _LEAST_ROWS))
    parts = max(n for n in range(1, most + 1) if len(x) % n == 0)
    if 2 * parts < most:  # few divisors: pad instead
        parts, spare = most, -len(x) % most
        x, y = (jnp.pad(each, ((0, spare), (0, 0))) for each in (x, y))
    x, y = (each.reshape(parts, -1, each.shape[-1]) for each in (x, y))
    products = jax.lax.dot_general(
        x, y, (((1,), (1,)), ((0,), (0,))), preferred_element_type=jnp.float32
    )
    return products.sum(0).astype(x.dtype)


class Dense(nn.Module):
    """A 1x1 convolution with bias: `[..., C] -> [..., features]`.

    Attributes:
      features: output channels.
      dtype: of the product; parameters stay float32.
    """

    features: int
    kernel_init: nn.initializers.Initializer = he_normal_fan_out
    dtype: str = "float32"
    bias_init: nn.initializers.Initializer = nn.initializers.zeros

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        kernel = self.param("kernel", self.kernel_init, (x.shape[-1], self.features))
        bias = self.param("bias", self.bias_init, (self.features,))
        return channel_mix(x.astype(self.dtype), kernel.astype(self.dtype)) + bias.astype(
            self.dtype
        )


def convolve(rows: jax.Array, kernel: jax.Array, padding: tuple[int, int], stride: int = 1):
    """Convolves over time with zero padding, `[N, T, Fi], [K, Fi, Fo] -> [N, T', Fo]`."""
    return jax.lax.conv_general_dilated(
        rows, kernel, (stride,), [padding], dimension_numbers=("NWC", "WIO", "NWC")
    )


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def convolve_on_cpu(rows: jax.Array, kernel: jax.Array, padding: tuple[int, int]) -> jax.Array:
    """`convolve` with derivatives that are fast on a CPU, also inside a loop.

    XLA's own derivatives are convolutions over other axes, for which XLA:CPU has no fast kernel
    inside a loop (`python -m benchmarks.convolution`).
    """
    return convolve(rows, kernel, padding)


def _convolve_forward(rows, kernel, padding):
    return convolve(rows, kernel, padding), (rows, kernel)


def _convolve_backward(padding, saved, cotangent):
    rows, kernel = saved
    reach = len(kernel) - 1
    mirrored = kernel[::-1].transpose(0, 2, 1)
    rows_gradient = convolve(cotangent, mirrored, (reach - padding[0], reach - padding[1]))
    return rows_gradient, _kernel_gradient(rows, cotangent, len(kernel), padding)


convolve_on_cpu.defvjp(_convolve_forward, _convolve_backward)


def _kernel_gradient(rows, cotangent, taps: int, padding, tile: int = 4) -> jax.Array:
    """Gradient of a kernel, `[taps, Fi, Fo]`, by products of tiles of frames.

    A product of tiles holds every pair of an input and an output frame; the pairs k frames apart, a
    diagonal, sum to tap k.
    """
    count, frames, channels = rows.shape
    features = cotangent.shape[-1]
    tiles = -(-cotangent.shape[1] // tile)
    parts = -(-(taps - 1) // tile) + 1  # input tiles that an output tile depends on
    length = (tiles + parts - 1) * tile
    end = max(length - padding[0] - frames, 0)
    rows = jnp.pad(rows, ((0, 0), (padding[0], end), (0, 0)))[:, :length]
    rows = rows.reshape(count, -1, tile * channels)
    cotangent = jnp.pad(cotangent, ((0, 0), (0, tiles * tile - cotangent.shape[1]), (0, 0)))
    cotangent = cotangent.reshape(count * tiles, -1)

    def pairs(part):
        own = rows[:, part : part + tiles].reshape(count * tiles, -1)
        product = jax.lax.dot_general(own, cotangent, (((0,), (0,)), ((), ())))
        return product.reshape(tile, channels, tile, features)

    product = jnp.concatenate([pairs(part) for part in range(parts)])
    return jnp.stack([sum(product[k + t, :, t] for t in range(tile)) for k in range(taps)])


class TemporalConv(nn.Module):
    """Convolution over time with zero padding: `[..., T, Fi] -> [..., T', Fo]`.

    A clip shorter than the kernel is multiplied by a Toeplitz matrix, which leaves out the taps
    that would only touch padding. On a GPU longer clips are multiplied in tiles the same way: a
    convolution of that many rows would need workspaces of tens of gigabytes.

    Attributes:
      features: output channels.
      kernel_size: taps.
      stride: in frames.
      dtype: of the product; parameters stay float32.
    """

    features: int
    kernel_size: int = 9
    stride: int = 1
    use_bias: bool = True
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        *leading, frames, channels = x.shape
        shape = (self.kernel_size, channels, self.features)
        kernel = self.param("kernel", he_normal_fan_out, shape)
        rows = x.reshape(-1, frames, channels).astype(self.dtype)
        if frames < self.kernel_size:
            y = self._whole_clip(rows, kernel)
        elif jax.default_backend() != "cpu":
            y = self._tiles(rows, kernel)
        else:
            y = self._strided(rows, kernel)
        y = y.reshape(*leading, -1, self.features)
        if not self.use_bias:
            return y
        return y + self.param("bias", nn.initializers.zeros, (self.features,)).astype(self.dtype)

    def _strided(self, rows, kernel):
        """Convolves with stride 1, `stride` frames being the channels of one frame."""
        count, frames, channels = rows.shape
        pad, stride = self.kernel_size // 2, self.stride
        front = -pad % stride
        back = -(self.kernel_size + front) % stride
        kernel = jnp.pad(kernel, ((front, back), (0, 0), (0, 0)))
        kernel = kernel.reshape(-1, stride * channels, self.features)
        rows = jnp.pad(rows, ((0, 0), (0, -frames % stride), (0, 0)))
        left = (pad + front) // stride
        rows = rows.reshape(count, -1, stride * channels)
        return convolve_on_cpu(rows, kernel.astype(rows.dtype), (left, len(kernel) - 1 - left))

    def _whole_clip(self, rows, kernel):
        count, frames, _ = rows.shape
        frames_out = (frames - 1) // self.stride + 1
        matrix = toeplitz(kernel, frames, frames_out, self.stride, self.kernel_size // 2)
        return channel_mix(rows.reshape(count, -1), matrix.astype(rows.dtype))

    def _tiles(self, rows, kernel):
        """Multiplies tiles of K - 1 output frames, K being the taps."""
        count, frames, channels = rows.shape
        frames_out, pad = (frames - 1) // self.stride + 1, len(kernel) // 2
        tile = max(len(kernel) - 1, 1)
        hop = tile * self.stride  # input frames from one tile to the next
        parts = -(-(hop - self.stride + len(kernel)) // hop)  # hops that a tile spans
        tiles = -(-frames_out // tile)
        length = (tiles + parts - 1) * hop
        rows = jnp.pad(rows, ((0, 0), (pad, max(length - pad - frames, 0)), (0, 0)))[:, :length]
        rows = rows.reshape(count, -1, hop * channels)
        windows = jnp.concatenate([rows[:, part : part + tiles] for part in range(parts)], -1)
        matrix = toeplitz(kernel, parts * hop, tile, self.stride).astype(rows.dtype)
        y = channel_mix(windows, matrix)
        return y.reshape(count, tiles * tile, -1)[:, :frames_out]


def toeplitz(kernel: jax.Array, frames: int, frames_out: int, stride: int, pad: int = 0):
    """The matrix of a convolution over time: `[K, Fi, Fo] -> [frames * Fi, frames_out * Fo]`.

    Args:
      kernel: its taps.
      frames, frames_out: length of input and output.
      stride: input frames from one output frame to the next.
      pad: frames of zeros before the first.
    """
    taps = np.arange(frames)[:, None] - stride * np.arange(frames_out) + pad
    inside = (taps >= 0) & (taps < len(kernel))
    matrix = kernel[np.clip(taps, 0, len(kernel) - 1)] * inside[..., None, None]
    return matrix.transpose(0, 2, 1, 3).reshape(frames * kernel.shape[1], -1)


def every_other_frame(x: jax.Array, stride: int) -> jax.Array:
    """Takes every `stride`-th frame of `[E, B, T, F]`, for a residual beside a strided layer.

    The barrier keeps XLA:GPU from fusing the strided slice into the following product, which
    crashes its compiler (jaxlib 0.11, a check in `triton_tiling_propagation`).
    """
    if stride == 1:
        return x
    kept = x[:, :, ::stride]
    return kept if jax.default_backend() == "cpu" else jax.lax.optimization_barrier(kept)


class Dropout(nn.Module):
    """Element-wise dropout whose masks do not depend on how a batch is split over devices.

    The random bits are an integer hash of (key, example, element): 1 and 8 devices draw the same
    masks, and the hash, unlike the default generator, fuses with the masked product.

    Attributes:
      rate: share of elements set to zero; the rest is scaled by 1 / (1 - rate).
      batch_axis: axis of the examples.
      axis_name: name of the mapped device axis over which a batch is split, if any.
      shared_axis: axis along which the mask of an example is constant, if any.
    """

    rate: float
    batch_axis: int = 0
    axis_name: str | None = None
    shared_axis: int | None = None

    @nn.compact
    def __call__(self, x: jax.Array, *, active: bool) -> jax.Array:
        if not active or self.rate == 0.0:
            return x
        words = jax.random.bits(self.make_rng("dropout"), (2,))
        shape = tuple(1 if axis == self.shared_axis else n for axis, n in enumerate(x.shape))
        bits = hash_bits(words, shape, self.batch_axis, self._first_example(x))
        keep = bits < jnp.uint32(round((1.0 - self.rate) * 2**32))
        return jnp.where(keep, x * (1.0 / (1.0 - self.rate)), 0.0)

    def _first_example(self, x: jax.Array) -> jax.Array | int:
        if self.axis_name is None:
            return 0
        return jax.lax.axis_index(self.axis_name) * x.shape[self.batch_axis]


def hash_bits(words: jax.Array, shape: tuple[int, ...], batch_axis: int, first) -> jax.Array:
    """Returns 32 random bits for every element of an array, uint32 of its shape.

    Args:
      words: `[2]` uint32, drawn from the key of this layer and step.
      shape: shape of the array, fewer than 2**32 elements per example.
      batch_axis: axis of the examples.
      first: index of the array's first example within the whole batch.
    """
    element, stride = jnp.zeros((), jnp.uint32), 1
    for axis in reversed([axis for axis in range(len(shape)) if axis != batch_axis]):
        index = jax.lax.broadcasted_iota(jnp.uint32, shape, axis)
        element, stride = element + index * jnp.uint32(stride), stride * shape[axis]
    example = jax.lax.broadcasted_iota(jnp.uint32, shape, batch_axis)
    example = _scramble(example + jnp.asarray(first, jnp.uint32) + words[0])
    return _scramble(_scramble(element ^ words[1]) + example)


def _scramble(x: jax.Array) -> jax.Array:
    """A bijection of 32-bit words that flips half of the output bits for any input bit.

    Multipliers: C. Wellons' search for low-bias hash functions ("lowbias32").
    """
    x = (x ^ (x >> 16)) * jnp.uint32(0x7FEB352D)
    x = (x ^ (x >> 15)) * jnp.uint32(0x846CA68B)
    return x ^ (x >> 16)
