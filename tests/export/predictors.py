"""Predictors of tiny networks with initial weights, as many kinds as there are exports."""

import functools
import pathlib
import tempfile

import jax
import numpy as np

from fer_jax.experiments.bundle import Bundle, InputSpec
from fer_jax.experiments.stored_trust import StoredTrust
from fer_jax.faces.landmarks import MEAN_FACE, Graph, inner, make_graph
from fer_jax.predict.load import load_model
from fer_jax.predict.predictor import Predictor
from fer_jax.systems import build
from fer_jax.tasks import TASKS
from fer_jax.uncertainty.calibrators import Calibrator

_CLASSES = {
    "classification": ("joy", "fear", "rest"), "distribution": ("joy", "fear", "rest"),
    "action_units": ("AU01", "AU06", "AU12"), "dimensional": ("valence", "arousal"),
}  # fmt: skip
_ST_BLN = {"name": "st_bln", "widths": (4, 6)}
_STRIDED = {"name": "st_bln", "widths": (4, 4, 4, 4, 6), "dropout_place": "before"}
_STILL = {"name": "bilinear_cnn", "stages": ((4, 1), (6, 1)), "pixels": "symmetric",
          "pooling": "global", "batch_norm": True, "gray": True, "mirrored": True}  # fmt: skip
_STEPS = (0.1, 0.5, 0.9), (0.0, 0.4, 1.0)
CALIBRATORS = {
    "none": Calibrator(),
    "temperature": Calibrator("temperature", ((1.7,),)),
    "vector": Calibrator("vector", ((1.2, 0.8, 1.1), (0.3, -0.2, 0.1))),
    "isotonic": Calibrator("isotonic", _STEPS * 3),
}
_UNITS = tuple(Calibrator("temperature", ((t,),)) for t in (0.6, 1.3)), (Calibrator(),)

_VARIANCE = {"position": 900.0, "normalised_motion": 1e-3}  # pixels, eye distances

# Fields of `make`.
KINDS = {
    "st_bln": {"model": _ST_BLN, "features": "normalised_motion"},
    "st_bln_strided": {"model": _STRIDED, "frames": 9},
    "st_bln_units": {"model": _ST_BLN, "task": "action_units",
                     "calibration": {"predict": _UNITS[0] + _UNITS[1],
                                     "deterministic": _UNITS[1] + _UNITS[0]}},
    "st_bln_ensemble": {"model": _ST_BLN, "members": 3},
    "faces": {"model": _STILL, "task": "distribution", "frames": 1},
    "faces_ensemble": {"model": _STILL, "frames": 1, "members": 2},
    "dimensions": {"model": _STILL, "task": "dimensional", "frames": 1,
                   "calibration": None},
    "bilinear": {"model": _STILL | {"pooling": "bilinear", "batch_norm": False}, "frames": 1,
                 "calibration": {"predict": CALIBRATORS["isotonic"],
                                 "deterministic": CALIBRATORS["none"]}},
}  # fmt: skip
WITHOUT_DROPOUT = {"model": _ST_BLN | {"dropout": 0.0}}


def _variables(module, inputs, seed: int, variance: float) -> tuple[dict, dict]:
    """Random weights, with two kinds of statistics: every leaf matters to the outputs.

    Args:
      variance: of the inputs, which a network of landmarks normalises.
    """
    made = jax.jit(lambda key: module.init(key, inputs, train=False))(jax.random.key(seed))
    random = np.random.default_rng(seed)

    def weights(leaf):
        return (leaf + 0.1 * random.standard_normal(leaf.shape)).astype(np.float32)

    def statistics():
        found = jax.tree.map(
            lambda leaf: (leaf + 0.3 * random.random(leaf.shape)).astype(np.float32),
            made.get("batch_stats", {}),
        )
        if "data_norm" in found:
            found["data_norm"]["var"] *= variance
        return found

    return {
        "params": jax.tree.map(weights, made["params"]),
        "batch_stats": statistics(),
    }, statistics()


def make(
    model: dict, *, task: str = "classification", frames: int = 5, features: str = "position",
    members: int = 1, calibration: dict | None = CALIBRATORS,
) -> Predictor:  # fmt: skip
    """Makes a predictor, by way of a bundle on the disk."""
    classes, graph = _CLASSES[task], make_graph(100 * inner(MEAN_FACE))
    graph = Graph(graph.edges[::8], graph.reference_shape, graph.mode)
    module = build(model, len(classes), graph, frames)
    shape = (
        (1, frames, 12, 12, 3) if module.inputs == "frames" else (1, frames, len(graph.edges), 2)
    )
    if calibration is CALIBRATORS:
        calibration = {
            "predict": CALIBRATORS["vector"],
            "deterministic": CALIBRATORS["temperature"],
        }
    sizes = {"crop_size": 12, "prepared_size": 16} if module.inputs == "frames" else {}
    networks = [
        _variables(module, np.zeros(shape, np.float32), seed, _VARIANCE[features])
        for seed in range(members)
    ]
    with tempfile.TemporaryDirectory() as folder:
        Bundle(
            name="tiny", task=task, model=model, classes=classes,
            spec=InputSpec(frames, "uniform", features, graph, 1.0, **sizes),
            variables=networks[0][0], recalibrated_stats=networks[0][1],
            other_members=tuple(networks[1:]), threshold=_threshold(task, classes),
            trust=StoredTrust(calibration=calibration),
        ).write(pathlib.Path(folder))  # fmt: skip
        return load_model(folder)


def _threshold(task: str, classes):
    return (0.5,) * len(classes) if task == "action_units" else 0.5


@functools.cache
def predictor(kind: str) -> Predictor:
    """The predictor of a kind: each is made once."""
    return make(**KINDS[kind])


def random_clips(predictor: Predictor, count: int, seed: int = 1) -> np.ndarray:
    """Moving faces as landmarks, or noise as crops."""
    random, spec = np.random.default_rng(seed), predictor.spec
    if predictor.takes_crops:
        size = spec.prepared_size
        return random.integers(0, 256, (count, spec.frames, size, size, 3), np.uint8)
    noise = 2 * random.standard_normal((count, spec.frames, 68, 2))
    return (250 + 60 * MEAN_FACE + noise).astype(np.float32)


def output_name(predictor: Predictor) -> str:
    return "probabilities" if TASKS[predictor.task].has_probabilities else "values"
