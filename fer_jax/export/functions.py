"""A predictor as functions of arrays alone: what an ONNX file holds.

Masks of dropout are inputs, so that a function has no random numbers and the same masks give the
same numbers everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fer_jax import uncertainty
from fer_jax.data import model_inputs
from fer_jax.export import masks as masks_
from fer_jax.export.calibrate import calibrated
from fer_jax.predict.predictor import Predictor
from fer_jax.tasks import TASKS


class Input(NamedTuple):
    """What a model takes of each clip.

    Attributes:
      shape: for one clip, without the axis B.
      dtype: of NumPy.
    """

    shape: tuple[int, ...]
    dtype: type


def clip_inputs(predictor: Predictor) -> dict[str, Input]:
    """What a predictor takes of a clip, by name, see `Predictor.features`."""
    spec = predictor.spec
    landmarks = Input((spec.frames, 68, 2), np.float32)
    if not predictor.takes_crops:
        return {"landmarks": landmarks}
    frames = Input((spec.frames, spec.prepared_size, spec.prepared_size, 3), np.uint8)
    both = predictor.module.inputs == "faces"
    return {"frames": frames, **({"crop_landmarks": landmarks} if both else {})}


def blank_inputs(predictor: Predictor, clips: int):
    """Inputs of the network for B clips, all zeros; for shapes."""
    arrays = {
        name: jnp.zeros((clips, *each.shape), each.dtype)
        for name, each in clip_inputs(predictor).items()
    }
    return network_inputs(predictor, arrays)


def network_inputs(predictor: Predictor, clips: dict):
    """Makes what the network takes of clips, by the names of `clip_inputs`."""
    spec = predictor.spec
    return model_inputs.batch_inputs(
        clips, predictor.module, spec.graph.edges, spec.features, spec.crop_size
    )


def single_pass(predictor: Predictor) -> Callable:
    """Makes `(*clips) -> [B, C]`, what `Predictor.deterministic` gives."""
    networks = [predictor.recalibrated]
    if predictor.ensemble is not None:
        networks = _members(predictor, predictor.ensemble[1])

    def predict(*clips):
        inputs = network_inputs(predictor, dict(zip(clip_inputs(predictor), clips, strict=True)))
        logits = [predictor.module.apply(own, inputs, train=False) for own in networks]
        outputs = sum(map(TASKS[predictor.task].probabilities, logits)) / len(networks)
        return _calibrated(predictor, "deterministic", outputs)

    return predict


def mc_dropout(predictor: Predictor) -> Callable:
    """Makes `(*clips, *masks) -> ([B, C], [S, B, C])`, the calibrated mean and the samples.

    Masks are bool `[S, B, ...]`, see `masks.masks_of`; of an ensemble of M networks `[M, S, B,
    ...]`, and the samples are `[M * S, B, C]`. With `masks.drawn_masks` they are those of
    `Predictor.samples`.
    """
    networks, count = [predictor.variables], len(clip_inputs(predictor))
    if predictor.ensemble is not None:
        networks = _members(predictor, predictor.ensemble[0])

    def predict(*arrays):
        clips = dict(zip(clip_inputs(predictor), arrays[:count], strict=True))
        inputs, masks = network_inputs(predictor, clips), arrays[count:]
        own = [masks] if len(networks) == 1 else zip(*masks, strict=True)
        samples = [
            _samples(predictor, network, inputs, each)
            for network, each in zip(networks, own, strict=True)
        ]
        samples = samples[0] if len(samples) == 1 else jnp.concatenate(samples)
        return _calibrated(predictor, "predict", samples.mean(0)), samples

    return predict


def _members(predictor: Predictor, stacked) -> list[dict]:
    return [uncertainty.member(stacked, index) for index in range(predictor.members)]


def _samples(predictor: Predictor, variables, inputs, masks: Sequence[jax.Array]) -> jax.Array:
    """Probabilities, or values, `[S, B, C]` of one network.

    The part before the first dropout is computed once, where a model names it.
    """
    module, (samples, clips) = predictor.module, masks[0].shape[:2]
    options = {"train": False, "dropout": True}
    if hasattr(module, "before_dropout"):
        inputs = module.apply(variables, inputs, method=module.before_dropout)
        options = {"method": module.after_dropout, "dropout": True}

    def repeated(x: jax.Array) -> jax.Array:  # a vmap instead has no counterpart in jax2onnx
        return jnp.broadcast_to(x, (samples, *x.shape)).reshape(-1, *x.shape[1:])

    flat = [mask.reshape(-1, *mask.shape[2:]) for mask in masks]
    with masks_.given(flat):
        logits = module.apply(variables, jax.tree.map(repeated, inputs), **options)
    outputs = TASKS[predictor.task].probabilities(logits)
    return outputs.reshape(samples, clips, outputs.shape[-1])


def _calibrated(predictor: Predictor, use: str, outputs: jax.Array) -> jax.Array:
    stored = predictor.trust.calibration
    return outputs if stored is None else calibrated(outputs, stored[use])
