"""Parts a and d: entropy beside that of votes, calibration and the order of the doubts."""

from __future__ import annotations

import numpy as np
from scipy.stats import rankdata

from benchmarks.trust import measures
from benchmarks.trust.measures import Figure, figure
from benchmarks.trust.saved import Held
from fer_jax import metrics, uncertainty

DRAWS = 200  # of labels, for the calibration error of chance


def votes(held: Held) -> list[Figure]:
    """Part a: rank correlation of the doubts with the entropy of the votes."""
    if held.votes is None:
        return []
    own, summary = rankdata(uncertainty.entropy(held.votes)), held.summary
    doubts = {"entropy": summary.entropy}
    if len(held.samples) > 1:
        doubts["mutual information"] = summary.mutual_information
    if held.divided:
        doubts["entropy, calibrated"] = uncertainty.entropy(held.calibrated())
    return [
        figure("a", name, "Spearman", metrics.pearson, rankdata(doubt), own, people=held.people)
        for name, doubt in doubts.items()
    ]


def quality(held: Held) -> list[Figure]:
    """Part d: accuracy, calibration and selective prediction, before and after calibration."""
    if held.dimensional:
        return []
    found = _beside_votes(held)
    held = held.of_one_class()
    raw = held.summary.mean
    found += _of("before", raw, held)
    if held.divided:
        found += _of("after", held.calibrated(), held)
    if len(held.samples) > 1:
        right = raw.argmax(-1) == held.labels
        found += _areas("by mutual information", held.summary.mutual_information, right, held)
    return found


def _beside_votes(held: Held) -> list[Figure]:
    """Distance of the largest probability from the share of the votes for that class.

    Of all clips, those without a majority too.
    """
    if held.votes is None:
        return []
    given = {"before": held.summary.mean}
    if held.divided:
        given["after"] = held.calibrated()
    found = []
    for what, p in given.items():
        own = np.take_along_axis(held.votes, p.argmax(-1)[:, None], -1)[:, 0]
        values = p.max(-1), own, measures.equal_bins(p.max(-1))
        error = measures.calibration_error
        found.append(figure("d", what, "ECE by votes", error, *values, people=held.people))
    return found


def _of(what: str, p: np.ndarray, held: Held) -> list[Figure]:
    right, confidence = p.argmax(-1) == held.labels, p.max(-1)
    own = np.take_along_axis(p, held.labels[:, None], -1)[:, 0]
    brier = np.square(p - np.eye(p.shape[-1])[held.labels]).sum(-1)
    of_clips = {
        "accuracy": right,
        "NLL": -np.log(np.maximum(own, 1e-12)),
        "Brier": brier,
    }
    found = [
        figure("d", what, name, measures.mean, values, people=held.people)
        for name, values in of_clips.items()
    ]
    for name, bins in (("ECE", measures.equal_bins), ("adaptive ECE", measures.adaptive_bins)):
        given = confidence, right, bins(confidence)
        found.append(
            figure("d", what, name, measures.calibration_error, *given, people=held.people)
        )
    chance = Figure("d", what, "ECE of chance", _chance(confidence), people=found[0].people)
    return [*found, chance, *_areas(what, uncertainty.entropy(p), right, held)]


def _chance(confidence: np.ndarray) -> float:
    """The ECE that so few clips would show if the probabilities were exactly right."""
    rng, bins = np.random.default_rng(0), measures.equal_bins(confidence)
    right = rng.random((DRAWS, len(confidence))) < confidence
    weight = np.full((1, len(confidence)), 1 / len(confidence))
    given = (measures.calibration_error(confidence, each, bins, weight)[0] for each in right)
    return float(np.mean(list(given)))


def _areas(what: str, doubt, right, held: Held) -> list[Figure]:
    areas = (("AURC", measures.aurc), ("AUGRC", measures.augrc))
    return [figure("d", what, name, area, doubt, right, people=held.people) for name, area in areas]
