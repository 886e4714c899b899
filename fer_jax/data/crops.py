"""Face crops of a prepared dataset: decoded once into memory, or streamed while training."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import functools
import os
from collections.abc import Iterator

import numpy as np

from fer_jax.installation import needs
from fer_jax.progress import track

STREAMED_CALL_BYTES = 2**24  # clips of one compiled call, so that the next are decoded meanwhile
_SLOW = 5000  # frames whose decoding is worth a progress bar


@dataclasses.dataclass(frozen=True)
class Shared:
    """What clips have of each frame; a frame that several of them show is held once.

    Indexing it by clips gathers their frames, as of an array `[N, T, ...]`.

    Attributes:
      values: `[F, ...]` of every frame.
      chosen: `[N, T]` frames of every clip.
    """

    values: np.ndarray
    chosen: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        return (*self.chosen.shape, *self.values.shape[1:])

    def __len__(self) -> int:
        return len(self.chosen)

    def __getitem__(self, indices) -> np.ndarray:
        return self.values[self.chosen[indices]]


@dataclasses.dataclass(frozen=True)
class Recorded:
    """Crops that lie in the shards and are decoded when they are asked for.

    Attributes:
      places: recording of every clip: path of the prepared dataset, split, index within it;
        windows of one share it.
      chosen: `[T]` frames of every clip.
      size: side of a crop, pixels.
    """

    places: tuple[tuple[str, str, int], ...]
    chosen: tuple[np.ndarray, ...]
    size: int

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.places), len(self.chosen[0]), self.size, self.size, 3)

    @property
    def clip_bytes(self) -> int:
        return int(np.prod(self.shape[1:]))

    @property
    def held_bytes(self) -> int:
        """Size of all crops in memory."""
        return sum(map(len, self._needed.values())) * self.size**2 * 3

    def take(self, indices) -> Recorded:
        """Those of some clips."""
        return dataclasses.replace(
            self,
            places=tuple(self.places[index] for index in indices),
            chosen=tuple(self.chosen[index] for index in indices),
        )

    def clip(self, index: int) -> np.ndarray:
        """Decodes one clip: `[T, S, S, 3]` uint8 RGB.

        Raises:
          RuntimeError: a crop is damaged; names the recording.
        """
        return self._decoded(self.places[index], self.chosen[index])

    def all(self) -> Shared:
        """Decodes every clip, under a progress bar where it takes long."""
        counts = [len(frames) for frames in self._needed.values()]
        starts = np.cumsum([0, *counts])
        values = np.empty((starts[-1], self.size, self.size, 3), np.uint8)
        _ = self._sources  # opened once, before the threads
        pool = concurrent.futures.ThreadPoolExecutor(_cores())
        try:
            parts = pool.map(self._decoded, self._needed, self._needed.values())
            if len(values) > _SLOW:
                parts = track(parts, "decoding crops", len(counts))
            for start, part in zip(starts, parts, strict=False):
                values[start : start + len(part)] = part
        finally:
            pool.shutdown(wait=False, cancel_futures=True)  # an interrupt waits for nothing
        start_of = dict(zip(self._needed, starts, strict=False))
        chosen = [
            start_of[place] + np.searchsorted(self._needed[place], frames)
            for place, frames in zip(self.places, self.chosen, strict=True)
        ]
        return Shared(values, np.stack(chosen))

    def _decoded(self, place: tuple[str, str, int], frames: np.ndarray) -> np.ndarray:
        path, split, index = place
        record = self._sources[path, split][index]
        bounds, content = record["crop_offsets"], record["crops"]
        parts = [_decode(content[bounds[t] : bounds[t + 1]]) for t in frames]
        if any(part is None for part in parts):
            raise RuntimeError(
                f"a crop of {record['clip_id']} in {path} is damaged: prepare the data again"
            )
        return np.stack(parts)

    @functools.cached_property
    def _needed(self) -> dict:
        """Frames of each recording that some clip shows, ascending."""
        needed: dict = {}
        for place, frames in zip(self.places, self.chosen, strict=True):
            needed.setdefault(place, []).append(frames)
        return {place: np.unique(np.concatenate(parts)) for place, parts in needed.items()}

    @functools.cached_property
    def _sources(self) -> dict:
        with needs("train"):
            import tensorflow_datasets as tfds

        parts = dict.fromkeys(place[:2] for place in self.places)
        return {
            (path, split): tfds.builder_from_directory(path).as_data_source(split)
            for path, split in parts
        }


def concatenate(parts: list[Recorded]) -> Recorded:
    """Puts the crops of several datasets one behind the other; they must be equally large."""
    return Recorded(
        places=tuple(place for part in parts for place in part.places),
        chosen=tuple(frames for part in parts for frames in part.chosen),
        size=parts[0].size,
    )


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _decode(content: np.ndarray) -> np.ndarray | None:
    import cv2

    image = cv2.imdecode(content, cv2.IMREAD_COLOR) if len(content) else None
    return None if image is None else cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def stream(crops: Recorded, indices: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """Decodes clips ahead of their use, in the order given, in threads of Grain.

    Args:
      crops: where they lie.
      indices: `[M]` clips.
      size: clips handed over at a time; twice as many are kept ready.

    Yields:
      `[size, T, S, S, 3]` uint8.
    """
    with needs("train"):
        import grain

    clips = grain.MapDataset.source([int(index) for index in indices]).map(crops.clip)
    threads = _cores()
    options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=max(2 * size, threads))
    return iter(clips.to_iter_dataset(options).batch(size, drop_remainder=True))
