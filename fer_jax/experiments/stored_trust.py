"""What a bundle keeps of calibration, sets and promises, and how `model.json` is read."""

from __future__ import annotations

import dataclasses
import math

from fer_jax.experiments.schema import BundleFields, PromiseFields
from fer_jax.uncertainty.calibrators import Calibrator
from fer_jax.uncertainty.conformal import SetRule
from fer_jax.uncertainty.intervals import IntervalRule
from fer_jax.uncertainty.selective import Promise
from fer_jax.uncertainty.stored import percent, require

USES = ("predict", "deterministic")  # whose probabilities differ, and have a calibrator each
_UNITS, _DIMENSIONS = "action_units", "dimensional"


@dataclasses.dataclass(frozen=True)
class StoredTrust:
    """How far to trust a model; None in bundles that do not say it.

    Attributes:
      calibration: one of `USES` -> calibrator of its probabilities; of action units one each.
      sets: what makes prediction sets, or intervals of dimensions; of action units one each, None
        for a unit without any.
      promise: what is promised of the threshold; of action units one each.
    """

    calibration: dict[str, Calibrator | tuple[Calibrator, ...]] | None = None
    sets: SetRule | IntervalRule | tuple[SetRule | None, ...] | None = None
    promise: Promise | tuple[Promise, ...] | None = None

    def to_json(self) -> dict:
        """The fields of `model.json`; without those that it does not have."""

        def plain(value):
            if isinstance(value, Promise):
                return {
                    name: None if isinstance(each, float) and math.isnan(each) else each
                    for name, each in value._asdict().items()
                }
            if isinstance(value, (tuple, list)):
                return [plain(each) for each in value]
            if isinstance(value, dict):
                return {name: plain(each) for name, each in value.items()}
            return value and value.to_json()

        fields = {name: getattr(self, name) for name in ("calibration", "sets", "promise")}
        return {name: plain(value) for name, value in fields.items() if value is not None}

    @classmethod
    def from_metrics(cls, task: str, metrics: dict) -> StoredTrust:
        """Takes what the metrics of a report say of the bundle."""
        calibration, sets = (metrics.get(name) for name in ("calibration", "sets"))
        selective = metrics["selective"]
        promises = selective["units"].values() if task == _UNITS else [selective]
        promises = [
            _promise(PromiseFields(target=row["target_accuracy"], **row["promise"]))
            for row in promises
        ]
        return cls(
            _calibration(calibration and calibration["bundle"]),
            _sets(task, sets and sets["bundle"]),
            tuple(promises) if task == _UNITS else promises[0],
        )

    @classmethod
    def from_fields(cls, info: BundleFields) -> StoredTrust:
        """Takes the fields of `model.json`.

        Raises:
          ValueError: they make no sense, or are of another model.
        """
        promise = info.promise
        promise = tuple(map(_promise, promise)) if isinstance(promise, list) else _promise(promise)
        own = cls(_calibration(info.calibration), _sets(info.task, info.sets), promise)
        own.check(info.task, len(info.classes), info.threshold)
        return own

    def check(self, task: str, count: int, threshold) -> None:
        """Refuses what does not fit a task with so many outputs; raises a ValueError."""
        units, size = task == _UNITS, 2 if task == _UNITS else count

        def parts(value, what: str) -> tuple:
            require((type(value) is tuple) == units, f"{what}: one for each action unit, no other")
            require(not units or len(value) == count, f"{what} is not of one each action unit")
            return value if units else (value,)

        if self.calibration is not None:
            require(
                task != _DIMENSIONS, "calibration is of probabilities, which dimensions are not"
            )
            require(set(self.calibration) == set(USES), f"calibration is of {', '.join(USES)}")
            for use in USES:
                for own in parts(self.calibration[use], "calibration"):
                    require(own is not None, "calibration misses an action unit")
                    require(own.classes in (None, size), f"calibration.{use} is of other classes")
        if self.sets is not None:
            rules = [rule for rule in parts(self.sets, "sets") if rule is not None]
            for rule in rules:
                _check_rule(rule, task, size)
            require(len({rule.level for rule in rules}) < 2, "sets have several levels")
        if self.promise is not None:
            thresholds = threshold or (None,) * count if units else (threshold,)
            for promise, own in zip(parts(self.promise, "promise"), thresholds, strict=True):
                require(
                    promise.threshold in (None, own), "promise is of another threshold than is used"
                )

    def calibrated(self, names) -> str:
        """Says in words which probabilities of `predict` are calibrated."""
        without = self._without_calibrator(names)
        if not without:
            return "calibrated"
        partly = len(without) < len(names)
        return f"calibrated but for {', '.join(without)}" if partly else "not calibrated"

    def calibration_note(self, names) -> str:
        """Says which probabilities are not calibrated, and why; empty if all are."""
        without = self._without_calibrator(names)
        if not without:
            return ""
        which = (
            "no probability is" if len(without) == len(names) else f"{', '.join(without)} are not"
        )
        why = "the bundle says nothing of it"
        if self.calibration is not None:
            own = self.calibration["predict"]
            one = own[list(names).index(without[0])] if isinstance(own, tuple) else own
            people = "1 person" if one.people == 1 else f"{one.people} people"
            why = f"{people} and {one.clips} clips gave no reason to, or are too few"
        return f"{which} calibrated ({why}): of those that say 0.8, not 8 in 10 need be right"

    def sets_note(self) -> str:
        """Says that sets, or intervals, rest on too few people for their level; empty if not."""
        rules = self.sets if isinstance(self.sets, tuple) else (self.sets,)
        rules = [rule for rule in rules if rule is not None and rule.unit != "clip"]
        least = min(rules, key=lambda rule: rule.people, default=None)
        if least is None or least.people >= least.needed:
            return ""
        kind = "intervals" if isinstance(least, IntervalRule) else "sets"
        return (
            f"nothing is promised of {kind} at a level of {percent(least.level)}: that takes "
            f"{least.needed:,} people, and they rest on {least.people:,}"
        )

    def _without_calibrator(self, names) -> list[str]:
        """Names of the outputs whose probabilities `predict` gives as they are."""
        own = (self.calibration or {}).get("predict")
        if not isinstance(own, tuple):
            return list(names) if own is None or own.method == "none" else []
        return [name for name, each in zip(names, own, strict=True) if each.method == "none"]


def _check_rule(rule: SetRule | IntervalRule, task: str, size: int) -> None:
    if task == _DIMENSIONS:
        require(rule.method == "residual", "sets: intervals are those of residuals")
        require(len(rule.quantile) == size, "sets: an interval needs a quantile each dimension")
        return
    require(not rule.randomised, "sets: random sets are not predicted")
    require(len(rule.quantile) in (1, size), "sets have a quantile, or one each class")


def _calibration(value) -> dict | None:
    if value is None:
        return None
    return {name: _each(Calibrator, own) for name, own in value.items()}


def _sets(task: str, value):
    return None if value is None else _each(IntervalRule if task == _DIMENSIONS else SetRule, value)


def _each(kind: type, value):
    if isinstance(value, list):
        return tuple(each if each is None else kind.from_json(each) for each in value)
    return kind.from_json(value)


def _promise(fields: PromiseFields | None) -> Promise | None:
    if fields is None:
        return None
    own = fields.model_dump()
    return Promise(**{
        name: math.nan if each is None and name != "threshold" else each
        for name, each in own.items()
    })  # fmt: skip
