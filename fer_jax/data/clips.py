"""A dataset in memory and its batches."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from fer_jax.data import crops
from fer_jax.faces import landmarks as lm
from fer_jax.faces.landmarks import ALIGNED, Framing
from fer_jax.faces.media.ahead import ahead

SEPARATOR = "/"  # between the name of a dataset and that of a clip or a subject


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
    landmarks: np.ndarray | crops.Shared | crops.Joined
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
      undecided: clips whose votes have no class, or none left for any class.
    """

    faceless: int = 0
    short: dict[str, int] = dataclasses.field(default_factory=dict)
    classes: dict[str, int] = dataclasses.field(default_factory=dict)
    undecided: int = 0


@dataclasses.dataclass(frozen=True)
class Clips:
    """A prepared dataset with T frames per clip.

    Attributes:
      clip_ids, subjects, splits: one string per clip.
      labels: `[N]` int32 classes, `[N, A]` float32 action units (1 present, 0 absent, NaN unknown),
        `[N, C]` float32 dimensions or `[N, 2, C]` float32 votes (`emotion_ratings.read_votes`).
      landmarks: `[N, T, 68, 2]` float32, pixels of a frame 500 wide.
      seconds: `[N]` length of the whole clip.
      classes: names of the classes, action units or dimensions, in the order of the labels.
      graph: the landmark graph.
      crops: face crops, None for landmark models.
      ranks: `[N]` index of each window within its recording; None: all are 0.
      ends: `[N]` seconds into the recording at which each clip ends; NaN where unknown.
      preparation: how the dataset was prepared.
      left_out: counts of what is not among the clips.
      kind: what a message calls them: "clips" or "windows".

    Windows overlap, so their landmarks and crops are `crops.Shared`; so are landmarks in a file.
    Those of several datasets together are `crops.Joined`.
    """

    clip_ids: list[str]
    subjects: list[str]
    splits: list[str]
    labels: np.ndarray
    landmarks: np.ndarray | crops.Shared | crops.Joined
    seconds: np.ndarray
    classes: tuple[str, ...]
    graph: lm.Graph
    crops: Crops | None = None
    ranks: np.ndarray | None = None
    ends: np.ndarray | None = None
    preparation: Preparation = Preparation()
    left_out: LeftOut = LeftOut()
    kind: str = "clips"

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def clip_bytes(self) -> int:
        """Size of a clip's landmarks or crops as they go to the devices."""
        if self.crops is None:
            return self.landmarks[0].nbytes
        if self.streamed:
            return self.crops.frames.clip_bytes
        return self.crops.frames[0].nbytes

    @property
    def input_bytes(self) -> int:
        """Size of all landmarks, or of all decoded crops; windows share their frames."""
        held = self.landmarks if self.crops is None else self.crops.frames
        return held.nbytes if isinstance(held, np.ndarray) else held.held_bytes

    @property
    def streamed(self) -> bool:
        """Whether crops are decoded while training."""
        return self.crops is not None and isinstance(self.crops.frames, crops.Recorded)

    @property
    def read_from_disk(self) -> bool:
        """Whether landmarks are read while training."""
        own = [self.landmarks] if self.crops is None else [self.landmarks, self.crops.landmarks]
        return any(getattr(each, "on_disk", False) for each in own)


def dataset_names(clip_ids: Sequence[str]) -> np.ndarray:
    """Name of each clip's dataset, `[N]`, from its id as `cross_database.join` made it."""
    return np.array([clip_id.partition(SEPARATOR)[0] for clip_id in clip_ids])


def hold_crops(clips: Clips, most: float) -> Clips:
    """Decodes all crops into memory if they take at most `most` bytes."""
    if not clips.streamed or clips.crops.frames.held_bytes > most:
        return clips
    held = dataclasses.replace(clips.crops, frames=clips.crops.frames.all())
    return dataclasses.replace(clips, crops=held)


class Chosen(NamedTuple):
    """Which clips a batch, or several, consists of; all arrays have the same shape.

    Attributes:
      indices: of the clips.
      weight: 0 for padding; None: all 1.
      copies: which fixed copy of each clip, see `augment.fixed_copy`; None: there are none.
    """

    indices: np.ndarray
    weight: np.ndarray | None = None
    copies: np.ndarray | None = None

    def part(self, where) -> Chosen:
        """The same part of every array."""
        return Chosen(*(None if each is None else each[where] for each in self))


def take(clips: Clips, indices: np.ndarray, weight=None, copies=None) -> dict:
    """Gathers a batch, see `Chosen`; the shape of `indices` becomes its leading axes."""
    chosen = Chosen(indices, weight, copies)
    if not clips.streamed:
        frames = None if clips.crops is None else clips.crops.frames[indices]
        return _batch(clips, chosen, frames)
    decoded = np.stack([clips.crops.frames.clip(index) for index in indices.reshape(-1)])
    return _batch(clips, chosen, decoded)


def _batch(clips: Clips, chosen: Chosen, frames: np.ndarray | None) -> dict:
    indices, weight, copies = chosen
    if weight is None:
        weight = np.ones(indices.shape, np.float32)
    batch = {"label": clips.labels[indices], "weight": weight}
    if copies is not None:
        batch |= {"clip": np.asarray(indices, np.int32), "copy": np.asarray(copies, np.int32)}
    if frames is None:
        return {**batch, "landmarks": clips.landmarks[indices]}
    frames = frames.reshape(*indices.shape, *clips.crops.frames.shape[1:])
    return {**batch, "frames": frames, "crop_landmarks": clips.crops.landmarks[indices]}


def batches(
    clips: Clips, indices: np.ndarray, weight=None, hop: int = 1, copies=None
) -> Iterator[dict]:
    """Gathers the K batches of R runs, `hop` at a time; what is not in memory is read ahead.

    Args:
      clips: the dataset.
      indices, weight, copies: `[R, K, B]`, see `Chosen`.
      hop: batches per yield; the last may have fewer.

    Yields:
      `take` of `[R, hop, B]`.
    """
    whole = Chosen(indices, weight, copies)
    starts = range(0, indices.shape[1], hop)
    parts = [whole.part((slice(None), slice(first, first + hop))) for first in starts]
    if not clips.streamed:
        taken = (take(clips, *part) for part in parts)
        yield from ahead(taken, 1) if clips.read_from_disk else taken
        return
    flat = np.concatenate([part.indices.reshape(-1) for part in parts])
    decoded = crops.stream(clips.crops.frames, flat, parts[0].indices.size)
    for part, frames in zip(parts, decoded, strict=True):
        yield _batch(clips, part, frames)


def epoch_order(count: int, steps: int, batch_size: int, seed: tuple) -> Chosen:
    """Shuffles `count` places into `[steps, batch_size]`, of an epoch of one run.

    More places than fit are dropped: the incomplete last batch, as in the published code; each
    epoch drops others. With fewer the last batch is padded by repeating its own, with weight 0; a
    run that is shorter by a whole batch or more fills all its batches alike.
    """
    order = np.random.default_rng(seed).permutation(count)
    room = steps * batch_size
    if count >= room:
        return Chosen(order[:room].reshape(steps, batch_size))
    ends = batch_size * np.arange(1, steps)
    parts = np.split(order, ends) if count > ends[-1:].sum() else np.array_split(order, steps)
    weight = [np.arange(batch_size) < len(part) for part in parts]
    padded = np.stack([np.resize(part, batch_size) for part in parts])
    return Chosen(padded, np.stack(weight).astype(np.float32))


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
