"""ONNX files of real conversions, run by onnxruntime; in an environment that has jax2onnx."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fer_jax import commands
from fer_jax.export import functions, onnx_file
from fer_jax.export.masks import drawn_masks
from fer_jax.predict.load import load_model
from fer_jax.uncertainty import prediction_sets
from fer_jax.zoo import ZOO
from tests.docs.pages import blocks
from tests.export.predictors import KINDS, output_name, predictor, random_clips

pytest.importorskip("jax2onnx", reason="jax2onnx is for an environment of its own: make onnx")
onnxruntime = pytest.importorskip("onnxruntime")

PAGE = "docs/export.md"
pytestmark = pytest.mark.filterwarnings("default")  # of the libraries


def open_file(file):
    return onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])


def properties(session) -> dict:
    return session.get_modelmeta().custom_metadata_map


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("masks", [False, True], ids=["single pass", "MC dropout"])
def test_file_gives_the_numbers_of_the_predictor(kind, masks, tmp_path):
    model, file = predictor(kind), tmp_path / "model.onnx"
    assert onnx_file.export(model, file, "any use", masks=masks) <= 1e-5
    session = open_file(file)
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]
    for count, mc_samples in ((1, 2), (5, 3)):  # of any number
        clips = random_clips(model, count)
        feed = {session.get_inputs()[0].name: clips}
        if not masks:
            (found,) = session.run([output_name(model)], feed)
            np.testing.assert_allclose(found, model.deterministic(clips), rtol=1e-5, atol=1e-5)
            continue
        mc_samples *= model.members
        blank = functions.blank_inputs(model, count)
        drawn = map(np.asarray, drawn_masks(model, blank, mc_samples, seed=3))
        names = [each.name for each in session.get_inputs()[1:]]
        feed |= zip(names, drawn, strict=True)
        mean, samples = session.run([output_name(model), "samples"], feed)
        wanted = model.samples(clips, mc_samples=mc_samples, seed=3)
        np.testing.assert_allclose(samples, wanted, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(mean, model.summarise(wanted).mean, rtol=1e-5, atol=1e-5)


def test_file_describes_the_model(tmp_path):
    file = tmp_path / "faces.onnx"
    assert commands.main(["export", "faces", "--onnx", str(file), "--mc-dropout"]) == 0
    session, model = open_file(file), load_model("faces")
    told = properties(session)
    assert told["terms"] == ZOO["faces"].terms
    assert tuple(json.loads(told["classes"])) == model.classes
    assert json.loads(told["threshold"]) == model.threshold
    assert json.loads(told["sets"]) == model.trust.sets.to_json()
    assert json.loads(told["dropout"]) == {"mask_1": model.module.dropout}
    assert json.loads(told["frames"]) == 1 and json.loads(told["calibrated"])
    shapes = {each.name: (each.shape, each.type) for each in session.get_inputs()}
    assert shapes == {
        "frames": (["B", 1, 48, 48, 3], "tensor(uint8)"),
        "mask_1": (["S", "B", 1, 192], "tensor(bool)"),
    }


def test_the_page_predicts_what_the_model_predicts(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = "".join(block.text for block in blocks(PAGE) if block.language == "bash").splitlines()
    exports = [line.split()[1:] for line in lines if "fer-jax export" in line]
    assert [commands.main(words) for words in exports] == [0, 0]
    names, code = {}, "".join(block.text for block in blocks(PAGE) if block.language == "python")
    assert "fer_jax" not in code  # NumPy and onnxruntime alone
    exec(code, names)
    model, crops = load_model("faces"), names["crops"]
    np.testing.assert_allclose(names["probabilities"], model.deterministic(crops), atol=1e-5)
    summary = model.summarise(names["samples"])
    np.testing.assert_allclose(names["mean"], summary.mean, atol=1e-5)
    np.testing.assert_allclose(names["mutual_information"], summary.mutual_information, atol=1e-5)
    np.testing.assert_allclose(names["spread"] ** 2, summary.variance, atol=1e-5)
    assert (names["abstains"] == (summary.entropy > model.threshold)).all()
    assert (names["sets"] == prediction_sets(summary.mean, model.trust.sets)).all()
    # masks of one's own are as good as those of JAX
    assert abs(summary.mean - model.predict(crops).mean).max() < 0.05


def unknown_to_onnx(made):
    return lambda *clips: made(*clips) + jax.lax.linalg.schur(jnp.eye(3))[0].sum()


def inexact(made):
    return lambda *clips: made(*clips) + 1e-4


@pytest.mark.parametrize(
    ("change", "said"),
    [(unknown_to_onnx, "jax2onnx cannot convert STBLN: "), (inexact, "differs by")],
)
def test_no_half_file_is_written(change, said, tmp_path, monkeypatch):
    model = predictor("st_bln")
    wrong = change(functions.single_pass(model))
    monkeypatch.setattr(functions, "single_pass", lambda model: wrong)
    with pytest.raises(onnx_file.ExportError, match=said):
        onnx_file.export(model, tmp_path / "model.onnx", "any use")
    assert not list(tmp_path.iterdir())
