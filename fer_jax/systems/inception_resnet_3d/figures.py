"""The figure of 3D Inception-ResNet: its landmark filters over a clip."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import jax
import numpy as np
from matplotlib.figure import Figure

from fer_jax.data.clips import Clips, take
from fer_jax.data.folds import Fold
from fer_jax.experiments.workdir import Workdir
from fer_jax.plotting import images
from fer_jax.systems.inception_resnet_3d.network import InceptionResNet3D


def figures(
    module: InceptionResNet3D,
    features: Callable,
    workdir: Workdir,
    clips: Clips,
    folds: list[Fold],
    indices: Sequence[int],
) -> Iterator[tuple[str, Figure, str]]:
    """Draws the filters of blocks A and B over the face crops of a clip, see `systems.System`."""
    if not module.landmarks:
        return
    index = int(indices[0])
    inputs = jax.tree.map(np.asarray, features(take(clips, np.array([index]))))
    shown = np.clip((inputs["frames"][0] + 1) * 127.5, 0, 255).astype(np.uint8)  # "symmetric"
    rows = [
        (f"block {name}, {weights.shape[2]}x{weights.shape[2]}", np.asarray(weights[0, ..., 0]))
        for name, weights in module.filters(inputs).items()
    ]
    title = f"Landmark filters: {clips.clip_ids[index]}"
    caption = (
        "Weights of the shortcuts of blocks A and B, on the scale of the colour bar: 0 blocks, 1 "
        "passes unchanged (3D Inception-ResNet paper, figure 3)"
    )
    figure = images.heat_maps(shown, rows, title, scale="weight of the shortcut")
    yield "landmark_filters", figure, caption
