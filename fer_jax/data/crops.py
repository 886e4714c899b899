"""Face crops of a prepared dataset, decoded once into memory or streamed while training."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import functools
import mmap
from collections.abc import Iterator

import numpy as np

from fer_jax.installation import needs
from fer_jax.machine import usable_cores
from fer_jax.progress import track

STREAMED_CALL_BYTES = 2**24  # per compiled call: small, as the next clips are decoded meanwhile
_SLOW = 5000  # frames from which decoding shows a progress bar


@dataclasses.dataclass(frozen=True)
class Shared:
    """An array `[N, T, ...]` of clips that share frames or lie in a file; it has each frame once.

    Indexing by clips gathers their frames, as from an array.

    Attributes:
      values: `[F, ...]`, one per frame; a `memmap` if they are in a file.
      chosen: `[N, T]` frame indices of every clip.
    """

    values: np.ndarray
    chosen: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        return (*self.chosen.shape, *self.values.shape[1:])

    @property
    def on_disk(self) -> bool:
        """Whether indexing reads a file."""
        return isinstance(self.values, np.memmap)

    @property
    def held_bytes(self) -> int:
        """Size of all frames."""
        return self.values.nbytes

    def take(self, indices) -> Shared:
        """Keeps some clips."""
        return dataclasses.replace(self, chosen=self.chosen[indices])

    def __len__(self) -> int:
        return len(self.chosen)

    def __getitem__(self, indices) -> np.ndarray:
        found = np.asarray(self.values[self.chosen[indices]])
        if self.on_disk and hasattr(mmap, "MADV_DONTNEED"):  # not on every system
            # else all that was ever read would count as memory of this process
            self.values._mmap.madvise(mmap.MADV_DONTNEED)
        return found


@dataclasses.dataclass(frozen=True)
class Joined:
    """The clips of several datasets one after another, `[N, T, ...]`, each left where it is.

    Attributes:
      parts: arrays or `Shared`, which differ in their first axis alone.
    """

    parts: tuple[np.ndarray | Shared, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self), *self.parts[0].shape[1:])

    @property
    def on_disk(self) -> bool:
        """Whether indexing reads a file."""
        return any(isinstance(part, Shared) and part.on_disk for part in self.parts)

    @property
    def held_bytes(self) -> int:
        """Size of all frames."""
        return sum(
            part.held_bytes if isinstance(part, Shared) else part.nbytes for part in self.parts
        )

    def __len__(self) -> int:
        return sum(map(len, self.parts))

    def __getitem__(self, indices) -> np.ndarray:
        indices = np.asarray(indices)
        ends = np.cumsum([len(part) for part in self.parts])
        whose = np.searchsorted(ends, indices, side="right")
        found = np.empty((*indices.shape, *self.shape[1:]), self.parts[0][:1].dtype)
        for number, part in enumerate(self.parts):
            own = whose == number
            found[own] = part[indices[own] - (ends[number] - len(part))]
        return found


@dataclasses.dataclass(frozen=True)
class Recorded:
    """Crops in the shards of prepared datasets, decoded on demand.

    Attributes:
      records: record of every clip: path of the prepared dataset, split, index in the split;
        windows of one recording have the same.
      chosen: `[T]` frame indices of every clip.
      size: side of a crop, pixels.
    """

    records: tuple[tuple[str, str, int], ...]
    chosen: tuple[np.ndarray, ...]
    size: int

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.records), len(self.chosen[0]), self.size, self.size, 3)

    @property
    def clip_bytes(self) -> int:
        return int(np.prod(self.shape[1:]))

    @property
    def held_bytes(self) -> int:
        """Size of all crops in memory."""
        return sum(map(len, self._needed.values())) * self.size**2 * 3

    def take(self, indices) -> Recorded:
        """Keeps the crops of some clips."""
        return dataclasses.replace(
            self,
            records=tuple(self.records[index] for index in indices),
            chosen=tuple(self.chosen[index] for index in indices),
        )

    def clip(self, index: int) -> np.ndarray:
        """Decodes one clip: `[T, S, S, 3]` uint8 RGB.

        Raises:
          RuntimeError: a crop is damaged; names the clip.
        """
        return self._decoded(self.records[index], self.chosen[index])

    def all(self) -> Shared:
        """Decodes every clip, with a progress bar if there are many frames."""
        counts = [len(frames) for frames in self._needed.values()]
        starts = np.cumsum([0, *counts])
        values = np.empty((starts[-1], self.size, self.size, 3), np.uint8)
        _ = self._sources  # opened once, before the threads
        pool = concurrent.futures.ThreadPoolExecutor(usable_cores())
        try:
            parts = pool.map(self._decoded, self._needed, self._needed.values())
            if len(values) > _SLOW:
                parts = track(parts, "decoding crops", len(counts))
            for start, part in zip(starts, parts, strict=False):
                values[start : start + len(part)] = part
        finally:
            pool.shutdown(wait=False, cancel_futures=True)  # an interrupt does not wait
        start_of = dict(zip(self._needed, starts, strict=False))
        chosen = [
            start_of[record] + np.searchsorted(self._needed[record], frames)
            for record, frames in zip(self.records, self.chosen, strict=True)
        ]
        return Shared(values, np.stack(chosen))

    def _decoded(self, record: tuple[str, str, int], frames: np.ndarray) -> np.ndarray:
        path, split, index = record
        example = self._sources[path, split][index]
        bounds, content = example["crop_offsets"], example["crops"]
        parts = [_decode(content[bounds[t] : bounds[t + 1]]) for t in frames]
        if any(part is None for part in parts):
            raise RuntimeError(
                f"a crop of {example['clip_id']} in {path} is damaged: prepare the data again"
            )
        return np.stack(parts)

    @functools.cached_property
    def _needed(self) -> dict:
        """Record -> ascending indices of the frames that its clips show."""
        needed: dict = {}
        for record, frames in zip(self.records, self.chosen, strict=True):
            needed.setdefault(record, []).append(frames)
        return {record: np.unique(np.concatenate(parts)) for record, parts in needed.items()}

    @functools.cached_property
    def _sources(self) -> dict:
        with needs("train"):
            import tensorflow_datasets as tfds

        return {
            (path, split): tfds.builder_from_directory(path).as_data_source(split)
            for path, split in dict.fromkeys(record[:2] for record in self.records)
        }


def concatenate(parts: list) -> np.ndarray | Joined | Recorded:
    """Concatenates the landmarks, or the crops, of several datasets, which have the same size.

    Args:
      parts: arrays and `Shared`, or `Recorded` alone.
    """
    if any(isinstance(part, Shared) for part in parts):
        return Joined(tuple(parts))
    if not isinstance(parts[0], Recorded):
        return np.concatenate(parts)
    return Recorded(
        records=tuple(record for part in parts for record in part.records),
        chosen=tuple(frames for part in parts for frames in part.chosen),
        size=parts[0].size,
    )


def take(values, indices: np.ndarray):
    """Keeps some clips of an array, or of what `Clips` has in its place, which stays there."""
    return values[indices] if isinstance(values, np.ndarray) else values.take(indices)


def _decode(content: np.ndarray) -> np.ndarray | None:
    import cv2

    image = cv2.imdecode(content, cv2.IMREAD_COLOR) if len(content) else None
    return None if image is None else cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def stream(crops: Recorded, indices: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """Decodes clips in order and ahead of their use, in Grain's threads.

    Args:
      crops: of the dataset.
      indices: `[M]` clip indices.
      size: clips per yield, the last may have fewer; 2 `size` clips are decoded ahead.

    Yields:
      `[size, T, S, S, 3]` uint8.
    """
    with needs("train"):
        import grain

    clips = grain.MapDataset.source([int(index) for index in indices]).map(crops.clip)
    threads = usable_cores()
    options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=max(2 * size, threads))
    return iter(clips.to_iter_dataset(options).batch(size, drop_remainder=False))
