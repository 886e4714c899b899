"""Several prepared datasets as one: train on some, evaluate on another."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Sequence

import numpy as np

from fer_jax.data import crops
from fer_jax.data.clips import Clips, Crops, LeftOut
from fer_jax.faces.labels import canonical
from fer_jax.installation import prepare_command

SEPARATOR = "/"  # between the name of a dataset and that of a clip or a subject


def join(trained_on: dict[str, Clips], tested: tuple[str, Clips]) -> Clips:
    """Joins training datasets ("train") with the one for evaluation ("test").

    The classes are the union of those in the training datasets, under the names of
    `labels.canonical`, in alphabetical order. Clips of other classes in the tested set cannot be
    told and are left out; `Clips.left_out` counts them.

    Args:
      trained_on: clips of every training dataset, under its name.
      tested: name and clips of the other one.

    Raises:
      ValueError: the sets do not go together: crops of different sizes or in which faces lie
        otherwise, different frames, or no common class.

    Source: 3D Inception-ResNet specification, section 9.
    """
    name, evaluated = tested
    classes = tuple(sorted({label for clips in trained_on.values() for label in _labels(clips)}))
    counts = collections.Counter(label for label in _labels(evaluated) if label not in classes)
    parts = {**trained_on, name: keep(evaluated, np.isin(_labels(evaluated), classes))}
    if not len(parts[name]):
        raise ValueError(
            f"{name} shows {', '.join(sorted(counts))}, none of which the datasets to learn from "
            f"({', '.join(trained_on)}) show: {', '.join(classes)}"
        )
    _check_sizes(parts)
    _check_framings(parts)
    every = list(parts.values())

    def prefixed(field: str) -> list[str]:
        return [f"{key}{SEPARATOR}{each}" for key, c in parts.items() for each in getattr(c, field)]

    def joined(field: str) -> np.ndarray | None:
        values = [getattr(clips, field) for clips in every]
        return None if values[0] is None else np.concatenate(values)

    short = {name: count for clips in every for name, count in clips.left_out.short.items()}
    faceless = sum(clips.left_out.faceless for clips in every)
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
        left_out=LeftOut(faceless, short, dict(sorted(counts.items()))),
        **{field: joined(field) for field in ("landmarks", "seconds", "ranks", "ends")},
    )


def _joined_crops(every: list[Clips]) -> Crops | None:
    if every[0].crops is None:
        return None
    return dataclasses.replace(
        every[0].crops,
        frames=crops.concatenate([clips.crops.frames for clips in every]),
        landmarks=np.concatenate([clips.crops.landmarks for clips in every]),
    )


def keep(clips: Clips, chosen: np.ndarray) -> Clips:
    """Leaves the clips out that are not chosen, `[N]` bool."""
    indices = np.flatnonzero(chosen)
    fields = {
        name: [getattr(clips, name)[index] for index in indices]
        for name in ("clip_ids", "subjects", "splits")
    }
    for name in ("labels", "landmarks", "seconds", "ranks", "ends"):
        values = getattr(clips, name)
        fields[name] = None if values is None else values[indices]
    if clips.crops is not None:
        frames, landmarks = clips.crops.frames.take(indices), clips.crops.landmarks[indices]
        fields["crops"] = dataclasses.replace(clips.crops, frames=frames, landmarks=landmarks)
    return dataclasses.replace(clips, **fields)


def of_clips(clip_ids: Sequence[str]) -> np.ndarray:
    """Name of the dataset of every clip of `join`, `[N]`."""
    return np.array([clip_id.partition(SEPARATOR)[0] for clip_id in clip_ids])


def _labels(clips: Clips) -> list[str]:
    """Class of every clip, under the name that all datasets share."""
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
            f"the datasets do not go together ({listed}): prepare all with the same --crops"
        )


def _check_framings(parts: dict[str, Clips]) -> None:
    framings = {
        name: clips.crops.framing for name, clips in parts.items() if clips.crops is not None
    }
    if len(set(framings.values())) > 1:
        listed = ", ".join(
            f"{name} {framing.eye_distances:g} eye distances a side, the face's middle at "
            f"{framing.height:g} of the height"
            for name, framing in framings.items()
        )
        raise ValueError(
            f"the datasets do not go together, for faces lie otherwise in their crops ({listed}): "
            f"leave one out, or cut all from their recordings with {prepare_command()}"
        )
