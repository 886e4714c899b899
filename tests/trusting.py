"""What a bundle says of a model that is calibrated, has sets and keeps its promise."""

from fer_jax.experiments.stored_trust import StoredTrust
from fer_jax.uncertainty import Calibrator, Promise, SetRule

AS_IT_IS = Calibrator("temperature", ((1.0,),), 40, 400)
RULE = SetRule("lac", 0.9, (0.8,), 40, 400)


def trusting(threshold=0.9, units=0) -> StoredTrust:
    """For one threshold, or for so many action units."""
    promise = Promise(threshold, 0.9, 0.9, 0.95, 0.8, 0.91, 40, 400)
    if not units:
        return StoredTrust(dict.fromkeys(("predict", "deterministic"), AS_IT_IS), RULE, promise)
    calibration = dict.fromkeys(("predict", "deterministic"), (AS_IT_IS,) * units)
    return StoredTrust(calibration, (RULE,) * units, (promise,) * units)
