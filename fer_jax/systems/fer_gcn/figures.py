"""What FER-GCN's frames are worth, and where in a frame its features come from."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from fer_jax.data import model_inputs
from fer_jax.data.clips import Clips, take
from fer_jax.data.folds import Fold
from fer_jax.faces import landmarks as lm
from fer_jax.plotting import frame_plots
from fer_jax.systems.fer_gcn.network import FERGCN, intensity_weights
from fer_jax.training import checkpoint


def figures(
    module: FERGCN,
    features: Callable,
    workdir: pathlib.Path,
    clips: Clips,
    folds: list[Fold],
    numbers: list[int],
) -> Iterator[tuple[str, Figure, str]]:
    """Draws the paper's figures 3 and 4 of a finished run.

    Args:
      module: the model; without any graph module nothing is drawn.
      features: `batch -> model inputs`.
      workdir: of the run; `folds/*.msgpack` hold the weights.
      clips, folds: the data set, and what was scored.
      numbers: clips; the frames of the first are shown.

    Yields:
      Name, figure and caption.
    """
    if not module.modules:
        return
    number = numbers[0]
    trained = {fold.name: workdir / "folds" / f"{fold.name}.msgpack" for fold in folds}
    if module.fusion:
        weights = [
            frame_weights(checkpoint.load_weights(file)[0]["params"]) for file in trained.values()
        ]
        scored = np.unique(np.concatenate([fold.evaluate for fold in folds]))
        figure = frame_plots.intensity_weights(weights, landmark_motion(clips.landmarks[scored]))
        caption = "Weight of each step, and how far faces have moved by then (FER-GCN, figure 4)"
        yield "intensity_weights", figure, caption
    fold = next(fold for fold in folds if number in fold.evaluate)
    variables, _ = checkpoint.load_weights(trained[fold.name])
    batch = take(clips, np.array([number]))
    inputs = features(batch)
    maps = feature_maps(module, variables, inputs[0])
    shown = model_inputs.middle(batch["frames"][0], inputs.shape[-2])
    rows = [("before the graph", maps["before"]), ("after the graph", maps["after"])]
    title = f"Where the features come from: {clips.clip_ids[number]}"
    if clips.labels.ndim == 1:
        title += f", {clips.classes[clips.labels[number]]}"
    caption = "Where each frame's features come from (FER-GCN, figure 3)"
    yield "feature_maps", frame_plots.heat_maps(shown, rows, title), caption


def frame_weights(params: dict) -> np.ndarray:
    """Expression intensity weights `[N]` of a trained FER-GCN (equation 7)."""
    return np.asarray(intensity_weights(jnp.asarray(params["A"])))


def landmark_motion(landmarks) -> np.ndarray:
    """How far faces have moved since the first frame, about the nose.

    Shifts of the head are left out, its turns are not.

    Args:
      landmarks: `[N, T, 68, 2]`, any unit.

    Returns:
      `[T]` mean distance from the first frame, in distances of the eyes.
    """
    points = lm.centre(lm.inner(np.asarray(landmarks)))
    points = points / lm.eye_distance(landmarks)[..., None, None]
    return np.linalg.norm(points - points[:, :1], axis=-1).mean((0, 2))


def feature_maps(module: FERGCN, variables: dict, inputs) -> dict[str, np.ndarray]:
    """Where in each frame its feature vector comes from, before and after the first graph layer.

    Gradient-weighted maps (Selvaraju et al., ICCV 2017) of the squared length of each frame's
    vector: channels weighted by their mean gradient, negative sums left out.

    Args:
      module: with at least one graph module.
      variables: `{"params", "batch_stats"}`.
      inputs: `[N, H, W, 3]`, one clip as the model takes it.

    Returns:
      `before` and `after`, `[N, h, w]`.
    """

    def apply(method, x):
        return module.apply(variables, x, method=method)

    @jax.jit
    def both(inputs):
        maps = apply("maps", inputs[None])[0]

        def lengths(maps, graph):
            vectors = apply("embed", maps[None])
            vectors = apply("graph", vectors) if graph else vectors
            return jnp.square(vectors[0]).sum(-1)

        def weighted(graph):
            gradients = jax.jacrev(lambda maps: lengths(maps, graph))(maps)  # [N, N, h, w, C]
            own = jnp.stack([gradients[frame, frame] for frame in range(len(maps))])
            channel = own.mean((1, 2), keepdims=True)
            return jnp.maximum((channel * maps).sum(-1), 0.0)

        return {"before": weighted(False), "after": weighted(True)}

    return jax.tree.map(np.asarray, both(jnp.asarray(inputs)))
