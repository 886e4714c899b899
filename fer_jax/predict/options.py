"""How clips are read and predicted, checked once, and what is said of a model first."""

from __future__ import annotations

import dataclasses
import functools
import math
import numbers
import os
import sys
from collections.abc import Callable, Iterable

from fer_jax.faces.sequence import LEAST_FPS, MOST_FPS, UNKNOWN_FPS
from fer_jax.machine import printable

LARGEST, ALL = "largest", "all"  # who is predicted
_SHOWN = 30  # characters of a wrong value in a message
SMOOTHING = 0.5  # seconds, of models of still images; measured: docs/predictions.md


@dataclasses.dataclass(frozen=True)
class Options:
    """How clips are read and predicted; see `predict_clips`.

    Raises:
      ValueError: a number is impossible, or no number.
    """

    mc_samples: int = 100
    window: float | None = None
    stride: float | None = None
    threshold: float | None = None
    seed: int = 0
    fps: float = UNKNOWN_FPS
    width: int = 0
    landmark_model: str | os.PathLike | None = None
    people: str = LARGEST
    smoothing: float | None = None

    def __post_init__(self):
        for name in ("mc_samples", "seed", "width"):
            _check(name, getattr(self, name), numbers.Integral, "a whole number")
        for name in ("window", "stride", "fps", "threshold", "smoothing"):
            if getattr(self, name) is not None or name == "fps":
                _check(name, getattr(self, name), numbers.Real, "a number")
        for name, unit in (("window", " seconds"), ("stride", " seconds"), ("fps", "")):
            value = getattr(self, name)
            if value is not None and not 0 < value < 1e300:  # so that it is no long integer either
                raise ValueError(
                    f"{name} is {value!s:.20}: give a positive number{unit and ' of'}{unit}"
                )
        for name in ("window", "stride"):
            if (value := getattr(self, name)) is not None and value < 1 / MOST_FPS:
                raise ValueError(f"{name} is {value:g}: give seconds, at least {1 / MOST_FPS:g}")
        if not LEAST_FPS <= self.fps <= MOST_FPS:
            raise ValueError(f"fps is {self.fps:.6g}: give frames a second, at most {MOST_FPS:g}")
        if not -(2**63) <= self.seed < 2**63:
            raise ValueError("seed is too large: give a whole number of at most 18 digits")
        if self.mc_samples < 1:
            raise ValueError(f"mc_samples is {self.mc_samples}: give 1 or more")
        if self.width < 0:
            raise ValueError(f"width is {self.width}: give pixels, or 0 if it is unknown")
        if self.threshold is not None and math.isnan(self.threshold):
            raise ValueError("threshold is nan: give nats, or leave it out")
        if self.smoothing is not None and not 0 <= self.smoothing < 1e300:
            raise ValueError(f"smoothing is {self.smoothing!s:.20}: give seconds, or 0 for none")
        if not isinstance(self.landmark_model, (str, os.PathLike, type(None))):
            raise ValueError(
                f"landmark_model is {of_type(self.landmark_model)}: give the path of a dlib "
                "68-point model, or leave it out"
            )
        if self.people not in (LARGEST, ALL):
            raise ValueError(f"people is {self.people!r}: give {LARGEST!r} or {ALL!r}")


def in_turn(value, name: str, wanted: str) -> Iterable:
    """Returns a value that can be gone through.

    Args:
      value: of an argument.
      name, wanted: of the argument and what it takes, for the message.

    Raises:
      TypeError: it cannot.
    """
    try:
        iter(value)
    except TypeError:
        raise TypeError(f"{name} is {of_type(value)}: give {wanted}") from None
    return value


def of_type(value) -> str:
    """Shows a value of the wrong type, in a line."""
    shown = printable(repr(value))
    shown = shown if len(shown) <= _SHOWN else "a value"
    return f"{shown} of type {type(value).__name__}"


def saying_once(say: Callable[[str], None] | None) -> Callable[[str], None]:
    """Makes what says every line once; None prints to stderr.

    Raises:
      TypeError: it is no function.
    """
    if not (say is None or callable(say)):
        raise TypeError(f"say is {of_type(say)}: give a function of a line, such as print")
    return functools.cache(say or functools.partial(print, file=sys.stderr))


def _check(name: str, value, kind: type, what: str) -> None:
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ValueError(f"{name} is {value!r}: give {what}")


def chosen_threshold(predictor, options: Options) -> float | None | tuple[float | None, ...]:
    """The user's threshold, else the bundle's, above which predictions abstain."""
    from fer_jax.tasks import TASKS  # loads JAX, which the command line does without

    own, asked = predictor.threshold, options.threshold
    return TASKS[predictor.task].abstain_threshold(own, asked, predictor.classes)


def make_smoother(predictor, options: Options):
    """Makes what smooths the rows of each person over time, None if nothing does."""
    from fer_jax.tasks import TASKS
    from fer_jax.uncertainty import Smoother

    task = TASKS[predictor.task]

    def distance(values, mean):  # of what `Predictor.summarise` has smoothed, whose last is a mean
        return task.distance(values[-1], mean[-1])

    seconds = options.smoothing
    if seconds is None:
        seconds = SMOOTHING if predictor.spec.frames == 1 else 0.0
    return Smoother(seconds, distance) if seconds else None


def say_first(predictor, options: Options, setting: str, say: Callable[[str], None]) -> None:
    """Says what the numbers of a model do not promise: no threshold, bound, level or calibration.

    Args:
      predictor, options: see `predict_clips`.
      setting: which gives a threshold.
      say: takes each note, one line.
    """
    from fer_jax.tasks import TASKS

    task, names = TASKS[predictor.task], predictor.classes
    threshold, trust = chosen_threshold(predictor, options), predictor.trust
    if warning := task.threshold_warning(threshold, names):
        say(f"note: {warning} ({setting} sets one)")
    if options.threshold is None and (unkept := _without_promise(predictor)):
        say(
            f"note: {unkept}: it reached its target on the clips it was chosen on, and may miss it "
            "for other people"
        )
    if said := trust.sets_note():
        say(f"note: {said}")
    if task.has_probabilities and (said := trust.calibration_note(names)):
        say(f"note: {said}")


def _without_promise(predictor) -> str:
    """Says of which thresholds nothing is promised; empty if something is of all."""
    thresholds, promises = predictor.threshold, predictor.trust.promise
    if not isinstance(thresholds, tuple):
        kept = thresholds is None or (promises is not None and promises.promised)
        return "" if kept else "nothing is promised of the threshold"
    promises = promises or (None,) * len(thresholds)
    without = [
        name
        for name, own, promise in zip(predictor.classes, thresholds, promises, strict=True)
        if own is not None and not (promise is not None and promise.promised)
    ]
    return f"nothing is promised of the threshold of {', '.join(without)}" if without else ""
