"""Figures of the bilinear CNN: feature maps of the best and the worst predicted faces."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from fer_jax.data import model_inputs
from fer_jax.data.clips import Clips, take
from fer_jax.data.folds import Fold
from fer_jax.experiments.workdir import Workdir
from fer_jax.plotting import images
from fer_jax.systems.bilinear_cnn.network import BilinearCNN
from fer_jax.training import checkpoint

MAPS = ("mean", "largest")  # over the channels


def figures(
    module: BilinearCNN,
    features: Callable,
    workdir: Workdir,
    clips: Clips,
    folds: list[Fold],
    indices: list[int],
) -> Iterator[tuple[str, Figure, str]]:
    """Draws the feature maps of the paper's figures 7 and 8, see `systems.System`."""
    best, worst = images.best_and_worst(indices)
    shown = {}
    for fold in folds:  # one at a time: weights are large
        own = [n for n in dict.fromkeys(best + worst) if n in fold.evaluation and n not in shown]
        if own:
            file = workdir.weights(fold.name)
            faces = _faces(module, checkpoint.load_weights(file)[0], features, clips, own)
            shown |= dict(zip(own, faces, strict=True))
    labelled = f" (labelled: {', '.join(clips.classes)})" if clips.labels.ndim == 2 else ""
    groups = {f"Best predictions{labelled}": best, "Worst predictions": worst}
    figure = images.face_rows(
        {title: [shown[index] for index in group] for title, group in groups.items()}, MAPS
    )
    caption = (
        "Feature maps of the last convolution, mean and maximum of the channels (as figure 8 of "
        "Zhou et al., 2018)"
    )
    yield "feature_maps", figure, caption


def _faces(module, variables: dict, features, clips, indices: list[int]) -> list:
    """Returns the faces of clips with their labels and maps."""
    batch = take(clips, np.array(indices))
    inputs = features(batch)
    maps = feature_maps(module, variables, inputs)
    middle = inputs.shape[1] // 2  # of several frames
    frames = batch["frames"][:, middle]
    pictures = model_inputs.middle(frames, min(inputs.shape[-2], frames.shape[-2]))
    faces = []
    for row, index in enumerate(indices):
        own = [maps[name][row, middle] for name in MAPS]
        faces.append(images.Shown(pictures[row], _label(clips, index), own))
    return faces


def _label(clips, index: int) -> str:
    """The label of a clip in words: its class, that with most votes, or its values."""
    label = clips.labels[index]
    if label.ndim == 1:
        return " ".join(f"{value:.1f}" for value in label)
    return clips.classes[label[0].argmax() if label.ndim else label]


def feature_maps(module: BilinearCNN, variables: dict, inputs) -> dict[str, np.ndarray]:
    """Reduces the maps of the trunk's last convolution over their channels.

    Args:
      module, variables: the model.
      inputs: `[N, T, H, W, 3]`, model inputs.

    Returns:
      `mean` and `largest`, `[N, T, h, w]`.

    Source: Zhou et al., arXiv 1805.01024, section VI.
    """

    @jax.jit
    def summed(variables, inputs):
        maps = module.apply(variables, inputs, method="maps").astype(jnp.float32)
        return {"mean": maps.mean(-1), "largest": maps.max(-1)}

    return jax.tree.map(np.asarray, summed(variables, jnp.asarray(inputs)))
