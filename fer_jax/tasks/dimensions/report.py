"""The report of valence, arousal and dominance: errors, intervals, abstaining."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from fer_jax import metrics
from fer_jax.data.clips import take
from fer_jax.faces import emotion_ratings
from fer_jax.plotting import images
from fer_jax.plotting.coverage import coverage_by_person
from fer_jax.plotting.curves import risk_coverage
from fer_jax.tasks import evaluation, grouped, published, report_lines
from fer_jax.tasks.dimensions import figures as drawings
from fer_jax.tasks.dimensions import intervals as conformal
from fer_jax.tasks.dimensions import measures, scores
from fer_jax.tasks.dimensions.scores import TOLERANCE
from fer_jax.tasks.evaluation import INFERENCE_MODES, Evaluated
from fer_jax.tasks.grouped import Part
from fer_jax.tasks.report_lines import interval, number

LOSS = "squared + 2 x absolute error"
table, ambiguity = scores.predictions, scores.ambiguity


def headline(row: dict) -> str:
    """Line of an inference mode in the terminal."""
    errors = ", ".join(
        f"{name} {own['rmse']:.4f} (labels +- {own['label_deviation']:.2f})"
        for name, own in row["dimensions"].items()
    )
    return f"accuracy at T = {TOLERANCE:g} {row['accuracy']:.4f}, RMSE {errors}"


def content(config, clips, folds, evaluated: Evaluated, history) -> tuple[dict, dict]:
    """Returns the numbers for metrics.json, and the curves `intervals` and `risk`."""
    intervals = scores.intervals(clips.classes, evaluated, scores.DRAWN_LEVELS)
    selective, risk = scores.abstaining(evaluated)
    return {
        "inference_modes": scores.score_inference_modes(clips, folds, evaluated),
        "paper": published.errors(
            config.method, config.data.dataset, clips.classes, published.protocol_of(config)
        ),
        "selected_epoch": evaluation.selected_epoch(history, folds),
        "best_epoch": evaluation.best_epoch_accuracy(history, folds),
        "single_samples": scores.single_samples(evaluated),
        "intervals": scores.at_levels(intervals),
        "selective": selective,
        "sets": conformal.content(clips.classes, evaluated),
    }, {"intervals": intervals, "risk": risk}


def compared(content: dict) -> dict:
    """Accuracy at T by inference mode, and errors by dimension.

    Args:
      content: of metrics.json.
    """
    table = content["inference_modes"]
    found = {name: row["accuracy"] for name, row in table.items()}
    own = table[evaluation.deciding_mode(table)]["dimensions"]
    intervals, paper = content["intervals"], content["paper"]
    level = intervals["levels"].index(scores.INTERVAL)
    found["errors"] = {
        dimension: {key: row[key] for key in ("rmse", "label_deviation", "mae", "pearson", "ccc")}
        | {
            "inside": intervals["predictive"][dimension]["coverage"][level],
            "width": intervals["predictive"][dimension]["width"][level],
        }
        | {
            f"paper_{key}": v
            for key, v in (paper["dimensions"][dimension] if paper else {}).items()
        }
        for dimension, row in own.items()
    }
    return found


def parts(clips, folds, evaluated: Evaluated, content: dict) -> list[Part]:
    """The tables of dimensions, which the report has in `lines`, by fold and by person."""
    import pandas as pd

    names = {"rmse": "RMSE", "label_deviation": "label std", "mae": "MAE", "pearson": "r",
             "ccc": "CCC"}  # fmt: skip
    rows = [
        {"inference mode": INFERENCE_MODES[mode], "dimension": dimension}
        | {name: own[key] for key, name in names.items()}
        for mode, row in content["inference_modes"].items()
        for dimension, own in row["dimensions"].items()
    ]
    return [
        Part("dimensions", "Each dimension", pd.DataFrame(rows), in_report=False),
        *grouped.parts(measures, clips, folds, evaluated),
        *conformal.parts(evaluated),
    ]


def order(evaluated: Evaluated) -> np.ndarray:
    """Indices of the predictions, from the best to the worst."""
    return metrics.distances(evaluated.summary.mean, evaluated.labels).argsort(kind="stable")


def figures(clips, evaluated: Evaluated, content: dict, curves: dict) -> Iterator[tuple]:
    """Yields name, figure and caption of each figure."""
    dimensions, summary, labels = clips.classes, evaluated.summary, evaluated.labels
    source = evaluated.source
    own = content["inference_modes"][evaluated.mode]
    if emotion_ratings.has_plane(dimensions):
        columns = [dimensions.index(name) for name in emotion_ratings.PLANE]
        panels = {"labels": labels[:, columns], "predictions": summary.mean[:, columns]}
        caption = f"Valence and arousal of the evaluation images and of emotion words, {source}"
        yield "plane", drawings.plane(panels), caption
    notes = [
        f"RMSE {row['rmse']:.3f} (labels ± {row['label_deviation']:.2f}), r {row['pearson']:.3f}"
        for row in own["dimensions"].values()
    ]
    figure = drawings.scatter(dimensions, labels, summary.mean, notes)
    yield "scatter", figure, f"Predictions against labels, {source}"
    shares = {
        INFERENCE_MODES[n]: row["accuracy_curve"] for n, row in content["inference_modes"].items()
    }
    figure = drawings.threshold_accuracy(scores.THRESHOLDS, shares, TOLERANCE, scores.KAGGLE)
    yield "thresholds", figure, "Accuracy at each threshold (bilinear CNN paper, figure 6)"
    found = curves["intervals"]
    kinds = {
        name: {dimension: row["coverage"] for dimension, row in found[kind].items()}
        for kind, name in scores.KINDS.items()
        if kind in found
    }
    figure = drawings.interval_calibration(found["levels"], kinds)
    yield "intervals", figure, f"Share of labels inside their intervals, {source}"
    figure = risk_coverage({f"standard deviation of the MC samples ({source})": curves["risk"]})
    yield "risk_coverage", figure, f"Share of errors above T = {TOLERANCE:g} at each coverage"
    if (sets := content["sets"]) is not None:
        shares = conformal.shares_by_person(evaluated)
        figure = coverage_by_person(shares, sets["level"], "intervals")
        yield "coverage", figure, "Share of each person's labels inside their intervals"
    if clips.crops is not None:
        caption = "Best and worst predictions (bilinear CNN paper, figures 7 and 8)"
        yield "faces", _best_and_worst(clips, evaluated), caption


def _best_and_worst(clips, evaluated: Evaluated):
    """Draws the faces of the best and the worst predictions, with labels."""
    best, worst = images.best_and_worst(order(evaluated))

    def shown(index: int) -> images.Shown:
        frames = take(clips, evaluated.indices[[index]])["frames"][0]
        values = zip(
            evaluated.labels[index], evaluated.summary.mean[index], clips.classes, strict=True
        )
        text = "\n".join(
            f"{name[0].upper()} {own:.1f} → {predicted:.1f}" for own, predicted, name in values
        )
        return images.Shown(frames[len(frames) // 2], text)

    initials = ", ".join(f"{name[0].upper()}: {name}" for name in clips.classes)
    return images.face_rows(
        {
            f"Best predictions (label → predicted; {initials})": list(map(shown, best)),
            "Worst predictions": list(map(shown, worst)),
        }
    )


def lines(content: dict) -> list[str]:
    """Text and tables of report.md."""
    paper = content["paper"]
    rows = [
        (
            INFERENCE_MODES[name],
            number(row["accuracy"]),
            interval(row["interval_95_subjects"]),
            number(row["threshold_for_kaggle"], 3),
        )
        for name, row in content["inference_modes"].items()
    ]
    if paper is not None:
        threshold = number(paper["threshold_for_kaggle"], 3)
        rows.append(("paper (test images)", number(paper["accuracy"]), "", threshold))
    return [
        *report_lines.table(
            f"inference mode | accuracy at T = {TOLERANCE:g} | 95% interval | "
            f"threshold for {scores.KAGGLE:.2%}",
            rows,
        ),
        "",
        "Accuracy: share of images whose root mean square error over the dimensions is below T. "
        "Last column: the smallest T that reaches the accuracy of the best classifier of the "
        "Kaggle challenge. Intervals: bootstrap over subjects (over images where the dataset does "
        "not identify people).",
        "",
        *_error_rows(content["inference_modes"], paper),
        "",
        "Errors are on the scale of the labels, 1 to 9. A constant predictor at the label mean has "
        "an RMSE equal to the label standard deviation, so compare errors on different labels "
        "relative to it.",
        *_paper_lines(paper),
        "",
        report_lines.epoch_lines(content["selected_epoch"], content["best_epoch"], "images"),
        "",
        report_lines.single_samples_line(
            content["single_samples"], "accuracy {accuracy_mean:.4f} +- {accuracy_std:.4f}"
        ),
        "",
        *_interval_lines(content["intervals"]),
        "",
        *conformal.lines(content["sets"]),
        _selective_line(content["selective"]),
        "",
    ]


def _error_rows(inference_modes: dict, paper: dict | None) -> list[str]:
    rows = []
    for dimension in next(iter(inference_modes.values()))["dimensions"]:
        for name, inference_mode in inference_modes.items():
            row = inference_mode["dimensions"][dimension]
            cells = [number(row["rmse"]), interval(row["rmse_interval_95"])]
            cells += [number(row[key]) for key in ("label_deviation", "mae", "pearson", "ccc")]
            rows.append(
                (dimension, INFERENCE_MODES[name], *cells, interval(row["ccc_interval_95"]))
            )
        if paper is not None:
            own = paper["dimensions"][dimension]
            cells = number(own["rmse"]), "", "", number(own["mae"]), number(own["pearson"]), "", ""
            rows.append((dimension, "paper (test images)", *cells))
    headings = (
        "dimension | inference mode | RMSE | 95% interval | label std | MAE | r | "
        "CCC | 95% interval"
    )
    return report_lines.table(headings, rows)


def _paper_lines(paper: dict | None) -> list[str]:
    if paper is None or "dominance" not in paper["dimensions"]:
        return []
    return [
        "",
        "The dominance labels of the paper have a standard deviation of about 1.25, which fits a "
        "dominance of 3.45 for neutral: compare dominance only after a run with "
        "`--config.data.neutral_dominance=3.45`.",
    ]


def _interval_lines(found: dict) -> list[str]:
    levels, rows = [f"{level:.0%}: coverage, width" for level in found["levels"]], []
    for dimension in found["predictive"]:
        for kind, name in scores.KINDS.items():
            if kind not in found:
                continue
            row = found[kind][dimension]
            pairs = zip(row["coverage"], row["width"], strict=True)
            cells = [f"{inside:.1%}, {width:.2f}" for inside, width in pairs]
            rows.append((dimension, name, *cells))
    deviations = ", ".join(
        f"{name} {variance**0.5:.3f}"
        for name, variance in zip(found["predictive"], found["residual_variance"], strict=True)
    )
    return [
        *report_lines.table(" | ".join(["dimension", "intervals", *levels]), rows),
        "",
        "Coverage: share of the labels inside the interval, which should equal its level. The MC "
        "samples alone cover the uncertainty of the weights; the residual variance is the rest of "
        f"the squared error, the same for every image. It is measured on {found['measured_on']}; "
        f"its root in the bundle: {deviations}.",
    ]


def _selective_line(selective: dict) -> str:
    return report_lines.abstaining_line(
        selective,
        "the standard deviation of the MC samples",
        "above a standard deviation of the MC samples (root mean square over the dimensions) of "
        "{:.3f}",
        "images",
        f" (area under the risk-coverage curve {selective['area_under_risk_coverage']:.4f}, "
        f"generalised {selective['area_under_generalised_risk']:.4f}; an "
        f"uninformative uncertainty has {selective['error_of_all']:.4f}, the share of all errors "
        "above T)",
    )
