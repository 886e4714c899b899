"""The card of a model: its data, what was measured, where it fails, who may use it."""

from __future__ import annotations

from ml_collections import ConfigDict

from fer_jax.tasks.evaluation import INFERENCE_MODES
from fer_jax.tasks.report_lines import table
from fer_jax.uncertainty.stored import percent
from fer_jax.zoo import Entry

_HEADINGS = "inference mode | accuracy | 95% interval | balanced accuracy | ECE"
_OF_UNITS = "inference mode | mean F1 of the action units | 95% interval | of those that occur"


def card(name: str, entry: Entry, config: ConfigDict, metrics: dict) -> str:
    """Writes the card in Markdown; its figures are those of the run that made the model.

    Args:
      name, entry: of the zoo.
      config: of the run.
      metrics: of its report.
    """
    environment, run = metrics["environment"], metrics["run"]
    lines = [
        f"# {name}",
        "",
        f"Predicts {entry.what}.",
        "",
        f"- **Trained on** {entry.data}.",
        f"- **Terms**: {entry.terms}. The code of fer_jax is under Apache-2.0.",
        f"- **Made by** `python -m fer_jax.zoo.make {name}`: config `{entry.config}`"
        f"{_changed(entry)}, seed {config.seed}, {config.train.epochs} epochs; "
        f"{metrics['params_total']:,} parameters{_members(config)}, stored in half precision.",
        f"- **Measured on** {_measured_on(config, metrics)} ({_protocol(config, metrics)}); "
        f"{environment['hardware']}, jax {environment['jax']}, fingerprint of the data "
        f"{run['fingerprint']}.",
        "",
        *(_of_units(metrics) if config.task == "action_units" else _of_classes(config, metrics)),
        "## Where it fails",
        "",
        *(f"- {sentence}" for sentence in entry.limits),
        "",
        "A prediction names the expression shown, as acted, labelled or voted in the training set. "
        "It is not a measurement of what a person feels.",
    ]
    return "\n".join(lines) + "\n"


def _changed(entry: Entry) -> str:
    if not entry.fields:
        return ""
    return " with " + ", ".join(f"`{name}={value}`" for name, value in entry.fields.items())


def _measured_on(config: ConfigDict, metrics: dict) -> str:
    count = f"{metrics['clips_evaluated']:,} {_things(config)}"
    if _unnamed(metrics):
        return f"{count} that the measured network was not trained on"
    people = f"{metrics['subjects_evaluated']:,} people"
    return f"{count} of {people} whom the measured networks were not trained on"


def _things(config: ConfigDict) -> str:
    if config.data.frame_rule == "windows":
        return "windows"
    return "images" if config.data.frames == 1 else "clips"


def _unnamed(metrics: dict) -> bool:
    """Whether nobody knows whose clips are whose: each then counts as a person."""
    return metrics["subjects_evaluated"] == metrics["clips_evaluated"]


def _members(config: ConfigDict) -> str:
    members = config.uncertainty.members
    return f", {members} networks" if members > 1 else ""


def _protocol(config: ConfigDict, metrics: dict) -> str:
    if config.protocol.name == "holdout":
        return "one split"
    folds = len(metrics["inference_modes"]["recalibrated"]["accuracy_folds"])
    return f"cross-validation in {folds} folds by person; the model itself is trained on everybody"


def _of_classes(config: ConfigDict, metrics: dict) -> list[str]:
    things = _things(config)
    return [
        *table(_HEADINGS, _rows(metrics)),
        "",
        *_votes(metrics, things),
        *_calibration(metrics),
        *_sets(metrics, things),
        *_threshold(metrics, things),
    ]


def _of_units(metrics: dict) -> list[str]:
    """Figures of all action units, and of each with MC dropout."""
    modes = metrics["inference_modes"]
    rows = []
    for mode, own in modes.items():
        rows.append([
            INFERENCE_MODES[mode], f"{own['f1_mean']:.3f}",
            _interval(own),
            f"{own['f1_mean_of_units_seen']:.3f}",
        ])  # fmt: skip
    units = [
        [unit, f"{own['base_rate']:.1%}", f"{own['f1']:.3f}", *_trust_of(metrics, unit)]
        for unit, own in modes["mc_dropout"]["units"].items()
        if own["known"]
    ]
    chosen_on = metrics["calibration"]["chosen_on"]
    headings = "unit | present | F1 | ECE | coverage of sets | answered | accuracy of the answered"
    return [
        *table(_OF_UNITS, rows),
        "",
        *table(headings, units),
        "",
        "Each unit with MC dropout: share of the windows that show it, F1, ECE of the calibrated "
        "probability, how often its prediction sets (absent, present or both) hold what is right, "
        "and what it answers where "
        f"it does not abstain. Calibrators, sets and thresholds rest on {chosen_on}.",
        "",
    ]


def _trust_of(metrics: dict, unit: str) -> list[str]:
    """ECE of an action unit, coverage of its sets; share of answered windows and their accuracy."""
    calibrated = metrics["calibration"]["modes"]["mc_dropout"][unit]["after"]
    rule, answered = metrics["sets"]["units"].get(unit), metrics["selective"]["units"][unit]
    cells = [f"{calibrated['expected_calibration_error']:.3f}"]
    cells.append("-" if rule is None else f"{rule['coverage']:.1%}")
    if answered["threshold"] is None:
        return [*cells, "all", "-"]
    return [*cells, f"{answered['coverage']:.1%}", f"{answered['accuracy']:.3f}"]


def _interval(own: dict) -> str:
    low, high = own["interval_95_subjects"]
    return "-" if low is None or low == high else f"{low:.3f} to {high:.3f}"  # too few people


def _rows(metrics: dict) -> list[list[str]]:
    rows = []
    for mode, own in metrics["inference_modes"].items():
        rows.append([
            INFERENCE_MODES[mode], f"{own['accuracy_pooled']:.3f}",
            _interval(own),
            f"{own['balanced_accuracy']:.3f}", f"{own['expected_calibration_error']:.3f}",
        ])  # fmt: skip
    return rows


def _votes(metrics: dict, things: str) -> list[str]:
    votes = metrics.get("votes")
    if votes is None:
        return []
    own = votes["inference_modes"]["recalibrated"]
    low, high = own["spearman_interval_95"]
    text = (
        f"Accuracy is that of {votes['clips_of_one_class']:,} {things} whose votes have a class "
        f"(rule `{votes['rule']}`). Beside the votes of all {things}, dropout off: calibration "
        f"error {own['calibration_error']:.3f}, Spearman's rho of the entropies "
        f"{own['spearman_entropy']:.3f} ({low:.3f} to {high:.3f})"
    )
    ratings = [
        f"{name} {row['ccc']:.3f} (RMSE {row['rmse']:.2f})"
        for name, row in (votes["ratings"] or {}).items()
    ]
    return [f"{text}{'; CCC of ' if ratings else ''}{', '.join(ratings)}.", ""]


def _calibration(metrics: dict) -> list[str]:
    """What the model does to the probabilities of MC dropout, of which the tables are."""
    own = metrics["calibration"]
    method, mode = own["bundle"]["predict"]["method"], own["modes"]["mc_dropout"]
    before, after = (mode[when]["expected_calibration_error"] for when in ("before", "after"))
    text = (
        f"the table is of the probabilities before it, the model gives those after it (method "
        f"`{method}`: ECE of MC dropout {before:.3f} before, {after:.3f} after)"
    )
    if method == "none":
        text = "none (no reason for it, or too few people); the table is of what the model gives"
    return [f"**Calibration**: {text}. Chosen on {own['chosen_on']}.", ""]


def _sets(metrics: dict, things: str) -> list[str]:
    sets = metrics["sets"]
    if not sets:
        return []
    promised = "promised for the next person" if sets["promised"] else "on average, not promised"
    people = (
        f", every person counting alike ({promised}; worst person {sets['worst_coverage']:.0%})"
    )
    if _unnamed(metrics):
        people = " (promised for the next one like them)" if sets["promised"] else " (not promised)"
    classes = ", ".join(
        f"{name} {own['coverage']:.0%} of {own['clips']}" for name, own in sets["classes"].items()
    )
    return [
        f"**Prediction sets** at a level of {percent(sets['level'])}: they hold the label of "
        f"{sets['coverage']:.1%} of the {things}{people}, with {sets['mean_size']:.2f} classes on "
        f"average. By class: {classes}. Chosen on {sets['chosen_on']}.",
        "",
    ]


def _threshold(metrics: dict, things: str) -> list[str]:
    own = metrics["selective"]
    if own["threshold"] is None:
        return ["It never abstains: no threshold reached the target.", ""]
    promise, kept = own["promise"], "nothing is promised of it, for want of people"
    if promise.get("threshold") is not None:
        people = things if _unnamed(metrics) else "people"
        kept = (
            f"at least {promise['bound']:.1%} for {people} like them, with "
            f"{percent(promise['confidence'])} confidence over {promise['people']:,} {people}"
        )
    return [
        f"**Abstaining** above an entropy of {own['threshold']:.3f} nats: it answers "
        f"{own['coverage']:.1%} of the {things}, {own['accuracy']:.1%} of them rightly; {kept}. "
        f"Chosen on {own['chosen_on']}.",
        "",
    ]
