"""The report of action units: F1, calibration and abstaining of each."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from fer_jax import uncertainty
from fer_jax.faces.labels import PRESENT
from fer_jax.tasks import evaluation
from fer_jax.tasks.action_units import scores as action_units_scores
from fer_jax.tasks.action_units.figures import f1, reliability, risk_coverage, timeline
from fer_jax.tasks.evaluation import READINGS

LOSS = "cross-entropy (nats)"
table = action_units_scores.predictions


def headline(row: dict) -> str:
    """What the terminal says of a reading."""
    return f"mean F1 {row['f1_mean']:.4f}"


def content(config, clips, folds, scored: evaluation.Scored, history) -> dict:
    """Figures for metrics.json."""
    del history
    has_dropout = "mc_dropout" in scored.probabilities
    return {
        "readings": action_units_scores.score_readings(clips, folds, scored),
        "single_pass": action_units_scores.single_pass(scored) if has_dropout else None,
        "selective": action_units_scores.selective(
            config.evaluation.target_accuracy, clips.classes, scored
        ),
    }


def order(scored: evaluation.Scored) -> np.ndarray:
    """Places of the windows, those first whose action units are the most certain."""
    return scored.summary.entropy.sum(1).argsort(kind="stable")


def figures(clips, scored: evaluation.Scored, content: dict) -> Iterator[tuple]:
    """Draws the figures: names, figures, captions."""
    rows = {READINGS[name]: row["units"] for name, row in content["readings"].items()}
    yield "f1", f1(rows), "F1 of each action unit, and how often it is present"
    source = "MC dropout" if content["single_pass"] else "dropout off"
    curves, risks = {}, {}
    for number, unit in enumerate(clips.classes):
        known = np.isfinite(scored.labels[:, number])
        if not known.any():
            continue
        present = scored.labels[known, number] == 1
        probability = scored.summary.mean[known, number]
        both = np.stack([1 - probability, probability], -1)
        error = uncertainty.expected_calibration_error(both, present)
        curves[unit] = (*uncertainty.reliability_bins(both, present, bins=10), error)
        right = (probability > PRESENT) == present
        doubt = scored.summary.entropy[known, number]
        area = uncertainty.area_under_risk_coverage(doubt, right)
        risks[unit] = (*uncertainty.risk_coverage(doubt, right), area)
    figure = reliability(curves)
    yield "reliability", figure, f"Confidence against accuracy of each action unit, {source}"
    figure = risk_coverage(risks)
    yield "risk_coverage", figure, f"Error among the windows answered, entropy, {source}"
    name, places = _liveliest(clips, scored)
    if len(places) > 1:
        seconds = clips.ends[scored.numbers[places]]
        timed = bool(np.isfinite(seconds).all())
        summary = scored.summary
        figure = timeline(
            clips.classes,
            seconds if timed else clips.ranks[scored.numbers[places]],
            summary.mean[places],
            summary.variance[places] ** 0.5 if content["single_pass"] else None,
            scored.labels[places],
            title=f"Action units of {name}",
            unit="seconds" if timed else "windows",
        )
        yield "timeline", figure, "Action units of one recording over time"


def _liveliest(clips, scored: evaluation.Scored) -> tuple[str, np.ndarray]:
    """The recording in which most changes, and the places of its windows in their order."""
    first = scored.folds == 0  # repeats score a recording again
    names = np.array([clips.clip_ids[n].rsplit("@", 1)[0] for n in scored.numbers[first]])
    changes, ends = np.abs(np.diff(scored.labels[first], axis=0)), names[1:] == names[:-1]
    changes = np.nan_to_num(changes).sum(1) * ends
    best = max(np.unique(names), key=lambda name: changes[names[1:] == name].sum())
    return str(best), np.flatnonzero(first)[names == best]


def lines(content: dict) -> list[str]:
    """Text and tables of report.md."""
    rows = [
        "| reading | mean F1 | 95% interval | of the units seen |",
        "|---|---|---|---|",
    ]
    for name, row in content["readings"].items():
        rows.append(
            f"| {READINGS[name]} | {row['f1_mean']:.4f} | "
            f"{evaluation.interval_text(row['interval_95_people'])} | "
            f"{_number(row['f1_mean_of_units_seen'])} |"
        )
    shown = "mc_dropout" if "mc_dropout" in content["readings"] else "recalibrated"
    return [
        *rows,
        "",
        "F1 over all scored windows; a unit that neither is present nor predicted counts as 0 in "
        "the mean, and is left out of the units seen. Interval: people drawn with replacement.",
        "",
        *_repeat_lines(content["readings"]),
        _pass_line(content["single_pass"]),
        "",
        f"Each action unit, {READINGS[shown]}; answered: windows whose entropy stays under the "
        f"unit's threshold.",
        "",
        "| unit | windows | present | F1 | precision | recall | accuracy | ECE | NLL | AURC | "
        "threshold, nats | answered | accuracy of these |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
        *_unit_rows(content["readings"][shown]["units"], content["selective"]["units"]),
        "",
        "ECE: expected calibration error (15 bins). NLL: negative log likelihood, nats. "
        "AURC: area under the risk-coverage curve of the entropy, 0 is perfect. "
        + _threshold_line(content["selective"]["units"]),
        "",
    ]


def _unit_rows(units: dict, selective: dict) -> list[str]:
    rows = []
    for unit, row in units.items():
        if not row["known"]:
            rows.append(f"| {unit} | 0 |" + " - |" * 11)
            continue
        own = selective[unit]
        figures = [f"{row['base_rate']:.1%}"]
        names = ("f1", "precision", "recall", "accuracy", "expected_calibration_error")
        figures += [f"{row[name]:.3f}" for name in names]
        names = ("negative_log_likelihood", "area_under_risk_coverage")
        figures += [f"{row[name]:.3f}" for name in names]
        figures += [_number(own["threshold"], 3), f"{own['coverage']:.1%}"]
        figures.append(_number(own["accuracy"], 3))
        rows.append(f"| {unit} | {row['known']} | " + " | ".join(figures) + " |")
    return rows


def _threshold_line(selective: dict) -> str:
    one = next(iter(selective.values()))
    return (
        f"Thresholds are for an accuracy of {one['target_accuracy']:.2f} and chosen on "
        f"{one['chosen_on']}; none (-), and nothing abstains, where no share of the windows "
        f"reaches it."
    )


def _repeat_lines(table: dict) -> list[str]:
    lines = []
    for name, row in table.items():
        values, trials = row["f1_repeats"], list(row["f1_folds"].values())
        if len(trials) > 1:
            lines.append(
                f"- {READINGS[name]}, {len(values)} repeats, {len(trials)} folds: "
                f"{np.mean(trials):.4f} +- {np.std(trials, ddof=1):.4f} (mean and deviation of the "
                f"folds' mean F1)"
            )
    return [*lines, ""] if lines else []


def _pass_line(single: dict | None) -> str:
    if single is None:
        return "The model has no dropout: there is one pass."
    return (
        f"Single passes with dropout ({single['passes']}): mean F1 {single['f1_mean']:.4f} +- "
        f"{single['f1_std']:.4f}."
    )


def _number(value: float | None, digits: int = 4) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
