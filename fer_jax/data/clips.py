"""A dataset in memory and its batches."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from fer_jax.data import crops
from fer_jax.faces import landmarks as lm
from fer_jax.faces.landmarks import ALIGNED, Framing


@dataclasses.dataclass(frozen=True)
class Crops:
    """Face crops of N clips.

    Attributes:
      frames: `[N, T, S, S, 3]` uint8 RGB in memory, or `crops.Recorded` where they are decoded
        while training.
      landmarks: `[N, T, 68, 2]` float32, pixels of the crops.
      framing: how faces lie in the crops.
    """

    frames: np.ndarray | crops.Shared | crops.Recorded
    landmarks: np.ndarray | crops.Shared
    framing: Framing = ALIGNED

    @property
    def size(self) -> int:
        """Side of a crop, pixels."""
        return self.frames.shape[2]


class Preparation(NamedTuple):
    """How a dataset was prepared.

    Attributes:
      scaled: whether the source's frame widths were known, so that pixels could be rescaled.
      version: of the program that prepared it.
    """

    scaled: bool = True
    version: int = 0


@dataclasses.dataclass(frozen=True)
class LeftOut:
    """What of a dataset cannot be used.

    Attributes:
      faceless: labelled windows that show no face.
      short: recordings by dataset that have too few frames with a face for one piece.
      classes: clips by class, where no training dataset shows the class (`cross_database`).
    """

    faceless: int = 0
    short: dict[str, int] = dataclasses.field(default_factory=dict)
    classes: dict[str, int] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Clips:
    """A prepared dataset, T frames a clip.

    Attributes:
      clip_ids, subjects, splits: one string a clip.
      labels: what is trained on: `[N]` int32 classes, or `[N, A]` float32 action units (1 present,
        0 not, NaN unknown).
      landmarks: `[N, T, 68, 2]` float32, pixels of a frame 500 wide.
      seconds: `[N]` length of the whole clip.
      classes: names of classes or action units, in the order of the labels.
      graph: the landmark graph.
      crops: face crops, None for models of landmarks.
      ranks: `[N]` which window of its recording it is, counted from 0; None: all are the first.
      ends: `[N]` seconds into the recording at which it ends; NaN where that is not known.
      preparation: how the dataset was prepared.
      left_out: what of it is not among the clips.

    Windows overlap: landmarks and crops are then `crops.Shared`.
    """

    clip_ids: list[str]
    subjects: list[str]
    splits: list[str]
    labels: np.ndarray
    landmarks: np.ndarray | crops.Shared
    seconds: np.ndarray
    classes: tuple[str, ...]
    graph: lm.Graph
    crops: Crops | None = None
    ranks: np.ndarray | None = None
    ends: np.ndarray | None = None
    preparation: Preparation = Preparation()
    left_out: LeftOut = LeftOut()

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def kind(self) -> str:
        """What they are called."""
        return "windows" if isinstance(self.landmarks, crops.Shared) else "clips"

    @property
    def clip_bytes(self) -> int:
        """Size of what a model gets of a clip, before it is converted."""
        if self.crops is None:
            return self.landmarks[0].nbytes
        if self.streamed:
            return self.crops.frames.clip_bytes
        return self.crops.frames[0].nbytes

    @property
    def streamed(self) -> bool:
        """Whether crops are decoded while training."""
        return self.crops is not None and isinstance(self.crops.frames, crops.Recorded)


def hold_crops(clips: Clips, most: int) -> Clips:
    """Decodes the crops into memory where all of them take no more than `most` bytes."""
    if not clips.streamed or clips.crops.frames.held_bytes > most:
        return clips
    held = dataclasses.replace(clips.crops, frames=clips.crops.frames.all())
    return dataclasses.replace(clips, crops=held)


def take(clips: Clips, indices: np.ndarray, weight: np.ndarray | None = None) -> dict:
    """Gathers a batch; `indices` may have any shape, which becomes the leading axes."""
    if not clips.streamed:
        frames = None if clips.crops is None else clips.crops.frames[indices]
        return _batch(clips, indices, weight, frames)
    decoded = np.stack([clips.crops.frames.clip(index) for index in indices.reshape(-1)])
    return _batch(clips, indices, weight, decoded)


def _batch(clips: Clips, indices: np.ndarray, weight, frames: np.ndarray | None) -> dict:
    if weight is None:
        weight = np.ones(indices.shape, np.float32)
    batch = {"label": clips.labels[indices], "weight": weight}
    if frames is None:
        return {**batch, "landmarks": clips.landmarks[indices]}
    frames = frames.reshape(*indices.shape, *clips.crops.frames.shape[1:])
    return {**batch, "frames": frames, "crop_landmarks": clips.crops.landmarks[indices]}


def batches(clips: Clips, indices: np.ndarray, weight=None, hop: int = 1) -> Iterator[dict]:
    """Gathers the K batches of R runs, `hop` at a time; recorded crops are decoded ahead.

    Args:
      indices: `[R, K, B]` clips; `hop` divides K.
      weight: the same shape.

    Yields:
      `take` of `[R, hop, B]`.
    """
    parts = [slice(first, first + hop) for first in range(0, indices.shape[1], hop)]
    order = [indices[:, part] for part in parts]
    weights = [None if weight is None else weight[:, part] for part in parts]
    if not clips.streamed:
        yield from (take(clips, *each) for each in zip(order, weights, strict=True))
        return
    flat = np.concatenate([chosen.reshape(-1) for chosen in order])
    decoded = crops.stream(clips.crops.frames, flat, order[0].size)
    for chosen, own, frames in zip(order, weights, decoded, strict=True):
        yield _batch(clips, chosen, own, frames)


def epoch_indices(train: np.ndarray, steps: int, batch_size: int, seed: tuple) -> np.ndarray:
    """Shuffles the training clips into `[steps, batch_size]`; what does not fill a step waits.

    The incomplete last batch is left out, as in the published code; every epoch leaves out others.
    """
    order = np.random.default_rng(seed).permutation(train)
    return order[: steps * batch_size].reshape(steps, batch_size)


def padded_parts(parts, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
    """Batches the clips of R runs in order, filled with weight 0: `([R, K, B], [R, K, B])`."""
    length = -(-max(map(len, parts)) // batch_size) * batch_size
    shape = (len(parts), -1, batch_size)
    fillers = [part if len(part) else np.zeros(1, int) for part in parts]
    chosen = np.stack([np.resize(np.asarray(part, int), length) for part in fillers])
    weight = np.stack([np.arange(length) < len(part) for part in parts])
    return chosen.reshape(shape), weight.reshape(shape).astype(np.float32)
