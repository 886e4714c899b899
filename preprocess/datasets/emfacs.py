"""EMFACS: the emotion shown by a frame's action units, for datasets that code no emotion."""

from __future__ import annotations

import numpy as np

from fer_jax.faces.labels import DISFA_ACTION_UNITS, DISFA_CLASSES

_NUMBERS = tuple(int(unit.removeprefix("AU")) for unit in DISFA_ACTION_UNITS)
# Emotion, units that must all be present, units of which one must be present, units that must be
# absent. The first rule that fits wins; 7, 16 and 23 of the usual table are not coded in DISFA.
CHIN_ANGER = ("anger", (4, 17), (), (1, 2, 9, 15))  # optional
EMFACS_RULES = (
    ("fear", (1, 2, 4, 5), (20, 25, 26), ()),
    ("surprise", (1, 2), (5, 26), (4,)),
    ("sadness", (1, 4, 15), (), ()),
    ("sadness", (15, 17), (), (9,)),
    ("disgust", (9,), (), ()),
    ("anger", (4, 5), (), (1, 2)),
    CHIN_ANGER,
    ("happiness", (6, 12), (), ()),
)


def emfacs(intensities, present: float = 1, chin_anger: bool = False) -> np.ndarray:
    """Returns the emotion shown by the action units of each frame.

    Args:
      intensities: `[..., 12]`, 0 to 5, in the order of DISFA_ACTION_UNITS; NaN where unknown.
      present: intensity from which a unit counts as present, above 0.
      chin_anger: whether a frown with a raised chin is anger, too.

    Returns:
      `[...]` int32 indices into DISFA_CLASSES: neutral if all units are 0, -1 if no rule fits or a
      unit is unknown.

    The rules are ours: docs/papers/inception_resnet_3d.md.
    """
    intensities = np.asarray(intensities, float)
    shown = dict(zip(_NUMBERS, np.moveaxis(intensities >= present, -1, 0), strict=True))
    labels = np.full(intensities.shape[:-1], -1, np.int32)
    for rule in EMFACS_RULES:
        if rule is CHIN_ANGER and not chin_anger:
            continue
        emotion, every, one_of, none_of = rule
        fits = (labels < 0) & np.logical_and.reduce([shown[unit] for unit in every])
        if one_of:
            fits &= np.logical_or.reduce([shown[unit] for unit in one_of])
        for unit in none_of:
            fits &= ~shown[unit]
        labels[fits] = DISFA_CLASSES.index(emotion)
    labels[(intensities == 0).all(-1)] = DISFA_CLASSES.index("neutral")
    labels[np.isnan(intensities).any(-1)] = -1
    return labels
