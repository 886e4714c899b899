"""`python -m fer_jax.predict` from a bundle of action units to tables, videos and figures."""

import json

import cv2
import jax
import numpy as np
import pandas as pd
import pytest

import fer_jax
from fer_jax.commands.predict import main
from fer_jax.data.frame_selection import window_frames
from fer_jax.experiments.bundle import Bundle, InputSpec
from fer_jax.faces.landmarks import MEAN_FACE, centre, inner, make_graph
from fer_jax.predict.api import predict_clips, predict_frames
from fer_jax.predict.windows import columns
from fer_jax.synthetic.clips import ACTION_UNITS, make_clip, render
from fer_jax.systems import build

FPS, FRAMES = 25.0, 4
UNITS = tuple(f"AU{index:02d}" for index in ACTION_UNITS)


def make_bundle(path, model, inputs, **more):
    """A tiny untrained model: what it says is worth nothing, how it says it is tested here."""
    graph = make_graph(centre(inner(MEAN_FACE)) * 100)
    if inputs is None:
        inputs = np.zeros((1, FRAMES, len(graph.edges), 2), np.float32)
    module = build(model, len(UNITS), graph, frames=FRAMES)
    variables = jax.jit(lambda key: module.init(key, inputs, train=False))(jax.random.key(0))
    spec = InputSpec(FRAMES, "windows", "position", graph, FRAMES / FPS, **more)
    Bundle(
        name="tiny",
        task="action_units",
        model=model,
        classes=UNITS,
        spec=spec,
        variables=variables,
        recalibrated_stats=variables["batch_stats"],
        threshold=(0.5, None, *[0.5] * (len(UNITS) - 2)),
    ).write(path)
    return path


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    model = {"name": "st_bln", "widths": [4, 4]}
    return make_bundle(tmp_path_factory.mktemp("bundle"), model, None)


@pytest.fixture(scope="module")
def crop_bundle(tmp_path_factory):
    model = {"name": "fer_gcn", "stages": [[4, 1], [8, 1]], "features": 8, "dropout": 0.5}
    inputs = np.zeros((1, FRAMES, 28, 28, 3), np.float32)
    path = tmp_path_factory.mktemp("crop_bundle")
    return make_bundle(path, model, inputs, crop_size=28, prepared_size=32)


@pytest.fixture(scope="module")
def clip():
    return make_clip(0, 1, 3, frames=20, fps=FPS)


@pytest.fixture(scope="module")
def landmark_file(clip, tmp_path_factory):
    rows = {"frame": np.arange(1, 21), "timestamp": np.arange(20) / FPS, "success": 1}
    for axis, name in enumerate("xy"):
        rows |= {f"{name}_{i}": clip.landmarks[:, i, axis] for i in range(68)}
    rows = pd.DataFrame(rows)
    rows.loc[12:, "success"] = 0
    path = tmp_path_factory.mktemp("clips") / "openface.csv"
    rows.to_csv(path, index=False)
    return path


def test_action_units_from_landmarks_to_table_video_and_figure(
    bundle, landmark_file, tmp_path, capsys
):
    out, video, figure = (tmp_path / name for name in ("t.json", "v.mp4", "f.png"))
    drawn = ["--annotate", str(video), "--figure", str(figure)]
    options = ["--mc-samples", "6", "--stride", "0.04", "--out", str(out), *drawn]
    assert main([str(bundle), str(landmark_file), *options]) == 0
    said = capsys.readouterr()
    assert "not drawn" not in said.err
    assert f"no threshold for {UNITS[1]}," in said.err and "unsure, of 18" in said.out

    table = pd.DataFrame(json.loads(out.read_text()))
    assert list(table) == columns(UNITS, "action_units") and len(table) == 17
    np.testing.assert_allclose(table["end"], np.arange(4, 21) / FPS)
    assert table["frames"].tolist() == [4] * 9 + [3, 2, 1] + [0] * 5
    seen = table[table["frames"] > 0]
    chances = seen[[*UNITS]].to_numpy(float)
    assert ((chances > 0) & (chances < 1)).all()
    withheld = seen[[f"abstained_{unit}" for unit in UNITS]].to_numpy(bool)
    entropy = seen[[f"entropy_{unit}" for unit in UNITS]].to_numpy(float)
    limits = np.array([0.5, np.inf, *[0.5] * (len(UNITS) - 2)])
    assert (withheld == (entropy > limits)).all() and withheld.any() and not withheld.all()
    names = np.array(UNITS)
    for label, present in zip(seen["label"], (chances > 0.5) & ~withheld, strict=True):
        assert label == ("+".join(names[present]) or "none")
    assert set(seen["label"]) != {"none"}
    assert (table["label"] == "no face").tolist() == (table["frames"] == 0).tolist()

    capture = cv2.VideoCapture(str(video))
    assert sum(1 for _ in iter(lambda: capture.read()[0], False)) == 20
    assert cv2.imread(str(figure)).shape[1] >= 270  # 9 inches


def test_units_are_predicted_of_the_windows_that_were_trained_on(bundle, clip):
    """A row is what the model says of the training window that ends at the row's last frame."""
    model, images = fer_jax.load_model(bundle), render(clip.true_landmarks, clip.identity)
    rows = predict_frames(
        model, images, clip.landmarks, fps=FPS, stride=1 / FPS, mc_samples=6, seed=3
    )
    windows = clip.landmarks[window_frames(np.ones(20, bool), FRAMES)]
    for row, window in zip(rows, windows[FRAMES - 1 :], strict=True):
        said = model.predict(window[None], mc_samples=6, seed=3, frame_width=clip.frame_size[0])
        np.testing.assert_allclose([row[unit] for unit in UNITS], said.mean[0], rtol=1e-6)
        deviation = [row[f"std_{unit}"] for unit in UNITS]
        np.testing.assert_allclose(deviation, said.variance[0] ** 0.5, rtol=1e-6)


def test_units_of_crops(crop_bundle, landmark_file, clip):
    model = fer_jax.load_model(crop_bundle)
    assert predict_clips(model, landmark_file, say=lambda text: None).empty  # no pictures
    images = render(clip.true_landmarks, clip.identity)
    table = pd.DataFrame(predict_frames(model, images, clip.true_landmarks, fps=FPS, mc_samples=6))
    assert list(table) == columns(UNITS, "action_units")[1:]
    np.testing.assert_allclose(table["start"], np.arange(0, 17, 2) / FPS)
    assert table[[*UNITS]].std().max() > 1e-5
    assert (table[[f"std_{unit}" for unit in UNITS]] > 0).all(axis=None)
