"""Converts a predictor to ONNX by jax2onnx, describes it in the file, and checks the numbers."""

from __future__ import annotations

import json
import logging
import pathlib
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

import fer_jax
from fer_jax import installation
from fer_jax.export import functions
from fer_jax.export.masks import Mask, drawn_masks, masks_of
from fer_jax.faces.landmarks import MEAN_FACE
from fer_jax.layers.build import has_dropout
from fer_jax.machine import write_whole
from fer_jax.predict.predictor import Predictor
from fer_jax.tasks import TASKS

OPSET = 18  # of the operators in the file: what runtimes of 2023 and later know
TOLERANCE = 1e-5  # of probabilities; of values above 1, a share of them
_CLIPS, _SAMPLES = 2, 3  # that a file is checked with; it is made for any number
_SIZES = "S, B"


class ExportError(ValueError):
    """A model has no ONNX file; the message says why."""


def export(predictor: Predictor, file: pathlib.Path, terms: str, *, masks: bool = False) -> float:
    """Writes an ONNX file whose numbers are those of the predictor.

    Args:
      predictor: of `fer_jax.load_model`.
      file: is replaced.
      terms: who may use the model for what, one line.
      masks: predicts by MC dropout, whose masks are inputs, see `functions.mc_dropout`; False:
        without dropout, see `functions.single_pass`.

    Returns:
      The largest difference between onnxruntime and the predictor on a few random clips.

    Raises:
      NotInstalledError: jax2onnx is not installed.
      ExportError: the model has no MC dropout; jax2onnx cannot convert it; the file would give
        other numbers. Nothing is written.
    """
    check_libraries()
    if masks:
        _check_dropout(predictor)
    import onnxruntime

    model = _converted(predictor, masks)
    _describe(model, predictor, terms, masks)
    try:
        content = model.SerializeToString()  # of 2 GB at most
        session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
        difference = _difference(predictor, session, masks)
    except Exception as error:  # of onnxruntime, many kinds
        raise ExportError(f"onnxruntime cannot run the converted model: {error}") from error
    if not difference <= TOLERANCE:
        raise ExportError(
            f"the converted model differs by {difference:.1g}, more than {TOLERANCE:g}: not written"
        )
    write_whole(file, content)
    return difference


def check_libraries() -> None:
    """Raises a NotInstalledError that says what to install, if a library is missing."""
    try:
        import jax2onnx  # noqa: F401
        import onnxruntime  # noqa: F401
    except ModuleNotFoundError as error:
        raise installation.NotInstalledError(
            f"{error.name} is not installed: {installation.how_to_install_onnx()}"
        ) from error


def _check_dropout(predictor: Predictor) -> None:
    if predictor.draws:
        raise ExportError(
            "the model predicts with draws from a posterior over its weights, not by MC dropout: "
            "export it without --mc-dropout"
        )
    if not has_dropout(predictor.module):
        raise ExportError("the model has no dropout: export it without --mc-dropout")


def _converted(predictor: Predictor, masks: bool):
    import jax2onnx

    logging.getLogger("onnx_ir.serde").setLevel(logging.ERROR)  # one warning for each shape
    try:
        function, inputs, outputs = _function(predictor, masks)
        return jax2onnx.to_onnx(
            function, list(inputs.values()), model_name=predictor.name, opset=OPSET,
            input_names=list(inputs), output_names=outputs,
        )  # fmt: skip
    except Exception as error:  # of the tracer or a converter, many kinds
        kind, line = type(predictor.module).__name__, str(error).strip().partition("\n")[0]
        raise ExportError(
            f"jax2onnx cannot convert {kind}: {type(error).__name__}: {line}"
        ) from error


def _function(predictor: Predictor, masks: bool) -> tuple[Callable, dict, list[str]]:
    """What is converted: the function, its inputs by name, and the names of its outputs."""
    samples, clips = jax.export.symbolic_shape(_SIZES)
    inputs = {
        name: jax.ShapeDtypeStruct((clips, *each.shape), each.dtype)
        for name, each in functions.clip_inputs(predictor).items()
    }
    if not masks:
        return functions.single_pass(predictor), inputs, [_output(predictor)]
    first = (samples, clips) if predictor.members == 1 else (predictor.members, samples, clips)
    own = _masks(predictor)
    for name, mask in zip(_mask_names(own), own, strict=True):
        inputs[name] = jax.ShapeDtypeStruct((*first, *mask.shape), jnp.bool_)
    return functions.mc_dropout(predictor), inputs, [_output(predictor), "samples"]


def _output(predictor: Predictor) -> str:
    return "probabilities" if TASKS[predictor.task].has_probabilities else "values"


def _masks(predictor: Predictor) -> tuple[Mask, ...]:
    blank = functions.blank_inputs(predictor, 1)
    return masks_of(predictor.module, predictor.variables, blank)


def _mask_names(masks) -> list[str]:
    return [f"mask_{index}" for index in range(1, len(masks) + 1)]


def _describe(model, predictor: Predictor, terms: str, masks: bool) -> None:
    """Adds what a user of the file must know, as text or JSON."""
    spec, trust = predictor.spec, predictor.trust.to_json()
    properties = {
        "made_by": f"fer_jax {fer_jax.__version__}",
        "terms": terms,
        "task": predictor.task,
        "classes": list(predictor.classes),
        "frames": spec.frames,
        "frame_rule": spec.frame_rule,
        "frames_per_second": spec.frames_per_second,
        "window_seconds": spec.window_seconds,
        "calibrated": predictor.trust.calibration is not None,
        "dataset": predictor.record.dataset,
    }
    if predictor.takes_crops:
        properties["framing"] = spec.framing._asdict()
    if masks:  # what follows is of the mean over MC samples
        own = _masks(predictor)
        rates = dict(zip(_mask_names(own), (mask.rate for mask in own), strict=True))
        properties |= {"dropout": rates, "threshold": predictor.threshold}
        properties |= {"sets": trust.get("sets"), "promise": trust.get("promise")}
    for name, value in properties.items():
        if value is not None:
            text = value if isinstance(value, str) else json.dumps(value)
            model.metadata_props.add(key=name, value=text)
    model.producer_name, model.producer_version = "fer_jax", fer_jax.__version__


def _difference(predictor: Predictor, session, masks: bool) -> float:
    """The largest difference to the predictor; of values above 1, as a share of them."""
    feed = _random_clips(predictor)
    clips = feed if len(feed) > 1 else next(iter(feed.values()))
    if masks:
        blank = functions.blank_inputs(predictor, _CLIPS)
        drawn = drawn_masks(predictor, blank, _SAMPLES * predictor.members)
        feed |= zip(_mask_names(drawn), map(np.asarray, drawn), strict=True)
        samples = predictor.samples(clips, mc_samples=_SAMPLES * predictor.members)
        wanted = [predictor.summarise(samples).mean, samples]
    else:
        wanted = [predictor.deterministic(clips)]
    found = session.run(None, feed)
    pairs = zip(found, wanted, strict=True)
    return max(float((abs(a - b) / np.maximum(abs(b), 1)).max()) for a, b in pairs)


def _random_clips(predictor: Predictor) -> dict[str, np.ndarray]:
    """Noise as crops, a moving face as landmarks."""
    random, clips = np.random.default_rng(0), {}
    for name, each in functions.clip_inputs(predictor).items():
        shape = (_CLIPS, *each.shape)
        if name == "frames":
            clips[name] = random.integers(0, 256, shape, each.dtype)
        else:
            side = predictor.spec.prepared_size or 250
            face = side / 2 + side / 4 * MEAN_FACE
            clips[name] = (face + side / 100 * random.standard_normal(shape)).astype(each.dtype)
    return clips
