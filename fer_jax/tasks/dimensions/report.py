"""The report of valence, arousal and dominance: errors, intervals, when it may abstain."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from fer_jax import metrics, uncertainty
from fer_jax.data.clips import take
from fer_jax.faces import emotion_ratings
from fer_jax.plotting import images, style
from fer_jax.tasks import evaluation, published
from fer_jax.tasks.dimensions import scores as dimensions_scores
from fer_jax.tasks.dimensions.figures import (
    interval_calibration,
    plane,
    scatter,
    threshold_accuracy,
)
from fer_jax.tasks.dimensions.summary import TOLERANCE
from fer_jax.tasks.evaluation import READINGS

LOSS = "squared + 2 x absolute error"
_KINDS = {
    "passes": "of the passes alone",
    "predictive": "with the residual variance",
}
_TITLES = {"rmse": "RMSE", "mae": "MAE", "pearson": "r", "ccc": "CCC"}
table = dimensions_scores.predictions


def headline(row: dict) -> str:
    """What the terminal says of a reading."""
    errors = ", ".join(
        f"{name} {own['rmse']:.4f} (labels +- {own['label_deviation']:.2f})"
        for name, own in row["dimensions"].items()
    )
    return f"accuracy at T = {TOLERANCE:g} {row['accuracy']:.4f}, RMSE {errors}"


def content(config, clips, folds, scored: evaluation.Scored, history) -> dict:
    """Figures for metrics.json."""
    has_dropout = "mc_dropout" in scored.probabilities
    return {
        "readings": dimensions_scores.score_readings(clips, folds, scored),
        "paper": published.errors(config.method, config.data.dataset, clips.classes),
        "kept_epoch": evaluation.kept_epoch(history, folds),
        "best_epoch": evaluation.best_epoch(history, folds),
        "single_pass": dimensions_scores.single_pass(scored) if has_dropout else None,
        "intervals": dimensions_scores.intervals(clips.classes, scored),
        "selective": dimensions_scores.selective(config.evaluation.target_accuracy, scored),
    }


def order(scored: evaluation.Scored) -> np.ndarray:
    """Places of the images, from the best prediction to the worst."""
    return metrics.distances(scored.summary.mean, scored.labels).argsort(kind="stable")


def figures(clips, scored: evaluation.Scored, content: dict) -> Iterator[tuple]:
    """Draws the figures: names, figures, captions."""
    dimensions, summary, labels = clips.classes, scored.summary, scored.labels
    source = "MC dropout" if content["single_pass"] else "dropout off"
    own = content["readings"]["mc_dropout" if content["single_pass"] else "stored"]
    if emotion_ratings.has_plane(dimensions):
        columns = [dimensions.index(name) for name in emotion_ratings.PLANE]
        panels = {"labels": labels[:, columns], "predictions": summary.mean[:, columns]}
        caption = f"Valence and arousal of the scored images, {source}; words of the norms"
        yield "plane", plane(panels), caption
    notes = [
        f"RMSE {row['rmse']:.3f} (labels ± {row['label_deviation']:.2f}), r {row['pearson']:.3f}"
        for row in own["dimensions"].values()
    ]
    figure = scatter(dimensions, labels, summary.mean, notes)
    yield "scatter", figure, f"Predictions against labels, {source}"
    curves = {READINGS[n]: row["accuracy_curve"] for n, row in content["readings"].items()}
    figure = threshold_accuracy(
        dimensions_scores.THRESHOLDS, curves, TOLERANCE, dimensions_scores.KAGGLE
    )
    yield "thresholds", figure, "Accuracy at every threshold (bilinear CNN paper's figure 6)"
    levels = np.arange(1, 20) / 20
    found = dimensions_scores.intervals(dimensions, scored, levels)
    kinds = {
        name: {dimension: row["coverage"] for dimension, row in found[kind].items()}
        for kind, name in _KINDS.items()
        if kind in found
    }
    figure = interval_calibration(levels, kinds)
    yield "intervals", figure, f"Labels inside their intervals, {source}"
    right = metrics.distances(summary.mean, labels) < TOLERANCE
    area = content["selective"]["area_under_risk_coverage"]
    curve = (*uncertainty.risk_coverage(summary.doubt, right), area)
    figure = style.risk_coverage({f"deviation over the passes ({source})": curve})
    yield "risk_coverage", figure, f"Share beyond T = {TOLERANCE:g} among the images answered"
    if clips.frames is not None:
        yield "faces", _best_and_worst(clips, scored), "Best and worst predictions (figures 7, 8)"


def _best_and_worst(clips, scored: evaluation.Scored):
    """Faces with their labels and predictions."""
    best, worst = images.ends(order(scored))

    def shown(place: int) -> images.Shown:
        frames = take(clips, scored.numbers[[place]])["frames"][0]
        values = zip(scored.labels[place], scored.summary.mean[place], clips.classes, strict=True)
        text = "\n".join(f"{name[0].upper()} {own:.1f} → {said:.1f}" for own, said, name in values)
        return images.Shown(frames[len(frames) // 2], text)

    initials = ", ".join(f"{name[0].upper()}: {name}" for name in clips.classes)
    return images.faces(
        {
            f"Best predictions (label → predicted; {initials})": list(map(shown, best)),
            "Worst predictions": list(map(shown, worst)),
        }
    )


def lines(content: dict) -> list[str]:
    """Text and tables of report.md."""
    rows = [
        f"| reading | accuracy at T = {TOLERANCE:g} | 95% interval | threshold for "
        f"{dimensions_scores.KAGGLE:.2%} |",
        "|---|---|---|---|",
    ]
    for name, row in content["readings"].items():
        rows.append(
            f"| {READINGS[name]} | {row['accuracy']:.4f} | "
            f"{evaluation.interval_text(row['interval_95_people'])} | "
            f"{row['threshold_for_kaggle']:.3f} |"
        )
    paper = content["paper"]
    if paper is not None:
        rows.append(
            f"| paper (test images) | {paper['accuracy']:.4f} | | "
            f"{paper['threshold_for_kaggle']:.3f} |"
        )
    return [
        *rows,
        "",
        "Accuracy: share of images whose root mean square error over the dimensions is below T; "
        "last column: the smallest T at which it equals the best classifier of the Kaggle "
        "challenge. Intervals: people drawn with replacement (where the source names none, every "
        "image is its own).",
        "",
        *_error_rows(content["readings"], paper),
        "",
        "Errors are on the scale of the labels, 1 to 9. Whoever always says the labels' mean has "
        "their deviation as RMSE: errors of other labels compare by it only.",
        *_paper_lines(paper),
        "",
        *_pass_lines(content),
        "",
        *_interval_lines(content["intervals"]),
        "",
        _selective_line(content["selective"]),
        "",
    ]


def _error_rows(readings: dict, paper: dict | None) -> list[str]:
    rows = [
        "| dimension | reading | RMSE | 95% interval | labels' deviation | MAE | r | CCC | "
        "95% interval |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for dimension in next(iter(readings.values()))["dimensions"]:
        for name, reading in readings.items():
            row = reading["dimensions"][dimension]
            figures = [f"{row['rmse']:.4f}", evaluation.interval_text(row["rmse_interval_95"])]
            figures += [f"{row['label_deviation']:.4f}", f"{row['mae']:.4f}"]
            figures += [_number(row["pearson"]), _number(row["ccc"])]
            figures.append(evaluation.interval_text(row["ccc_interval_95"]))
            rows.append(f"| {dimension} | {READINGS[name]} | " + " | ".join(figures) + " |")
        if paper is not None:
            own = paper["dimensions"][dimension]
            rows.append(
                f"| {dimension} | paper (test images) | {own['rmse']:.4f} | | | {own['mae']:.4f} | "
                f"{own['pearson']:.4f} | | |"
            )
    return rows


def _paper_lines(paper: dict | None) -> list[str]:
    if paper is None or "dominance" not in paper["dimensions"]:
        return []
    return [
        "",
        "The paper's dominance labels deviate by about 1.25, as if neutral had the dominance 3.45: "
        "compare its dominance only after `--config.data.neutral_dominance=3.45`.",
    ]


def _pass_lines(content: dict) -> list[str]:
    single, best = content["single_pass"], content["best_epoch"]
    text = evaluation.kept_line(content["kept_epoch"])
    if best is not None:
        text += (
            f" Best epoch of each fold (chosen on the images it is scored on, hence optimistic; "
            f"dropout off, stored statistics): {best['accuracy_mean_of_folds']:.4f}."
        )
    if single is None:
        return [text, "", "The model has no dropout: there is one pass."]
    passes = (
        f"Single passes with dropout ({single['passes']}): accuracy "
        f"{single['accuracy_mean']:.4f} +- {single['accuracy_std']:.4f}."
    )
    return [text, "", passes]


def _interval_lines(found: dict) -> list[str]:
    levels = [f"{level:.0%}" for level in found["levels"]]
    rows = [
        "| dimension | intervals | " + " | ".join(f"{level}: inside, width" for level in levels)
        + " |",
        "|---|---" + "|---" * len(levels) + "|",
    ]  # fmt: skip
    for dimension in found["predictive"]:
        for kind, name in _KINDS.items():
            if kind not in found:
                continue
            row = found[kind][dimension]
            pairs = zip(row["coverage"], row["width"], strict=True)
            cells = " | ".join(f"{inside:.1%}, {width:.2f}" for inside, width in pairs)
            rows.append(f"| {dimension} | {name} | {cells} |")
    deviations = ", ".join(
        f"{name} {variance**0.5:.3f}"
        for name, variance in zip(found["predictive"], found["residual_variance"], strict=True)
    )
    return [
        *rows,
        "",
        "Inside: share of the labels that lie in the interval, to be held against its level. The "
        "passes alone say what the model does not know of its weights; the residual variance is "
        "the rest of the squared errors, the same for every image. It was measured on "
        f"{found['measured_on']}; its root: {deviations} (of the bundle).",
    ]


def _selective_line(selective: dict) -> str:
    target = f"{selective['target_accuracy']:.2f}"
    area = (
        f"area under the risk-coverage curve {selective['area_under_risk_coverage']:.4f}; a doubt "
        f"that says nothing has {selective['error_of_all']:.4f}, the share of all beyond T"
    )
    if selective["threshold"] is None:
        return (
            f"Selective prediction: no threshold on the deviation over the passes reaches the "
            f"target accuracy {target}; the bundle never abstains ({area})."
        )
    reached = "none" if selective["accuracy"] is None else f"{selective['accuracy']:.4f}"
    return (
        f"Selective prediction: abstaining where the deviation over the passes (root mean over "
        f"the dimensions) is above {selective['threshold']:.3f} (threshold for {target} accuracy, "
        f"chosen on {selective['chosen_on']}) answers {selective['coverage']:.1%} of the images, "
        f"accuracy on them {reached} ({area})."
    )


def _number(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.4f}"
