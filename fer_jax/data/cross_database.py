"""Joins several prepared datasets: trains on some, evaluates on another."""

from __future__ import annotations

import collections
import dataclasses

import numpy as np

from fer_jax.data import crops
from fer_jax.data.clips import SEPARATOR, Clips, Crops, LeftOut
from fer_jax.data.clips import dataset_names as dataset_names
from fer_jax.faces.labels import canonical
from fer_jax.installation import prepare_command


def join(trained_on: dict[str, Clips], evaluated_on: tuple[str, Clips]) -> Clips:
    """Joins training datasets (split "train") with the one to evaluate on (split "test").

    The classes are the union of those in the training datasets, under the names of
    `labels.canonical`, in alphabetical order. The evaluation dataset loses its clips of other
    classes; `Clips.left_out` counts them.

    Args:
      trained_on: name -> clips of every training dataset.
      evaluated_on: name and clips of the dataset to evaluate on.

    Raises:
      ValueError: the datasets have no common class, or differ in the number of frames or in the
        size or framing of their crops.

    Source: Hasani & Mahoor, CVPRW 2017, section 4.2.2; docs/papers/inception_resnet_3d.md.
    """
    name, evaluated = evaluated_on
    classes = tuple(sorted({label for clips in trained_on.values() for label in _labels(clips)}))
    counts = collections.Counter(label for label in _labels(evaluated) if label not in classes)
    parts = {**trained_on, name: keep(evaluated, np.isin(_labels(evaluated), classes))}
    if not len(parts[name]):
        raise ValueError(
            f"{name} shows {', '.join(sorted(counts))}, none of which the training datasets "
            f"({', '.join(trained_on)}) show: {', '.join(classes)}"
        )
    _check_sizes(parts)
    _check_framings(parts)
    every = list(parts.values())

    def prefixed(field: str) -> list[str]:
        return [f"{key}{SEPARATOR}{each}" for key, c in parts.items() for each in getattr(c, field)]

    def joined(field: str) -> np.ndarray | None:
        values = [getattr(clips, field) for clips in every]
        return None if values[0] is None else crops.concatenate(values)

    short = {name: count for clips in every for name, count in clips.left_out.short.items()}
    faceless = sum(clips.left_out.faceless for clips in every)
    undecided = sum(clips.left_out.undecided for clips in every)
    return dataclasses.replace(
        every[0],
        clip_ids=prefixed("clip_ids"),
        subjects=prefixed("subjects"),
        splits=["train"] * sum(map(len, trained_on.values())) + ["test"] * len(parts[name]),
        labels=np.array([classes.index(label) for c in every for label in _labels(c)], np.int32),
        classes=classes,
        crops=_joined_crops(every),
        preparation=every[0].preparation._replace(
            scaled=all(clips.preparation.scaled for clips in every)
        ),
        left_out=LeftOut(faceless, short, dict(sorted(counts.items())), undecided),
        **{field: joined(field) for field in ("landmarks", "seconds", "ranks", "ends")},
    )


def _joined_crops(every: list[Clips]) -> Crops | None:
    if every[0].crops is None:
        return None
    return dataclasses.replace(
        every[0].crops,
        frames=crops.concatenate([clips.crops.frames for clips in every]),
        landmarks=crops.concatenate([clips.crops.landmarks for clips in every]),
    )


def keep(clips: Clips, chosen: np.ndarray) -> Clips:
    """Keeps the chosen clips, `[N]` bool."""
    indices = np.flatnonzero(chosen)
    fields = {
        name: [getattr(clips, name)[index] for index in indices]
        for name in ("clip_ids", "subjects", "splits")
    }
    for name in ("labels", "landmarks", "seconds", "ranks", "ends"):
        values = getattr(clips, name)
        fields[name] = None if values is None else crops.take(values, indices)
    if clips.crops is not None:
        frames = crops.take(clips.crops.frames, indices)
        landmarks = crops.take(clips.crops.landmarks, indices)
        fields["crops"] = dataclasses.replace(clips.crops, frames=frames, landmarks=landmarks)
    return dataclasses.replace(clips, **fields)


def _labels(clips: Clips) -> list[str]:
    """Class of every clip, under its canonical name."""
    names = [canonical(name) for name in clips.classes]
    return [names[label] for label in clips.labels]


def _check_sizes(parts: dict[str, Clips]) -> None:
    sizes = {
        name: clips.landmarks.shape[1:2] if clips.crops is None else clips.crops.frames.shape[1:]
        for name, clips in parts.items()
    }
    if len(set(sizes.values())) > 1:
        listed = ", ".join(
            f"{name} {shape[0]} frames" + (f" of {shape[1]} pixels" if len(shape) > 1 else "")
            for name, shape in sizes.items()
        )
        raise ValueError(
            f"the datasets cannot be joined ({listed}): prepare all with the same --crops"
        )


def _check_framings(parts: dict[str, Clips]) -> None:
    framings = {
        name: clips.crops.framing for name, clips in parts.items() if clips.crops is not None
    }
    if len(set(framings.values())) > 1:
        listed = "; ".join(
            f"{name} {framing.kind}, {framing.eye_distances:g} "
            f"{'boxes' if framing.kind == 'box' else 'eye distances'} a side, the face at "
            f"{framing.height:g} of the height"
            for name, framing in framings.items()
        )
        raise ValueError(
            f"the datasets cannot be joined, as their crops frame faces differently ({listed}): "
            f"leave one out, or cut all from their recordings with {prepare_command()} and one "
            "--framing"
        )
