"""When not to trust a prediction: Monte Carlo dropout, calibration, prediction sets, abstention.

What runs a network works with any Flax model, passed as a function
`forward(variables, inputs, key) -> logits`, which `stochastic` makes for the models of this
package, or as `statistics(variables, inputs) -> batch_stats`. All else takes the probabilities of
any model, as NumPy arrays.

Names are imported on first use, so that importing this package is cheap and the functions on NumPy
arrays do not load JAX.
"""

import importlib

_FILES = {
    "unfamiliar.activations": ("activation_spread",),
    "unfamiliar.distance": ("Familiarity", "fit_familiarity", "joint_thresholds"),
    "posteriors.ensembles": ("member", "sample_ensemble", "stack_members"),
    "posteriors.curvature": ("check_size",),
    "posteriors.draws": ("LayerDraws", "WeightDraws", "drawn_networks"),
    "posteriors.laplace": (
        "Laplace",
        "fit_laplace",
        "predict_by_layers",
        "sample_laplace",
        "tune_precision",
    ),
    "posteriors.last_layer": (
        "LastLayer",
        "find_last_layer",
        "last_layer_inputs",
        "locate_last_layer",
        "outputs_from_last_layer",
    ),
    "posteriors.swag": (
        "WeightAverage",
        "average_network",
        "draw_networks",
        "draw_weights",
        "start_average",
        "update_average",
    ),
    "sampling": ("CHUNK_BYTES", "mc_dropout", "sample", "stochastic"),
    "smoothing": ("Smoother", "bhattacharyya"),
    "summaries": ("Summary", "check_probabilities", "entropy", "summarise", "unit_columns"),
    "batch_norm": ("recalibrate_batch_norm",),
    "calibration": (
        "adaptive_calibration_error",
        "coverage",
        "coverage_by",
        "equal_mass_bins",
        "expected_calibration_error",
        "reliability_bins",
    ),
    "calibrators": (
        "Calibrator",
        "apply_to_units",
        "calibrate_across",
        "choose_calibrator",
        "fit_calibrator",
        "fit_deviation_factors",
        "fit_unit_calibrators",
    ),
    "conformal": (
        "Quantile",
        "SetRule",
        "choose_raps",
        "conformal_quantile",
        "conformity_scores",
        "cross_sets",
        "fit_sets",
        "fit_unit_sets",
        "needed_for",
        "prediction_sets",
        "unit_sets",
    ),
    "intervals": ("IntervalRule", "conformal_intervals", "cross_intervals", "fit_intervals"),
    "people": (
        "effective_number",
        "equal_weights",
        "groups_of_people",
        "intraclass_correlation",
        "other_people",
        "person_indices",
    ),
    "selective": (
        "Promise",
        "abstain_threshold",
        "accuracy_bound",
        "area_under_generalised_risk",
        "area_under_risk_coverage",
        "promised_threshold",
        "risk_coverage",
        "selective_accuracy",
    ),
}
_FILE_OF = {name: file for file, names in _FILES.items() for name in names}
__all__ = sorted(_FILE_OF)


def __getattr__(name: str):
    if name not in _FILE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_FILE_OF[name]}"), name)
    globals()[name] = value  # skips this function next time
    return value


def __dir__():
    return sorted({*globals(), *__all__})
