"""Figures of FER-GCN: the weights of the frames and saliency maps of their features."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fer_jax.data import model_inputs
from fer_jax.data.clips import Clips, take
from fer_jax.data.folds import Fold
from fer_jax.experiments.workdir import Workdir
from fer_jax.faces import landmarks as lm
from fer_jax.plotting import images
from fer_jax.plotting.style import ALERT, MAIN, PALETTE, QUIET, dress, legend_below, make_figure
from fer_jax.systems.fer_gcn.network import FERGCN, intensity_weights
from fer_jax.training import checkpoint


def figures(
    module: FERGCN,
    features: Callable,
    workdir: Workdir,
    clips: Clips,
    folds: list[Fold],
    indices: list[int],
) -> Iterator[tuple[str, Figure, str]]:
    """Draws the paper's figures 3 and 4, see `systems.System`; none without graph modules."""
    if not module.modules:
        return
    index = indices[0]
    trained = {fold.name: workdir.weights(fold.name) for fold in folds}
    if module.fusion:
        weights = [
            frame_weights(checkpoint.load_weights(file)[0]["params"]) for file in trained.values()
        ]
        evaluated = np.unique(np.concatenate([fold.evaluation for fold in folds]))
        figure = weight_curve(weights, landmark_motion(clips.landmarks[evaluated]))
        caption = "Weight of each step and mean landmark motion up to it (FER-GCN, figure 4)"
        yield "intensity_weights", figure, caption
    fold = next(fold for fold in folds if index in fold.evaluation)
    variables, _ = checkpoint.load_weights(trained[fold.name])
    batch = take(clips, np.array([index]))
    inputs = features(batch)
    maps = feature_maps(module, variables, inputs[0])
    shown = model_inputs.middle(batch["frames"][0], inputs.shape[-2])
    rows = [("before the graph", maps["before"]), ("after the graph", maps["after"])]
    title = f"Feature maps: {clips.clip_ids[index]}"
    if clips.labels.ndim == 1:
        title += f", {clips.classes[clips.labels[index]]}"
    caption = "Regions that determine the features of each frame (FER-GCN, figure 3)"
    yield "feature_maps", images.heat_maps(shown, rows, title), caption


def weight_curve(weights, motion) -> Figure:
    """Draws the weight of each step of a clip above the motion of the landmarks.

    Args:
      weights: `[R, N]`, the weights of R trained networks, each with sum 1.
      motion: `[N]` mean distance of the landmarks from their position at the first step, in eye
        distances; NaN where no clip has landmarks, which are then not drawn.

    Source: Liu, Zhang & Zhou, ICPR 2020, figure 4 (there through a sigmoid).
    """
    weights, motion = np.atleast_2d(weights), np.asarray(motion)
    steps = np.arange(1, weights.shape[1] + 1)
    moves = np.isfinite(motion).all()
    figure = make_figure(6.4, 5.0)
    heights = (2, 1) if moves else (1,)
    grid = figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)
    upper, *rest = grid[:, 0]
    weights = weights * len(steps)
    upper.axhline(1, color=QUIET, linestyle="--", linewidth=1.4, label="equal weights")
    for row in weights if len(weights) > 1 else ():
        upper.plot(steps, row, color=MAIN, linewidth=0.8, alpha=0.3)
    label = "learned weight" + (f", mean of {len(weights)} folds" if len(weights) > 1 else "")
    upper.plot(steps, weights.mean(0), "o-", color=MAIN, linewidth=2, markersize=4, label=label)
    upper.ticklabel_format(axis="y", useOffset=False)
    dress(
        upper, y="weight (1: its equal share)", title="Expression intensity of the frames", grid="y"
    )
    for lower in rest:
        lower.plot(steps, motion, "s-", color=ALERT, linewidth=1.6, markersize=4)
        dress(lower, y="landmark motion\n(eye distances)", grid="y")
        lower.set_ylim(bottom=0)
    lowest = [upper, *rest][-1]
    lowest.set_xlabel("step of the clip")
    lowest.set_xlim(0.5, len(steps) + 0.5)
    lowest.xaxis.set_major_locator(MaxNLocator(16, integer=True))
    legend_below(figure, upper, 2)
    return figure


def intensity_curves(weights: Mapping[str, np.ndarray]) -> Figure:
    """Draws the weights of the steps of several datasets through a sigmoid, in one figure.

    Args:
      weights: dataset -> `[R, N]`, the weights of R trained networks, each with sum 1.

    Source: Liu, Zhang & Zhou, ICPR 2020, figure 4.
    """
    figure = make_figure(6.4, 4.2)
    axes = figure.add_subplot()
    markers = "os^Dv"
    for index, (name, own) in enumerate(weights.items()):
        mean = np.atleast_2d(own).mean(0)
        style = {"color": PALETTE[index % len(PALETTE)], "marker": markers[index % len(markers)]}
        axes.plot(np.arange(1, len(mean) + 1), 1 / (1 + np.exp(-mean)), label=name, **style)
    axes.ticklabel_format(axis="y", useOffset=False)
    axes.xaxis.set_major_locator(MaxNLocator(16, integer=True))
    title = "Expression intensity of the frames"
    dress(axes, x="step of the clip", y="sigmoid of the weight", title=title, grid="y")
    legend_below(figure, axes, 3)
    return figure


def frame_weights(params: dict) -> np.ndarray:
    """Expression intensity weights `[N]` of a trained FER-GCN (equation 7)."""
    return np.asarray(intensity_weights(jnp.asarray(params["A"])))


def landmark_motion(landmarks) -> np.ndarray:
    """Mean distance of the landmarks from the first frame, relative to the nose.

    Translations of the head are removed, rotations are not.

    Args:
      landmarks: `[N, T, 68, 2]`, any unit.

    Returns:
      `[T]` mean distance from the first frame, in eye distances.
    """
    points = lm.centre(lm.inner(np.asarray(landmarks)))
    points = points / lm.eye_distance(landmarks)[..., None, None]
    moved = np.linalg.norm(points - points[:, :1], axis=-1).mean(2)
    moved = moved[np.isfinite(moved).all(1)]  # clips of still images have none
    return moved.mean(0) if len(moved) else np.full(points.shape[1], np.nan)


def feature_maps(module: FERGCN, variables: dict, inputs) -> dict[str, np.ndarray]:
    """Saliency maps of the feature vector of each frame, before and after the first graph layer.

    These are Grad-CAM maps (Selvaraju et al., ICCV 2017) of the squared length of the vector:
    channels weighted by their mean gradient, negative sums set to 0.

    Args:
      module: with at least one graph module.
      variables: `{"params", "batch_stats"}`.
      inputs: `[N, H, W, 3]`, the model inputs of one clip.

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
