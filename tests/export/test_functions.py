"""What an ONNX file computes is what the predictor computes, in JAX."""

import hypothesis.extra.numpy as arrays
import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_jax.export import functions
from fer_jax.export.calibrate import calibrated
from fer_jax.export.masks import drawn_masks, masks_of
from fer_jax.predict.load import load_model
from fer_jax.uncertainty.calibrators import apply_to_units
from tests.export.predictors import CALIBRATORS, KINDS, predictor, random_clips

CLOSE = {"rtol": 1e-6, "atol": 1e-6}


def drawn(model, clips: int, mc_samples: int, seed: int = 0):
    return drawn_masks(model, functions.blank_inputs(model, clips), mc_samples, seed)


@pytest.mark.parametrize("kind", KINDS)
def test_single_pass_is_deterministic(kind):
    model = predictor(kind)
    clips = random_clips(model, 2)
    found = jax.jit(functions.single_pass(model))(clips)
    np.testing.assert_allclose(found, model.deterministic(clips), **CLOSE)


@pytest.mark.parametrize("kind", KINDS)
def test_mc_dropout_with_the_drawn_masks_is_predict(kind):
    model = predictor(kind)
    clips, count = random_clips(model, 2), 3 * model.members
    masks = drawn(model, 2, count, seed=7)
    mean, samples = jax.jit(functions.mc_dropout(model))(clips, *masks)
    wanted = model.samples(clips, mc_samples=count, seed=7)
    np.testing.assert_allclose(samples, wanted, **CLOSE)
    np.testing.assert_allclose(mean, model.summarise(wanted).mean, **CLOSE)
    assert wanted.std(0).min() > 1e-4  # the masks matter


@pytest.mark.parametrize("kind", KINDS)
def test_masks_have_the_announced_shapes_and_rates(kind):
    model = predictor(kind)
    own = masks_of(model.module, model.variables, functions.blank_inputs(model, 1))
    masks = drawn(model, 4, 8 * model.members)
    assert len(own) == len(masks) == len(getattr(model.module, "widths", "1"))
    members = () if model.members == 1 else (model.members,)
    for each, mask in zip(own, masks, strict=True):
        assert mask.shape == (*members, 8, 4, *each.shape) and mask.dtype == bool
        kept = np.asarray(mask).mean()
        assert abs(kept - (1 - each.rate)) < 4 * (0.25 / mask.size) ** 0.5


@pytest.mark.parametrize("kind", ["faces", "st_bln_strided", "shipped"])
def test_functions_are_of_any_number_of_clips_and_samples(kind):
    model = load_model("faces") if kind == "shipped" else predictor(kind)  # whose layers are wide
    samples, clips = jax.export.symbolic_shape("S, B")
    (each,) = functions.clip_inputs(model).values()
    given = jax.ShapeDtypeStruct((clips, *each.shape), each.dtype)
    own = masks_of(model.module, model.variables, functions.blank_inputs(model, 1))
    masks = [jax.ShapeDtypeStruct((samples, clips, *mask.shape), bool) for mask in own]
    count = len(model.classes)
    assert jax.eval_shape(functions.single_pass(model), given).shape == (clips, count)
    mean, drawn = jax.eval_shape(functions.mc_dropout(model), given, *masks)
    assert (mean.shape, drawn.shape) == ((clips, count), (samples, clips, count))


def probabilities(shape):
    shares = arrays.arrays(np.float32, shape, elements=st.floats(0, 1, width=32))
    return shares.map(lambda own: (own + 1e-6) / (own + 1e-6).sum(-1, keepdims=True))


@pytest.mark.parametrize("method", CALIBRATORS)
@settings(deadline=None, max_examples=20)
@given(p=probabilities((4, 3)))
def test_calibrators_are_those_of_numpy(method, p):
    own = CALIBRATORS[method]
    np.testing.assert_allclose(calibrated(p, own), own.apply(p), **CLOSE)


@settings(deadline=None, max_examples=20)
@given(p=arrays.arrays(np.float32, (4, 3), elements=st.floats(0, 1, width=32)))
def test_calibrators_of_units_are_those_of_numpy(p):
    own = predictor("st_bln_units").trust.calibration["predict"]
    np.testing.assert_allclose(calibrated(p, own), apply_to_units(p, own), **CLOSE)


def test_certain_probabilities_stay_finite():
    p = np.eye(3, dtype=np.float32)
    for own in CALIBRATORS.values():
        np.testing.assert_allclose(calibrated(p, own), own.apply(p), **CLOSE)
