"""`python -m fer_jax.predict`: from a bundle and files to tables, videos and figures."""

import json
import shutil
import subprocess
import sys
import weakref

import cv2
import numpy as np
import pandas as pd
import pytest

import fer_jax
from fer_jax.commands.predict import main
from fer_jax.faces.landmarks import ALIGNED, FER2013
from fer_jax.predict.api import predict_clips, predict_frames
from fer_jax.predict.predictor import Predictor
from fer_jax.predict.windows import columns
from fer_jax.synthetic.clips import CLASSES, make_clip, render, write_video
from tests.bundles import CROPS, LANDMARKS, write_bundle

FPS = 25.0


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    path = tmp_path_factory.mktemp("bundle")
    return write_bundle(path, LANDMARKS, CLASSES, 0.5, rule="ends", seconds=0.8)


@pytest.fixture(scope="module")
def crop_bundle(tmp_path_factory):
    path = tmp_path_factory.mktemp("crop_bundle")
    return write_bundle(path, CROPS, CLASSES, 1.9, rule="middles", seconds=0.8)


@pytest.fixture(scope="module")
def clips(tmp_path_factory, face_video):
    """A folder with clips of every kind, and some that are none."""
    pytest.importorskip("dlib", reason="finding faces needs the extra: pip install .[preprocess]")
    folder = tmp_path_factory.mktemp("clips")
    clip = make_clip(0, 1, 3, frames=30, fps=FPS)
    frames = list(render(clip.true_landmarks, clip.identity))
    empty = [np.full_like(frames[0], 90)] * 30
    shutil.copy(face_video, folder / "face.mp4")
    write_video(folder / "leaves.mp4", frames + empty, FPS)
    write_video(folder / "sideways.mp4", [np.rot90(frame) for frame in frames], FPS)
    write_video(folder / "nobody.mp4", empty, FPS)
    whole = (folder / "face.mp4").read_bytes()
    (folder / "broken.mp4").write_bytes(whole[: len(whole) // 3])
    (folder / "frames").mkdir()
    for index, frame in enumerate(frames[:12]):
        bgr = cv2.cvtColor(frame, cv2.COLOR_RGB2BGR)
        cv2.imwrite(str(folder / "frames" / f"{index:03}.png"), bgr)
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
    options = ["--mc-samples", "8", "--out", str(out), *drawn]
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
        assert cv2.imread(str(tmp_path / "figures" / f"{name}_timeline.png")).shape[1] >= 270
    still, several = (
        cv2.imread(str(tmp_path / "figures" / f"{name}_timeline.png")).shape[0]
        for name in ("still", "leaves")
    )
    assert still > several + 80  # one window: the MC samples of each class stand below


def test_sideways_and_upright_agree(bundle, clips):
    predictor = fer_jax.load_model(bundle)
    paths = [clips / "face.mp4", clips / "sideways.mp4"]
    table = predict_clips(predictor, paths, mc_samples=8, say=lambda text: None)
    upright, turned = (table[table["clip"] == str(path)][list(CLASSES)] for path in paths)
    assert np.abs(upright.to_numpy() - turned.to_numpy()).max() < 0.1


def test_same_command_gives_the_same_numbers(bundle, clips):
    predictor = fer_jax.load_model(bundle)
    clip = clips / "openface.csv"
    first, again = (predict_clips(predictor, clip, mc_samples=8, seed=3) for _ in range(2))
    pd.testing.assert_frame_equal(first, again)
    other = predict_clips(predictor, clip, mc_samples=8, seed=4)
    assert (first["entropy"] != other["entropy"]).any()


# --- a model that looks at face crops ---------------------------------------------------------


def test_crops_from_clips_to_table_video_and_figure(crop_bundle, clips, tmp_path, capsys):
    good, bad = ("leaves.mp4", "frames", "still.png"), ("openface.csv", "nobody.mp4")
    paths = [str(clips / name) for name in (*bad, *good)]
    out = tmp_path / "table.json"
    drawn = ["--annotate", str(tmp_path / "videos"), "--figure", str(tmp_path / "figures")]
    assert main([str(crop_bundle), *paths, "--mc-samples", "8", "--out", str(out), *drawn]) == 0
    said = capsys.readouterr().err
    lines = [line for line in said.splitlines() if line.startswith("skipped")]
    assert len(lines) == 2 and "pictures of faces" in lines[0] and "nobody.mp4" in lines[1]
    assert "--width" not in said and "500 pixels" not in said  # that is about landmarks

    table = pd.DataFrame(json.loads(out.read_text()))
    assert list(table) == columns(CLASSES)
    assert table["clip"].unique().tolist() == [str(clips / name) for name in good]
    seen = table[table["frames"] > 0]
    np.testing.assert_allclose(seen[list(CLASSES)].astype(float).sum(axis=1), 1, atol=1e-6)
    assert (seen["mutual_information"].astype(float) > 0).all()
    assert table[table["clip"] == str(clips / "leaves.mp4")]["label"].iloc[-1] == "no face"
    for name, frames in (("leaves", 60), ("frames", 12)):
        capture = cv2.VideoCapture(str(tmp_path / "videos" / f"{name}_annotated.mp4"))
        assert sum(1 for _ in iter(lambda: capture.read()[0], False)) == frames  # noqa: B023
        assert cv2.imread(str(tmp_path / "figures" / f"{name}_timeline.png")).shape[1] >= 270


@pytest.mark.parametrize("framing", [ALIGNED, FER2013], ids=["aligned", "fer2013"])
def test_crops_are_cut_once_held_for_a_window_and_predicted_as_by_hand(
    framing, crop_bundle, clips, monkeypatch, tmp_path
):
    from fer_jax.faces.crop import cut_crop
    from fer_jax.faces.detector import landmark_model
    from fer_jax.faces.tracker import follow

    cut, held, seen, predict = [], [], [], Predictor.predict

    def counted(image, landmarks, *how):
        crop, points = cut_crop(image, landmarks, *how)
        cut.append(weakref.ref(crop))
        held.append(sum(one() is not None for one in cut))
        return crop, points

    def looked(self, clip, **options):
        seen.append(clip[0].copy())
        return predict(self, clip, **options)

    monkeypatch.setattr("fer_jax.faces.crop.cut_crop", counted)
    monkeypatch.setattr("fer_jax.predict.sources._AHEAD", 2)
    monkeypatch.setattr(Predictor, "predict", looked)
    bundle = shutil.copytree(crop_bundle, tmp_path / "model")
    info = json.loads((bundle / "model.json").read_text()) | {"framing": framing._asdict()}
    del info["sha256"]  # of the framing before
    (bundle / "model.json").write_text(json.dumps(info))
    predictor, path = fer_jax.load_model(bundle), clips / "face.mp4"
    options = {"mc_samples": 8, "seed": 2, "window": 0.4, "landmark_model": landmark_model()}
    table = predict_clips(predictor, path, **options, say=lambda text: None)
    np.testing.assert_allclose(table["start"], [0, 0.2, 0.4, 0.6, 0.8])

    frames = [(image, found[0].landmarks) for _, image, found in follow(path) if found]
    assert len(cut) == len(frames) == 30 and max(held) <= 12 + 2 + 2  # one is given, one made
    for index, row in table.iterrows():
        start = 5 * index
        chosen = start + predictor.select(np.ones(10, bool))
        clip = np.stack([cut_crop(*frames[each], 32, framing)[0] for each in chosen])
        np.testing.assert_array_equal(seen[index], clip)
        summary = predict(predictor, clip[None], mc_samples=8, seed=2)
        np.testing.assert_allclose(row[list(CLASSES)].astype(float), summary.mean[0], rtol=1e-6)
        assert row["entropy"] == pytest.approx(summary.entropy[0])
    assert (seen[0] != seen[-1]).any()  # the windows differ, so the above can fail
    assert ((clip[0] != cut_crop(*frames[chosen[0]], 32)[0]).mean() > 0.1) == (framing != ALIGNED)


def test_frames_in_memory_give_the_rows_of_their_clip(bundle, crop_bundle, clips):
    from fer_jax.faces.video import open_frames

    path = clips / "face.mp4"
    for model in (fer_jax.load_model(bundle), fer_jax.load_model(crop_bundle)):
        images = [image for _, image in open_frames(path)]
        rows = pd.DataFrame(predict_frames(model, images, fps=FPS, mc_samples=8))
        table = predict_clips(model, path, mc_samples=8, say=lambda text: None)
        pd.testing.assert_frame_equal(rows, table.drop(columns="clip"))
        one = next(predict_frames(model, images[15:16], mc_samples=8))
        assert one["frames"] == 1 and one["label"] in CLASSES


def test_as_a_module(bundle, clips, tmp_path):
    command = [sys.executable, "-m", "fer_jax.predict", str(bundle), str(clips / "openface.csv")]
    done = subprocess.run(
        [*command, "--mc-samples", "4", "--out", str(tmp_path / "t.csv")],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "openface.csv" in done.stdout
    assert len(pd.read_csv(tmp_path / "t.csv")) == 2


def test_real_videos(bundle, crop_bundle, real_data):
    # the long one, of many scenes, is read by tests/faces/test_tracker.py
    videos = sorted(path for path in (real_data / "videos").iterdir() if "cap12" not in path.name)
    said = []
    table = predict_clips(fer_jax.load_model(bundle), videos, mc_samples=4, say=said.append)
    skipped = [line for line in said if line.startswith("skipped")]
    assert len(skipped) == 1 and "corrupt_truncated_half" in skipped[0]
    assert table["clip"].nunique() == len(videos) - 1
    noface = table[table["clip"].str.contains("face_noface")]
    assert noface["label"].iloc[0] != "no face" and noface["label"].iloc[-1] == "no face"
    (video,) = (path for path in videos if "face_noface" in path.name)
    looked = predict_clips(fer_jax.load_model(crop_bundle), video, mc_samples=4)
    assert looked["label"].iloc[0] in CLASSES and looked["label"].iloc[-1] == "no face"
    assert looked["frames"].tolist() == noface["frames"].tolist()
