"""Figures of predicted distributions, beside those of a classifier."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from fer_jax.plotting.style import ALERT, MAIN, dress, legend_below, make_figure

_BINS = 10


def entropies(votes: np.ndarray, predicted: np.ndarray, classes: int) -> Figure:
    """Draws the entropy of the predictions over that of the votes.

    Args:
      votes, predicted: `[N]`, nats.
      classes: number C, whose even distribution has the largest entropy.
    """
    figure, most = make_figure(5.6, 4.6), np.log(classes)
    axes = figure.subplots()
    axes.scatter(votes, predicted, s=6, color=MAIN, alpha=0.25, linewidths=0, label="clip")
    edges = np.unique(np.quantile(votes, np.linspace(0, 1, _BINS + 1)))
    bins = np.searchsorted(edges[1:-1], votes, side="right")
    pairs = [(votes[bins == k].mean(), np.median(predicted[bins == k])) for k in np.unique(bins)]
    axes.plot(*zip(*pairs, strict=True), color=ALERT, linewidth=2, marker="o", label="median")
    dress(axes, x="entropy of the votes (nats)", y="entropy of the prediction (nats)", grid="both")
    axes.set_xlim(-0.03 * most, 1.03 * most)
    axes.set_ylim(-0.03 * most, 1.03 * most)
    legend_below(figure, axes, 2)
    return figure
