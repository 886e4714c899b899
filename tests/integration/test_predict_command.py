"""`python -m fer_jax.predict` from a bundle and real files to tables, videos and figures."""

import json
import subprocess
import sys

import cv2
import jax
import numpy as np
import pandas as pd
import pytest

import fer_jax
from fer_jax.checkpoint import save_bundle
from fer_jax.landmarks import MEAN_FACE, centre, inner, make_graph
from fer_jax.models import MODELS
from fer_jax.predict import main, predict_clips
from fer_jax.synthetic import CLASSES, make_clip, render, write_video
from fer_jax.windows import columns

FPS = 25.0


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """A tiny untrained model: what it says is worth nothing, how it says it is tested here."""
    path = tmp_path_factory.mktemp("bundle")
    graph = make_graph(centre(inner(MEAN_FACE)) * 100)
    model = {"name": "st_bln", "classes": len(CLASSES), "widths": [4, 4]}
    module = MODELS["st_bln"](classes=len(CLASSES), widths=(4, 4))
    inputs = np.zeros((1, 4, len(graph.edges), 2), np.float32)
    variables = module.init(jax.random.key(0), inputs, train=False)
    save_bundle(
        path, name="tiny", model=model, variables=variables,
        recalibrated_stats=variables["batch_stats"], classes=CLASSES, frames=4, frame_rule="ends",
        features="position",
        graph=graph, window_seconds=0.8, threshold=0.5,
    )  # fmt: skip
    return path


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """A folder with clips of every kind, and some that are none."""
    pytest.importorskip("dlib", reason="finding faces needs the extra: pip install .[preprocess]")
    folder = tmp_path_factory.mktemp("clips")
    clip = make_clip(0, 1, 3, frames=30, fps=FPS)
    frames = list(render(clip.true_landmarks, clip.identity))
    empty = [np.full_like(frames[0], 90)] * 30
    write_video(folder / "face.mp4", frames, FPS)
    write_video(folder / "leaves.mp4", frames + empty, FPS)
    write_video(folder / "sideways.mp4", [np.rot90(frame) for frame in frames], FPS)
    write_video(folder / "nobody.mp4", empty, FPS)
    whole = (folder / "face.mp4").read_bytes()
    (folder / "broken.mp4").write_bytes(whole[: len(whole) // 3])
    (folder / "frames").mkdir()
    for number, frame in enumerate(frames[:12]):
        bgr = cv2.cvtColor(frame, cv2.COLOR_RGB2BGR)
        cv2.imwrite(str(folder / "frames" / f"{number:03}.png"), bgr)
    cv2.imwrite(str(folder / "still.png"), cv2.cvtColor(frames[15], cv2.COLOR_RGB2BGR))
    rows = {"frame": np.arange(1, 31), "timestamp": np.arange(30) / FPS, "success": 1}
    for axis, name in enumerate("xy"):
        rows |= {f"{name}_{i}": clip.landmarks[:, i, axis] for i in range(68)}
    pd.DataFrame(rows).to_csv(folder / "openface.csv", index=False)
    return folder


def test_every_kind_of_clip(bundle, clips, tmp_path, capsys):
    good = ("face.mp4", "leaves.mp4", "sideways.mp4", "frames", "still.png", "openface.csv")
    bad = ("nobody.mp4", "broken.mp4", "missing.mp4")
    paths = [str(clips / name) for name in (*bad, *good)]
    out = tmp_path / "table.json"
    drawn = ["--annotate", str(tmp_path / "videos"), "--figure", str(tmp_path / "figures")]
    options = ["--passes", "8", "--out", str(out), *drawn]
    assert main([str(bundle), *paths, *options]) == 0
    said = capsys.readouterr().err
    lines = [line for line in said.splitlines() if line.startswith("skipped")]
    assert len(lines) == len(bad)
    assert all(name in line for name, line in zip(bad, lines, strict=True))
    assert "270 degrees" in said or "90 degrees" in said
    assert "still image" in said

    table = pd.DataFrame(json.loads(out.read_text()))
    assert list(table) == columns(CLASSES)
    assert table["clip"].unique().tolist() == [str(clips / name) for name in good]
    seen = table[table["frames"] > 0]
    np.testing.assert_allclose(seen[list(CLASSES)].astype(float).sum(axis=1), 1, atol=1e-6)
    assert (seen["label"] == seen[list(CLASSES)].astype(float).idxmax(axis=1)).all()
    assert (seen["abstained"] == (seen["entropy"] > 0.5)).all()
    face = table[table["clip"] == str(clips / "face.mp4")]
    np.testing.assert_allclose(face["start"], [0, 0.4])
    np.testing.assert_allclose(face["end"], [0.8, 1.2])
    assert (face["frames"] >= 18).all()
    leaves = table[table["clip"] == str(clips / "leaves.mp4")]
    assert leaves["label"].iloc[-1] == "no face" and leaves["frames"].iloc[-1] == 0

    for name, frames in (("face", 30), ("leaves", 60), ("sideways", 30), ("openface", 30)):
        capture = cv2.VideoCapture(str(tmp_path / "videos" / f"{name}_annotated.mp4"))
        count = sum(1 for _ in iter(lambda: capture.read()[0], False))  # noqa: B023
        assert count == frames, name
        assert cv2.imread(str(tmp_path / "figures" / f"{name}_timeline.png")).shape[1] > 1000


def test_sideways_and_upright_agree(bundle, clips):
    predictor = fer_jax.load_model(bundle)
    paths = [clips / "face.mp4", clips / "sideways.mp4"]
    table = predict_clips(predictor, paths, passes=8, say=lambda text: None)
    upright, turned = (table[table["clip"] == str(path)][list(CLASSES)] for path in paths)
    assert np.abs(upright.to_numpy() - turned.to_numpy()).max() < 0.1


def test_the_same_command_gives_the_same_numbers(bundle, clips):
    predictor = fer_jax.load_model(bundle)
    clip = clips / "openface.csv"
    first, again = (predict_clips(predictor, clip, passes=8, seed=3) for _ in range(2))
    pd.testing.assert_frame_equal(first, again)
    other = predict_clips(predictor, clip, passes=8, seed=4)
    assert (first["entropy"] != other["entropy"]).any()


def test_as_a_module(bundle, clips, tmp_path):
    command = [sys.executable, "-m", "fer_jax.predict", str(bundle), str(clips / "openface.csv")]
    done = subprocess.run(
        [*command, "--passes", "4", "--out", str(tmp_path / "t.csv")],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "openface.csv" in done.stdout
    assert len(pd.read_csv(tmp_path / "t.csv")) == 2


@pytest.mark.slow
def test_real_videos(bundle, real_data, tmp_path):
    videos = sorted((real_data / "videos").iterdir())
    said = []
    table = predict_clips(fer_jax.load_model(bundle), videos, passes=4, say=said.append)
    skipped = [line for line in said if line.startswith("skipped")]
    assert len(skipped) == 1 and "corrupt_truncated_half" in skipped[0]
    assert table["clip"].nunique() == len(videos) - 1
    noface = table[table["clip"].str.contains("face_noface")]
    assert noface["label"].iloc[0] != "no face" and noface["label"].iloc[-1] == "no face"
