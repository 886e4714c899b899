"""Part of a classifier's report: evaluation on another dataset than those it was trained on.

No other task is evaluated across datasets, so only this folder has such a file.
"""

from __future__ import annotations

import numpy as np

from fer_jax.data.clips import dataset_names
from fer_jax.tasks import report_lines
from fer_jax.tasks.evaluation import Evaluated
from fer_jax.tasks.report_lines import number
from fer_jax.uncertainty.summaries import entropy

_SHARES = np.linspace(0, 1, 101)  # of the clips, at which quantiles are kept
_MEASURES = ("entropy", "mutual_information")  # nats


def content(config, clips, folds, evaluated: Evaluated, threshold) -> dict | None:
    """Accuracy and uncertainty by dataset; None unless a run is evaluated across datasets.

    Known datasets are those trained on, represented by clips of their validation subjects.

    Args:
      threshold: abstain above this entropy of calibrated probabilities, nats; None: never.
    """
    if not config.data.train_on:
        return None
    from sklearn.metrics import roc_auc_score

    splits = [(evaluated.examples, False)]
    if evaluated.validation is not None:
        splits.insert(0, (evaluated.validation, True))
    rows, values, known = {}, {name: [] for name in _MEASURES}, []
    calibrator = evaluated.trust.fitted.calibrator
    for (labels, summary, _, _, indices), seen in splits:
        names = dataset_names([clips.clip_ids[index] for index in indices])
        given = entropy(calibrator.apply(summary.mean)), threshold  # as of the bundle
        for name in np.unique(names):
            rows[str(name)] = _row(names == name, labels, summary, seen, *given)
        known.append(np.full(len(indices), seen))
        for name in _MEASURES:
            values[name].append(getattr(summary, name))
    unseen = ~np.concatenate(known)
    separation = {
        name: float(roc_auc_score(unseen, np.concatenate(each)))
        for name, each in values.items()
        if unseen.any() and not unseen.all()
    }
    return {"rows": rows, "separation": separation, "classes_left_out": clips.left_out.classes}


def _row(chosen, labels, summary, seen: bool, calibrated, threshold) -> dict:
    measures = {name: getattr(summary, name)[chosen] for name in _MEASURES}
    covered = None if threshold is None else float((calibrated[chosen] <= threshold).mean())
    return {
        "known": seen,
        "clips": int(chosen.sum()),
        "accuracy": float((summary.mean.argmax(-1) == labels)[chosen].mean()),
        "confidence": float(summary.mean[chosen].max(-1).mean()),
        "agreement": float(summary.agreement[chosen].mean()),
        "coverage": covered,
        **{name: float(values.mean()) for name, values in measures.items()},
        "quantiles": {
            name: np.quantile(values, _SHARES).tolist() for name, values in measures.items()
        },
    }


def lines(content: dict | None) -> list[str]:
    """Table and text of report.md."""
    if content is None:
        return []
    keys = ("accuracy", "confidence", "entropy", "mutual_information", "agreement")
    rows = [
        (
            f"{name} ({'trained on; validation subjects' if row['known'] else 'unseen'})",
            str(row["clips"]),
            *(number(row[key]) for key in keys),
            "-" if row["coverage"] is None else f"{row['coverage']:.1%}",
        )
        for name, row in content["rows"].items()
    ]
    text = report_lines.table(
        "dataset | clips | accuracy | mean confidence | mean entropy, nats | "
        "mean mutual information, nats | agreement | coverage",
        rows,
    )
    if left := content["classes_left_out"]:
        listed = ", ".join(f"{name} ({count} clips)" for name, count in left.items())
        text += ["", f"Left out of the unseen dataset, of classes not trained on: {listed}."]
    return [*text, "", _separation_line(content), ""]


def _separation_line(content: dict) -> str:
    rows, separation = content["rows"].values(), content["separation"]
    if not separation:
        return (
            "The datasets trained on have no validation subjects (--config.protocol.folds=0), so "
            "there is nothing to compare the uncertainty with."
        )

    def mean(measure: str, known: bool) -> float:
        chosen = [row for row in rows if row["known"] == known]
        return np.average(
            [row[measure] for row in chosen], weights=[row["clips"] for row in chosen]
        )

    each = [
        f"mean {name.replace('_', ' ')} {mean(name, True):.4f} on known datasets, "
        f"{mean(name, False):.4f} on the unseen one, ranking an unseen clip above a known one with "
        f"probability {area:.3f} (area under the ROC curve)"
        for name, area in separation.items()
    ]
    return f"Uncertainty on known and unseen datasets: {'; '.join(each)}."
