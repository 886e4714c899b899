"""What a cross-database run says of each data set, and how doubt rises on the unseen one."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from matplotlib.figure import Figure
from sklearn.metrics import roc_auc_score

from fer_jax.data import cross_database
from fer_jax.plotting.style import ALERT, PALETTE, dress, legend_below, make_figure
from fer_jax.tasks import evaluation

_SHARES = np.linspace(0, 1, 101)  # of the clips, at which quantiles are kept
_DOUBTS = {"entropy": "entropy (nats)", "mutual_information": "mutual information (nats)"}


def content(config, clips, folds, scored: evaluation.Scored, threshold) -> dict | None:
    """Accuracy and doubt of each data set; None where a single one was learnt from and scored.

    Known data sets are those learnt from, by clips of held-out people.

    Args:
      threshold: abstain above this entropy, nats; None: never.
    """
    if not config.data.train_on:
        return None
    parts = [(scored.numbers, scored.labels, scored.summary, False)]
    if scored.validation is not None:
        parts.insert(0, (folds[0].validation, *scored.validation, True))
    rows, doubts, known = {}, {name: [] for name in _DOUBTS}, []
    for numbers, labels, summary, seen in parts:
        names = cross_database.of_clips([clips.clip_ids[number] for number in numbers])
        for name in np.unique(names):
            rows[str(name)] = _row(names == name, labels, summary, seen, threshold)
        known.append(np.full(len(numbers), seen))
        for doubt in _DOUBTS:
            doubts[doubt].append(getattr(summary, doubt))
    unseen = ~np.concatenate(known)
    separation = {
        name: float(roc_auc_score(unseen, np.concatenate(values)))
        for name, values in doubts.items()
        if unseen.any() and not unseen.all()
    }
    return {"rows": rows, "separation": separation, "classes_left_out": clips.unseen}


def _row(chosen, labels, summary, seen: bool, threshold) -> dict:
    doubt = summary.entropy[chosen]
    return {
        "known": seen,
        "clips": int(chosen.sum()),
        "accuracy": float((summary.mean.argmax(-1) == labels)[chosen].mean()),
        "confidence": float(summary.mean[chosen].max(-1).mean()),
        "agreement": float(summary.agreement[chosen].mean()),
        "answered": float((doubt <= threshold).mean()) if threshold is not None else None,
        **{name: float(getattr(summary, name)[chosen].mean()) for name in _DOUBTS},
        "quantiles": {
            name: np.quantile(getattr(summary, name)[chosen], _SHARES).tolist() for name in _DOUBTS
        },
    }


def figures(content: dict | None, source: str) -> Iterator[tuple]:
    """Draws the doubts of each data set: names, figures, captions."""
    if content is not None:
        yield "databases", doubt_curves(content["rows"]), f"Doubt on each data set, {source}"


def doubt_curves(rows: dict[str, dict]) -> Figure:
    """Draws which share of each data set's clips is at most so doubtful.

    Args:
      rows: by data set: `known`, and 101 `quantiles` of `entropy` and `mutual_information`, nats.
    """
    figure = make_figure(9.0, 4.2)
    for axes, (doubt, label) in zip(figure.subplots(1, 2), _DOUBTS.items(), strict=True):
        for number, (name, row) in enumerate(rows.items()):
            role = "known, new people" if row["known"] else "unseen"
            axes.plot(
                [0, *row["quantiles"][doubt]], [0, *_SHARES],
                color=PALETTE[(number + 1) % len(PALETTE)] if row["known"] else ALERT,
                linestyle="-" if row["known"] else "--", linewidth=2, label=f"{name} ({role})",
            )  # fmt: skip
        dress(axes, x=label, y="share of the clips", title=label.partition(" (")[0], grid="both")
        axes.set_ylim(0, 1.02)
        axes.set_xlim(left=0)
    legend_below(figure, axes, 3)
    return figure


def lines(content: dict | None) -> list[str]:
    """Table and text of report.md."""
    if content is None:
        return []
    text = [
        "| data set | clips | accuracy | mean confidence | mean entropy, nats | "
        "mean mutual information, nats | agreement | answered |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, row in content["rows"].items():
        role = "learnt from; people held out" if row["known"] else "unseen"
        text.append(
            f"| {name} ({role}) | {row['clips']} | {row['accuracy']:.4f} | "
            f"{row['confidence']:.4f} | {row['entropy']:.4f} | {row['mutual_information']:.4f} | "
            f"{row['agreement']:.4f} | "
            f"{'-' if row['answered'] is None else format(row['answered'], '.1%')} |"
        )
    left = content["classes_left_out"]
    if left:
        listed = ", ".join(f"{name} ({count} clips)" for name, count in left.items())
        text += ["", f"Left out of the unseen data set, of classes not learnt: {listed}."]
    return [*text, "", _rise(content), ""]


def _rise(content: dict) -> str:
    rows, separation = content["rows"].values(), content["separation"]
    if not separation:
        return (
            "Nobody of the data sets learnt from was held out (--config.protocol.folds=0), so "
            "there is nothing to compare the doubt with."
        )

    def mean(doubt: str, known: bool) -> float:
        chosen = [row for row in rows if row["known"] == known]
        return np.average([row[doubt] for row in chosen], weights=[row["clips"] for row in chosen])

    parts = [
        f"mean {name.replace('_', ' ')} {mean(name, True):.4f} on known data sets, "
        f"{mean(name, False):.4f} on the unseen one, ranking an unseen clip above a known one with "
        f"probability {area:.3f} (area under the ROC curve)"
        for name, area in separation.items()
    ]
    return f"Doubt on known and unseen data sets: {'; '.join(parts)}."
