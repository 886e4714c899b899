"""Face crops of a prepared data set: decoded once into memory, or streamed while training."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import functools
import os
from collections.abc import Iterator

import cv2
import numpy as np
from rich.progress import track

CALL_BYTES = 2**24  # clips of one compiled call, so that the next are decoded meanwhile
_SLOW = 5000  # frames whose decoding is worth a progress bar


@dataclasses.dataclass(frozen=True)
class Recorded:
    """Crops that lie in the shards and are decoded when they are asked for.

    Attributes:
      path: the prepared data set.
      places: (split, number within it) of every clip.
      chosen: `[T]` frames of every clip.
      size: side of a crop, pixels.
    """

    path: str
    places: tuple[tuple[str, int], ...]
    chosen: tuple[np.ndarray, ...]
    size: int

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.places), len(self.chosen[0]), self.size, self.size, 3)

    @property
    def clip_bytes(self) -> int:
        return int(np.prod(self.shape[1:]))

    def clip(self, number: int) -> np.ndarray:
        """Decodes one clip: `[T, S, S, 3]` uint8 RGB.

        Raises:
          RuntimeError: a crop is damaged; names the clip.
        """
        split, place = self.places[number]
        record = self._sources[split][place]
        bounds, content = record["crop_offsets"], record["crops"]
        parts = [_decode(content[bounds[t] : bounds[t + 1]]) for t in self.chosen[number]]
        if any(part is None for part in parts):
            raise RuntimeError(
                f"a crop of {record['clip_id']} in {self.path} is damaged: prepare the data again"
            )
        return np.stack(parts)

    def all(self) -> np.ndarray:
        """Decodes every clip, `[N, T, S, S, 3]`, under a progress bar where it takes long."""
        frames = np.empty(self.shape, np.uint8)
        _ = self._sources  # opened once, before the threads
        pool = concurrent.futures.ThreadPoolExecutor(_cores())
        try:
            clips = pool.map(self.clip, range(len(frames)))
            if len(frames) * self.shape[1] > _SLOW:
                clips = track(clips, "decoding crops", total=len(frames), transient=True)
            for number, clip in enumerate(clips):
                frames[number] = clip
        finally:
            pool.shutdown(wait=False, cancel_futures=True)  # an interrupt waits for nothing
        return frames

    @functools.cached_property
    def _sources(self) -> dict:
        import tensorflow_datasets as tfds

        builder = tfds.builder_from_directory(self.path)
        return {
            split: builder.as_data_source(split) for split in {place[0] for place in self.places}
        }


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _decode(content: np.ndarray) -> np.ndarray | None:
    image = cv2.imdecode(content, cv2.IMREAD_COLOR) if len(content) else None
    return None if image is None else cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def stream(crops: Recorded, numbers: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """Decodes clips ahead of their use, in the order given, in threads of Grain.

    Args:
      crops: where they lie.
      numbers: `[M]` clips.
      size: clips handed over at a time; twice as many are kept ready.

    Yields:
      `[size, T, S, S, 3]` uint8.
    """
    import grain

    clips = grain.MapDataset.source([int(number) for number in numbers]).map(crops.clip)
    threads = _cores()
    options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=max(2 * size, threads))
    return iter(clips.to_iter_dataset(options).batch(size, drop_remainder=True))
