"""Two kinds of doubt about evaluated predictions: ambiguous ones and unfamiliar clips."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from fer_jax.tasks.abstaining import Judged
from fer_jax.uncertainty.unfamiliar.distance import Familiarity, joint_thresholds

# names in the results of a fold: prefix of the arrays of a fit, and of the scores of a part
_NAMES = {"activations": ("familiarity_", "unfamiliarity"), "turns": ("turns_", "unfamiliar_turns")}


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


def kept(found: Mapping[str, tuple[Familiarity, Mapping]]) -> dict[str, np.ndarray]:
    """What the result of a run keeps of `training.familiarity.make_familiarity`."""
    arrays = {}
    for kind, (fitted, scores) in found.items():
        prefix, name = _NAMES[kind]
        arrays |= {f"{part}_{name}": values for part, values in scores.items()}
        arrays |= {prefix + field: values for field, values in fitted.to_arrays().items()}
    return arrays


def familiarity_of(
    result: Mapping, clips, folds: Sequence, results: Sequence
) -> dict[str, Familiarity]:
    """The fits of a run by kind, with the thresholds of the people whom no fold was fitted to.

    Args:
      result: of the run.
      clips, folds: the dataset, and its evaluated folds.
      results: one a fold.
    """
    part = _unfitted(folds)
    chosen = np.concatenate([getattr(each, part) for each in folds])
    people = np.asarray(clips.subjects)[chosen]
    scores, fits = _scores(results, part), {}
    for kind in scores:
        prefix = _NAMES[kind][0]
        own = {name: values for name, values in result.items() if name.startswith(prefix)}
        if own or kind == "activations":  # a result of before there were turns has none
            own = {name.removeprefix(prefix): values for name, values in own.items()}
            fits[kind] = Familiarity.from_arrays(own)
    given = list(fits.values()), [scores[kind] for kind in fits], people
    return dict(zip(fits, joint_thresholds(*given), strict=True))


def _scores(results: Sequence[Mapping], part: str) -> dict[str, np.ndarray]:
    """The scores of a part, fold after fold: activations, and turns if all folds have them."""
    names = {kind: f"{part}_{name}" for kind, (_, name) in _NAMES.items()}
    return {
        kind: np.concatenate([each[name] for each in results])
        for kind, name in names.items()
        if kind == "activations" or all(name in each for each in results)
    }


def _unfamiliarity(limits: Mapping[str, Familiarity], results: Sequence) -> np.ndarray:
    """Of the evaluated clips, in thresholds, as `Predictor.unfamiliarity`."""
    scores = _scores(results, "evaluation")
    return np.max([scores[kind] / fit.threshold for kind, fit in limits.items()], 0)


def _unfitted(folds: Sequence) -> str:
    """The part of the folds whose people the threshold is chosen on."""
    return "evaluation" if folds[0].validation is None else "validation"


def summary(clips, folds: Sequence, results: Sequence) -> dict:
    """What the limit of familiarity rests on, and what lies beyond it; see `familiarity_of`.

    Returns:
      `limit`, `turn_limit` if there is one, the `people` and `clips` that they are quantiles of,
      `same`: whether they are those evaluated, and `beyond`, the share of the evaluated clips.
    """
    part = _unfitted(folds)
    chosen = np.unique(np.concatenate([getattr(each, part) for each in folds]))
    limits = familiarity_of(results[0], clips, folds, results)
    turns = {"turn_limit": limits["turns"].threshold} if "turns" in limits else {}
    return {
        "limit": limits["activations"].threshold,
        **turns,
        "people": len(set(np.asarray(clips.subjects)[chosen])),
        "clips": len(chosen),
        "same": part == "evaluation",
        "beyond": float((_unfamiliarity(limits, results) > 1).mean()),
    }


def lines(found: dict, kind: str) -> list[str]:
    """The sentence of the report about what `summary` found; `kind` names the clips."""
    own = "the evaluated ones themselves" if found["same"] else "the validation part"
    turns, within = "", "it"
    if "turn_limit" in found:
        turns, within = f" or, in the turn of the head, of {found['turn_limit']:.3g}", "both"
    return [
        f"Unfamiliar: {found['beyond']:.1%} of the evaluated {kind} lie beyond the limit, a "
        f"distance of {found['limit']:.3g} from the training {kind}{turns}; 95% of the {kind} of a "
        f"person lie within {within} (mean over {found['people']} people, {found['clips']} {kind}: "
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

    limits = familiarity_of(results[0], clips, folds, results)
    unfamiliarity, panels = _unfamiliarity(limits, results), {}
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
