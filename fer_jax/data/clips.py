"""A data set in memory and its batches."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np

from fer_jax.data import crops
from fer_jax.faces import landmarks as lm
from fer_jax.faces.landmarks import ALIGNED, Framing


@dataclasses.dataclass(frozen=True)
class Clips:
    """A prepared data set, T frames a clip.

    Attributes:
      clip_ids, subjects, splits: one string a clip.
      labels: what is learnt: `[N]` int32 classes, or `[N, A]` float32 action units (1 present,
        0 not, NaN unknown).
      landmarks: `[N, T, 68, 2]` float32, pixels of a frame 500 wide.
      seconds: `[N]` length of the whole clip.
      classes: names of classes or action units, in the order of the labels.
      graph: the landmark graph.
      scaled: whether the source's frame widths were known, so that pixels could be rescaled.
      preprocess_version: of the program that prepared it.
      framing: how faces lie in the crops.
      frames: face crops `[N, T, S, S, 3]` uint8 RGB in memory, `crops.Recorded` where they are
        decoded while training, or None.
      crop_landmarks: `[N, T, 68, 2]` float32, pixels of the crops, or None.
      ranks: `[N]` which window of its recording it is, counted from 0; None: all are the first.
      faceless: labelled windows that show no face, which are left out.
      short: recordings left out by data set, because they have too few frames with a face for one
        piece.
      unseen: clips left out by class, because no data set to learn from shows it
        (`cross_database`).
      ends: `[N]` seconds into the recording at which it ends; NaN where that is not known.

    Windows overlap: `landmarks`, `frames` and `crop_landmarks` are then `crops.Shared`.
    """

    clip_ids: list[str]
    subjects: list[str]
    splits: list[str]
    labels: np.ndarray
    landmarks: np.ndarray | crops.Shared
    seconds: np.ndarray
    classes: tuple[str, ...]
    graph: lm.Graph
    scaled: bool = True
    preprocess_version: int = 0
    framing: Framing = ALIGNED
    frames: np.ndarray | crops.Shared | crops.Recorded | None = None
    crop_landmarks: np.ndarray | crops.Shared | None = None
    ranks: np.ndarray | None = None
    ends: np.ndarray | None = None
    faceless: int = 0
    short: dict[str, int] = dataclasses.field(default_factory=dict)
    unseen: dict[str, int] = dataclasses.field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def kind(self) -> str:
        """What they are called."""
        return "windows" if isinstance(self.landmarks, crops.Shared) else "clips"

    @property
    def clip_bytes(self) -> int:
        """Size of what a model gets of a clip, before it is converted."""
        if self.frames is None:
            return self.landmarks[0].nbytes
        if isinstance(self.frames, crops.Recorded):
            return self.frames.clip_bytes
        return self.frames[0].nbytes


def hold_crops(clips: Clips, most: int) -> Clips:
    """Decodes the crops into memory where all of them take no more than `most` bytes."""
    if not isinstance(clips.frames, crops.Recorded) or clips.frames.held_bytes > most:
        return clips
    return dataclasses.replace(clips, frames=clips.frames.all())


def take(clips: Clips, numbers: np.ndarray, weight: np.ndarray | None = None) -> dict:
    """Gathers a batch; `numbers` may have any shape, which becomes the leading axes."""
    if not isinstance(clips.frames, crops.Recorded):
        frames = None if clips.frames is None else clips.frames[numbers]
        return _batch(clips, numbers, weight, frames)
    decoded = np.stack([clips.frames.clip(number) for number in numbers.reshape(-1)])
    return _batch(clips, numbers, weight, decoded)


def _batch(clips: Clips, numbers: np.ndarray, weight, frames: np.ndarray | None) -> dict:
    if weight is None:
        weight = np.ones(numbers.shape, np.float32)
    batch = {"label": clips.labels[numbers], "weight": weight}
    if frames is None:
        return {**batch, "landmarks": clips.landmarks[numbers]}
    frames = frames.reshape(*numbers.shape, *clips.frames.shape[1:])
    return {**batch, "frames": frames, "crop_landmarks": clips.crop_landmarks[numbers]}


def batches(clips: Clips, numbers: np.ndarray, weight=None, hop: int = 1) -> Iterator[dict]:
    """Gathers the K batches of R runs, `hop` at a time; recorded crops are decoded ahead.

    Args:
      numbers: `[R, K, B]` clips; `hop` divides K.
      weight: the same shape.

    Yields:
      `take` of `[R, hop, B]`.
    """
    parts = [slice(first, first + hop) for first in range(0, numbers.shape[1], hop)]
    order = [numbers[:, part] for part in parts]
    weights = [None if weight is None else weight[:, part] for part in parts]
    if not isinstance(clips.frames, crops.Recorded):
        yield from (take(clips, *each) for each in zip(order, weights, strict=True))
        return
    flat = np.concatenate([chosen.reshape(-1) for chosen in order])
    decoded = crops.stream(clips.frames, flat, order[0].size)
    for chosen, own, frames in zip(order, weights, decoded, strict=True):
        yield _batch(clips, chosen, own, frames)


def epoch_numbers(train: np.ndarray, steps: int, batch_size: int, seed: tuple) -> np.ndarray:
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
