"""The report of predicted distributions: that of a classifier, and how near they are to votes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np

from fer_jax.tasks import report_lines
from fer_jax.tasks.classification import report as classification
from fer_jax.tasks.distribution import figures as drawings
from fer_jax.tasks.distribution import scores
from fer_jax.tasks.evaluation import INFERENCE_MODES, Evaluated, reliability_curve
from fer_jax.tasks.grouped import Part
from fer_jax.tasks.report_lines import interval, number
from fer_jax.uncertainty.summaries import entropy

LOSS = "cross-entropy to the votes (nats)"
_NEARNESS = (
    "cross_entropy", "kl_divergence", "total_variation", "calibration_error", "spearman_entropy",
)  # fmt: skip
table, ambiguity = scores.predictions, scores.ambiguity
compared, headline = classification.compared, classification.headline


def content(config, clips, folds, evaluated: Evaluated, history) -> tuple[dict, dict]:
    """Numbers for metrics.json, and the curves of a classifier: of clips that have a class."""
    scored = scores.of_one_class(evaluated)
    own, curves = classification.content(config, clips, folds, scored, history)
    votes = {
        "rule": config.data.vote_rule,
        "clips_of_one_class": len(scored.indices),
        "inference_modes": scores.score_votes(clips, evaluated),
        "ratings": scores.score_ratings(clips, evaluated),
    }
    return {**own, "votes": votes}, curves


def parts(clips, folds, evaluated: Evaluated, content: dict) -> list[Part]:
    """The tables of a classifier, of clips that have a class."""
    return classification.parts(clips, folds, scores.of_one_class(evaluated), content)


def order(evaluated: Evaluated) -> np.ndarray:
    """Indices of the predictions for clips that have a class, see `classification.report.order`."""
    known = np.flatnonzero(scores.classes_of(evaluated.labels) != scores.NO_CLASS)
    return known[classification.order(scores.of_one_class(evaluated))]


def figures(clips, evaluated: Evaluated, content: dict, curves: dict) -> Iterator[tuple]:
    """Yields name, figure and caption of each figure."""
    others = content | {"figure_clips": ()}  # those chosen may have no class
    for figure in classification.figures(clips, scores.of_one_class(evaluated), others, curves):
        if figure[0] == "reliability":  # calibrators are fitted to the votes
            votes = evaluated.labels[:, 0]
            before = reliability_curve(evaluated.probabilities[evaluated.mode], votes)
            share = "share of the votes"
            figure = classification.reliability_figure(evaluated, before, votes, share)
        yield figure
    if evaluated.has_samples:
        chosen = classification.chosen_clips(clips, evaluated, content)
        labelled = dataclasses.replace(evaluated, labels=scores.classes_of(evaluated.labels))
        yield from classification.clip_figures(clips, labelled, chosen)
    votes = entropy(evaluated.labels[:, 0])
    figure = drawings.entropies(votes, evaluated.summary.entropy, len(clips.classes))
    yield "entropies", figure, f"Entropy of the predictions ({evaluated.source}) and of the votes"


def lines(content: dict) -> list[str]:
    """Text and tables of report.md."""
    votes, subjects = content["votes"], content["subjects_evaluated"]
    rows = [
        [
            INFERENCE_MODES[name],
            *(number(row[key]) for key in _NEARNESS),
            interval(row["spearman_interval_95"], subjects),
        ]
        for name, row in votes["inference_modes"].items()
    ]
    headings = (
        "inference mode | cross-entropy | KL divergence | total variation | calibration error | "
        "Spearman's rho | 95% interval"
    )
    return [
        f"Accuracy, calibration and abstaining are those of {votes['clips_of_one_class']} of "
        f"{content['clips_evaluated']} clips, whose votes have a class (vote rule "
        f"{votes['rule']!r}).",
        "",
        *classification.lines(content),
        "The predictions beside the votes, all clips: cross-entropy and KL divergence in nats, "
        "half the sum of absolute differences, the distance between the largest probability and "
        "the share of the votes for its class (15 bins; the ECE above, of classes, is large where "
        "a majority is), and the rank correlation of the entropy of the prediction with that of "
        "the votes (bootstrap over subjects).",
        "",
        *report_lines.table(headings, rows),
        "",
        *_ratings(votes["ratings"]),
    ]


def _ratings(ratings: dict | None) -> list[str]:
    if ratings is None:
        return []
    headings = "dimension | RMSE | standard deviation of the votes' | MAE | r | CCC"
    return [
        "Valence, arousal and dominance, 1 to 9: mean rating of the words for the emotions, by the "
        "predicted distribution and by the votes.",
        "",
        *report_lines.table(
            headings, [[name, *map(number, row.values())] for name, row in ratings.items()]
        ),
        "",
    ]
