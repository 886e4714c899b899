"""Compares methods pair by pair on the clips that both evaluated."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from types import ModuleType

import numpy as np

from fer_jax import metrics
from fer_jax.compare import significance
from fer_jax.compare.answers import Answers, Shared, share
from fer_jax.tasks import grouped

P_VALUES = ("p_permutation", "p_wilcoxon", "p_mcnemar")


def compare(measures: ModuleType, answers: Sequence[Answers]) -> tuple[list[dict], list[str]]:
    """Tests every pair of methods with clips in common.

    Args:
      measures: of the task.
      answers: of each method.

    Returns:
      One row for each pair and each measure of `TESTED`, see `_row`, with `..._holm` beside each
      p-value, corrected over the pairs of the same measure; and sentences on what is left out.
    """
    rows, notes = [], []
    for first, second in itertools.combinations(answers, 2):
        if first.dataset != second.dataset:
            continue
        shared = share(measures, first, second)
        if len(shared.people):
            rows += _rows(measures, first, second, shared)
            notes += [f"{text}: left out of their tests" for text in shared.differences]
        else:
            notes.append(f"{first.method} and {second.method} have no clip in common: no test")
    for measure in dict.fromkeys(row["measure"] for row in rows):
        own = [row for row in rows if row["measure"] == measure]
        for name in P_VALUES:
            corrected = significance.holm([row[name] for row in own])
            for row, value in zip(own, corrected, strict=True):
                row[f"{name}_holm"] = float(value)
    return rows, list(dict.fromkeys(notes))


def _rows(measures: ModuleType, first: Answers, second: Answers, shared: Shared) -> list[dict]:
    _, sums = grouped.sums_by(shared.people, np.stack([shared.first, shared.second], 1))
    each = [measures.measures(shared.names, sums[:, side]) for side in (0, 1)]
    right, mcnemar = shared.right, np.nan
    only = (None, None)
    if right is not None:
        mcnemar = significance.mcnemar(*right)
        only = int((right[0] & ~right[1]).sum()), int((right[1] & ~right[0]).sum())
    rows = []
    for measure in measures.TESTED:

        def score(values, measure=measure):
            return np.asarray(measures.measures(shared.names, values)[measure])

        values = [float(score(sums[:, side].sum(0))) for side in (0, 1)]
        low, high = metrics.bootstrap_interval(
            lambda drawn, weight, score=score: _difference(score, np.tensordot(weight, drawn, 1)),
            sums, groups=np.arange(len(sums)),
        )  # fmt: skip
        main = measure == measures.TESTED[0]
        rows.append({
            "first": first.method, "second": second.method, "dataset": first.dataset,
            "measure": measure, "clips": len(shared.people), "people": len(sums),
            "value_first": values[0], "value_second": values[1],
            "difference": values[0] - values[1], "difference_low": float(low),
            "difference_high": float(high),
            "p_permutation": significance.permutation_test(score, sums[:, 0], sums[:, 1]),
            "p_wilcoxon": significance.wilcoxon(each[0][measure], each[1][measure]),
            "only_first_right": only[0] if main else None,
            "only_second_right": only[1] if main else None,
            "p_mcnemar": mcnemar if main else np.nan,
        })  # fmt: skip
    return rows


def _difference(score, sums) -> np.ndarray:
    """First less second of sums `[W, 2, ...]`."""
    return score(sums[:, 0]) - score(sums[:, 1])
