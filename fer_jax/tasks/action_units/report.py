"""The report of action units: F1, calibration and abstaining of each."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from fer_jax.tasks import report_lines
from fer_jax.tasks.action_units import scores
from fer_jax.tasks.action_units.figures import f1, reliability, risk_coverage, timeline
from fer_jax.tasks.evaluation import INFERENCE_MODES, Scored
from fer_jax.tasks.report_lines import index

LOSS = "cross-entropy (nats)"
table = scores.predictions


def headline(row: dict) -> str:
    """The line of a reading in the terminal."""
    return f"mean F1 {row['f1_mean']:.4f}"


def content(config, clips, folds, evaluated: Scored, history) -> tuple[dict, dict]:
    """Returns the figures for metrics.json, and the `Curves` of each reading and action unit."""
    inference_modes, curves = scores.score_inference_modes(clips, folds, evaluated)
    return {
        "inference_modes": inference_modes,
        "single_pass": scores.single_pass(evaluated),
        "selective": scores.abstaining(config.evaluation.target_accuracy, clips.classes, evaluated),
    }, curves


def order(evaluated: Scored) -> np.ndarray:
    """Indices of the predictions, those first whose action units are the most certain."""
    return evaluated.summary.entropy.sum(1).argsort(kind="stable")


def figures(clips, evaluated: Scored, content: dict, curves: dict) -> Iterator[tuple]:
    """Draws the figures: names, figures, captions."""
    rows = {INFERENCE_MODES[name]: row["units"] for name, row in content["inference_modes"].items()}
    yield "f1", f1(rows), "F1 of each action unit, and how often it is present"
    source = evaluated.source
    own = curves["mc_dropout" if evaluated.has_dropout else "stored"]
    figure = reliability({unit: unit_curves.reliability for unit, unit_curves in own.items()})
    yield "reliability", figure, f"Confidence against accuracy of each action unit, {source}"
    figure = risk_coverage({unit: unit_curves.risk for unit, unit_curves in own.items()})
    yield "risk_coverage", figure, f"Error among the windows answered, entropy, {source}"
    name, indices = _liveliest(clips, evaluated)
    if len(indices) > 1:
        seconds = clips.ends[evaluated.indices[indices]]
        timed = bool(np.isfinite(seconds).all())
        summary = evaluated.summary
        figure = timeline(
            clips.classes,
            seconds if timed else clips.ranks[evaluated.indices[indices]],
            summary.mean[indices],
            summary.variance[indices] ** 0.5 if evaluated.has_dropout else None,
            evaluated.labels[indices],
            title=f"Action units of {name}",
            unit="seconds" if timed else "windows",
        )
        yield "timeline", figure, "Action units of one recording over time"


def _liveliest(clips, evaluated: Scored) -> tuple[str, np.ndarray]:
    """The recording in which most changes, and the indices of its predictions in their order."""
    first = evaluated.folds == 0  # repeats score a recording again
    names = np.array([clips.clip_ids[n].rsplit("@", 1)[0] for n in evaluated.indices[first]])
    changes, ends = np.abs(np.diff(evaluated.labels[first], axis=0)), names[1:] == names[:-1]
    changes = np.nan_to_num(changes).sum(1) * ends
    best = max(np.unique(names), key=lambda name: changes[names[1:] == name].sum())
    return str(best), np.flatnonzero(first)[names == best]


def lines(content: dict) -> list[str]:
    """Text and tables of report.md."""
    shown = "mc_dropout" if "mc_dropout" in content["inference_modes"] else "recalibrated"
    return [
        *report_lines.table(
            "reading | mean F1 | 95% interval | of the units seen",
            [
                (
                    INFERENCE_MODES[name],
                    index(row["f1_mean"]),
                    report_lines.interval(row["interval_95_people"]),
                    index(row["f1_mean_of_units_seen"]),
                )
                for name, row in content["inference_modes"].items()
            ],
        ),
        "",
        "F1 over all scored windows; a unit that neither is present nor predicted counts as 0 in "
        "the mean, and is left out of the units seen. Interval: people drawn with replacement.",
        "",
        *_repeat_lines(content["inference_modes"]),
        report_lines.single_pass_line(
            content["single_pass"], "mean F1 {f1_mean:.4f} +- {f1_std:.4f}"
        ),
        "",
        f"Each action unit, {INFERENCE_MODES[shown]}; coverage: share of windows whose "
        f"entropy is under the unit's threshold.",
        "",
        *report_lines.table(
            "unit | windows | present | F1 | precision | recall | accuracy | ECE | NLL | "
            "AURC | threshold, nats | answered | accuracy of these",
            _unit_rows(content["inference_modes"][shown]["units"], content["selective"]["units"]),
        ),
        "",
        f"{report_lines.MEASURES} {_threshold_line(content['selective']['units'])}",
        "",
    ]


def _unit_rows(units: dict, selective: dict) -> Iterator[list[str]]:
    for unit, row in units.items():
        if not row["known"]:
            yield [unit, "0", *"-" * 11]
            continue
        own = selective[unit]
        names = (
            "f1",
            "precision",
            "recall",
            "accuracy",
            "expected_calibration_error",
            "negative_log_likelihood",
            "area_under_risk_coverage",
        )
        cells = [unit, str(row["known"]), f"{row['base_rate']:.1%}"]
        cells += [index(row[name], 3) for name in names]
        cells += [index(own["threshold"], 3), f"{own['coverage']:.1%}", index(own["accuracy"], 3)]
        yield cells


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
                f"- {INFERENCE_MODES[name]}, {len(values)} repeats, {len(trials)} folds: "
                f"{np.mean(trials):.4f} +- {np.std(trials, ddof=1):.4f} (mean and deviation of the "
                f"folds' mean F1)"
            )
    return [*lines, ""] if lines else []
