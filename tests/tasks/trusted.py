"""Evaluated predictions with what a bundle would give of them."""

import dataclasses
import types

from fer_jax.tasks import TASKS


def trusted(task, evaluated, target=0.9, *, calibration="none", sets=0.9, confidence=0.9):
    """Chooses calibrators, sets and thresholds for predictions of a task."""
    config = types.SimpleNamespace(
        evaluation=types.SimpleNamespace(target_accuracy=target, confidence=confidence),
        uncertainty=types.SimpleNamespace(calibration=calibration, sets=sets),
    )
    return dataclasses.replace(evaluated, trust=TASKS[task].trust(config, evaluated))
