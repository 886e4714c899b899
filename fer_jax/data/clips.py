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
      frames: `[N, T, S, S, 3]` uint8 RGB in memory, or `crops.Recorded` to decode them while
        training.
      landmarks: `[N, T, 68, 2]` float32, pixels of the crops.
      framing: size and position of the faces in the crops.
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
      scaled: landmarks are rescaled to frames 500 wide; false where a frame width was unknown.
      version: of the program that prepared it.
    """

    scaled: bool = True
    version: int = 0


@dataclasses.dataclass(frozen=True)
class LeftOut:
    """Counts of what a dataset holds and training cannot use.

    Attributes:
      faceless: labelled windows that show no face.
      short: dataset -> recordings with too few frames with a face for one piece.
      classes: class -> clips, for classes in no training dataset (`cross_database`).
    """

    faceless: int = 0
    short: dict[str, int] = dataclasses.field(default_factory=dict)
    classes: dict[str, int] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Clips:
    """A prepared dataset with T frames per clip.

    Attributes:
      clip_ids, subjects, splits: one string per clip.
      labels: `[N]` int32 classes, `[N, A]` float32 action units (1 present, 0 absent, NaN unknown)
        or `[N, C]` float32 dimensions.
      landmarks: `[N, T, 68, 2]` float32, pixels of a frame 500 wide.
      seconds: `[N]` length of the whole clip.
      classes: names of the classes, action units or dimensions, in the order of the labels.
      graph: the landmark graph.
      crops: face crops, None for landmark models.
      ranks: `[N]` index of each window within its recording; None: all are 0.
      ends: `[N]` seconds into the recording at which each clip ends; NaN where unknown.
      preparation: how the dataset was prepared.
      left_out: counts of what is not among the clips.

    Windows overlap, so their landmarks and crops are `crops.Shared`.
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
        """What a message calls them: "windows" or "clips"."""
        return "windows" if isinstance(self.landmarks, crops.Shared) else "clips"

    @property
    def clip_bytes(self) -> int:
        """Size of a clip's landmarks or crops as they go to the devices."""
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
    """Decodes all crops into memory if they take at most `most` bytes."""
    if not clips.streamed or clips.crops.frames.held_bytes > most:
        return clips
    held = dataclasses.replace(clips.crops, frames=clips.crops.frames.all())
    return dataclasses.replace(clips, crops=held)


def take(clips: Clips, indices: np.ndarray, weight: np.ndarray | None = None) -> dict:
    """Gathers a batch; the shape of `indices` becomes its leading axes."""
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
      clips: the dataset.
      indices: `[R, K, B]` clip indices; `hop` divides K.
      weight: `[R, K, B]`; None: all 1.
      hop: batches per yield.

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
    """Shuffles the training clips into `[steps, batch_size]`.

    It drops the incomplete last batch, as the published code does; each epoch drops other clips.
    """
    order = np.random.default_rng(seed).permutation(train)
    return order[: steps * batch_size].reshape(steps, batch_size)


def padded_parts(parts, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
    """Batches the clips of R runs in order: clip indices and weights, both `[R, K, B]`.

    Runs are padded to equal length with clips of weight 0.
    """
    length = -(-max(map(len, parts)) // batch_size) * batch_size
    shape = (len(parts), -1, batch_size)
    sources = [part if len(part) else np.zeros(1, int) for part in parts]
    chosen = np.stack([np.resize(np.asarray(part, int), length) for part in sources])
    weight = np.stack([np.arange(length) < len(part) for part in parts])
    return chosen.reshape(shape), weight.reshape(shape).astype(np.float32)
