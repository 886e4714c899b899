"""Two kinds of doubt about evaluated predictions: ambiguous ones and unfamiliar clips."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from fer_jax.tasks.abstaining import Judged
from fer_jax.uncertainty.unfamiliar.distance import Familiarity

_PREFIX = "familiarity_"  # of the fit, in the results of a fold


class Ambiguity(NamedTuple):
    """How uncertain the predictions of a task are.

    Attributes:
      measure: name of the uncertainty.
      unit: of it, after a space, or empty.
      kinds: predictions by kind, such as the action unit; of a task with one kind its key is empty.
    """

    measure: str
    unit: str
    kinds: Mapping[str, Judged]


def familiarity_of(result: Mapping, clips, folds: Sequence, results: Sequence) -> Familiarity:
    """The fit of a run, with the threshold of the people whom no fold was fitted to.

    Args:
      result: of the run.
      clips, folds: the dataset, and its evaluated folds.
      results: one a fold.
    """
    arrays = {
        name.removeprefix(_PREFIX): values
        for name, values in result.items()
        if name.startswith(_PREFIX)
    }
    part = _unfitted(folds)
    scores = np.concatenate([each[f"{part}_unfamiliarity"] for each in results])
    chosen = np.concatenate([getattr(each, part) for each in folds])
    people = np.asarray(clips.subjects)[chosen]
    return Familiarity.from_arrays(arrays).with_threshold(scores, people)


def _unfitted(folds: Sequence) -> str:
    """The part of the folds whose people the threshold is chosen on."""
    return "evaluation" if folds[0].validation is None else "validation"


def summary(clips, folds: Sequence, results: Sequence) -> dict:
    """What the limit of familiarity rests on, and what lies beyond it; see `familiarity_of`.

    Returns:
      `limit`, the `people` and `clips` that it is the quantile of, `same`: whether they are those
      evaluated, and `beyond`, the share of the evaluated clips.
    """
    part = _unfitted(folds)
    chosen = np.unique(np.concatenate([getattr(each, part) for each in folds]))
    limit = familiarity_of(results[0], clips, folds, results).threshold
    scores = np.concatenate([result["evaluation_unfamiliarity"] for result in results])
    return {
        "limit": float(limit),
        "people": len(set(np.asarray(clips.subjects)[chosen])),
        "clips": len(chosen),
        "same": part == "evaluation",
        "beyond": float((scores > limit).mean()),
    }


def lines(found: dict, kind: str) -> list[str]:
    """The sentence of the report about what `summary` found; `kind` names the clips."""
    own = "the evaluated ones themselves" if found["same"] else "the validation part"
    return [
        f"Unfamiliar: {found['beyond']:.1%} of the evaluated {kind} lie beyond the limit, a "
        f"distance of {found['limit']:.3g} from the training {kind}, within which 95% of the "
        f"{kind} of a person lie (mean over {found['people']} people, {found['clips']} {kind}: "
        f"{own}).",
        "",
    ]


def figures(ambiguity: Ambiguity, clips, folds: Sequence, results: Sequence) -> Iterator[tuple]:
    """Yields name, figure and caption: ambiguous against unfamiliar.

    Args:
      ambiguity: of the evaluated predictions, fold after fold.
      clips, folds, results: see `familiarity_of`.
    """
    from fer_jax.plotting import doubts

    threshold = familiarity_of(results[0], clips, folds, results).threshold
    scores = np.concatenate([result["evaluation_unfamiliarity"] for result in results])
    unfamiliarity, panels = scores / threshold, {}
    for name, judged in ambiguity.kinds.items():
        known = np.isfinite(judged.uncertainty)
        if not known.any():
            continue
        amount, own = judged.uncertainty[known], judged.threshold.value
        own = float(own) if np.isfinite(own) else None
        amount = amount if own is None else amount / max(own, 1e-12)
        panels[name] = doubts.Doubted(amount, own, unfamiliarity[known], judged.correct[known])
    if not panels:
        return
    caption = (
        f"Ambiguous ({ambiguity.measure}) against unfamiliar (distance from the training clips), "
        "each over its threshold in the bundle; the corners name the reason that `predict` gives"
    )
    figure = doubts.doubts(panels, ambiguity.measure, clips.kind, ambiguity.unit)
    yield "doubts", figure, caption
