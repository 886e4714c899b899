"""The figure of STC-NLSTM: maps of its layers over a clip."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from fer_jax.data import model_inputs
from fer_jax.data.clips import Clips, take
from fer_jax.data.folds import Fold
from fer_jax.experiments.workdir import Workdir
from fer_jax.plotting import images
from fer_jax.systems.stc_nlstm.network import STCNLSTM
from fer_jax.training import checkpoint


def figures(
    module: STCNLSTM,
    features: Callable,
    workdir: Workdir,
    clips: Clips,
    folds: list[Fold],
    indices: Sequence[int],
) -> Iterator[tuple[str, Figure, str]]:
    """Draws the maps of all layers over the face crops of a clip, see `systems.System`."""
    index = int(indices[0])
    fold = next(fold for fold in folds if index in fold.evaluation)
    variables, _ = checkpoint.load_weights(workdir.weights(fold.name))
    batch = take(clips, np.array([index]))
    inputs = features(batch)
    shown = model_inputs.middle(batch["frames"][0], inputs.shape[-2])
    rows = [
        (f"layer {number}", maps)
        for number, maps in enumerate(layer_maps(module, variables, inputs[0]), 1)
    ]
    title = f"Maps of the layers: {clips.clip_ids[index]}"
    caption = "Mean of the channels of each layer (STC-NLSTM paper, figure 1)"
    yield "layer_maps", images.heat_maps(shown, rows, title), caption


def layer_maps(module: STCNLSTM, variables: dict, inputs) -> list[np.ndarray]:
    """Mean over the channels of the maps of each layer.

    Args:
      module, variables: the model.
      inputs: `[T, H, W, 3]`, the model inputs of one clip.

    Returns:
      `[T, h, w]` for each layer, 0 and more.
    """

    @jax.jit
    def means(variables, inputs):
        pairs = module.apply(variables, inputs[None], method="layers")
        return [maps[0].astype(jnp.float32).mean(-1) for maps, _ in pairs]

    return [np.asarray(maps) for maps in means(variables, jnp.asarray(inputs))]
