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
        """Decodes one clip: `[T, S, S, 3]` uint8 RGB."""
        split, place = self.places[number]
        record = self._sources[split][place]
        bounds, content = record["crop_offsets"], record["crops"]
        parts = (content[bounds[t] : bounds[t + 1]] for t in self.chosen[number])
        return np.stack([_decode(part) for part in parts])

    def all(self) -> np.ndarray:
        """Decodes every clip, `[N, T, S, S, 3]`, under a progress bar where it takes long."""
        frames = np.empty(self.shape, np.uint8)
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            clips = pool.map(self.clip, range(len(frames)))
            if len(frames) * self.shape[1] > _SLOW:
                clips = track(clips, "decoding crops", total=len(frames), transient=True)
            for number, clip in enumerate(clips):
                frames[number] = clip
        return frames

    @functools.cached_property
    def _sources(self) -> dict:
        import tensorflow_datasets as tfds

        builder = tfds.builder_from_directory(self.path)
        return {
            split: builder.as_data_source(split) for split in {place[0] for place in self.places}
        }


def _decode(content: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(cv2.imdecode(content, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def stream(crops: Recorded, numbers: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """Decodes clips ahead of their use, in the order given, in threads of Grain.

    Args:
      crops: where they lie.
      numbers: `[M]` clips.
      size: clips handed over at a time; two such batches are kept ready.

    Yields:
      `[size, T, S, S, 3]` uint8.
    """
    import grain

    clips = grain.MapDataset.source([int(number) for number in numbers]).map(crops.clip)
    options = grain.ReadOptions(num_threads=os.cpu_count() or 1, prefetch_buffer_size=2 * size)
    return iter(clips.to_iter_dataset(options).batch(size, drop_remainder=True))
