"""A deep ensemble: trained side by side, evaluated together, in one bundle; unfamiliar clips."""

import dataclasses
import json
import shutil

import jax
import numpy as np
import pandas as pd
import pytest
from flax import serialization

import fer_jax
from fer_jax import shipped, uncertainty
from fer_jax.data import load
from fer_jax.data.load import load_clips
from fer_jax.experiments.bundle import read_bundle
from fer_jax.experiments.setup import SetupError
from fer_jax.experiments.workdir import Workdir
from fer_jax.faces.quality import mean_turn
from fer_jax.predict.api import predict_clips
from fer_jax.synthetic.clips import make_clip
from fer_jax.synthetic.databases import EMBEDDED, Camera
from fer_jax.training.checkpoint import load_weights
from tests.finished_runs import epochs_of, landmarks_config, train
from tests.official_trees import write_openface

MEMBERS = 2
ONE_FOLD = {"protocol.name": "random_subjects", "train.epochs": 3}


@pytest.fixture(scope="module")
def ensemble(tmp_path_factory, prepared):
    workdir = tmp_path_factory.mktemp("ensemble")
    asked = {"uncertainty.members": MEMBERS, "uncertainty.familiarity": True}
    config = landmarks_config(prepared, **ONE_FOLD, **asked)
    metrics, shown = train(config, workdir)
    assert "2 runs side by side (1 fold, all members of their ensembles)" in shown
    return workdir, metrics, config


def test_first_member_is_the_network_without_an_ensemble(ensemble, prepared, tmp_path):
    workdir, _, _ = ensemble
    train(landmarks_config(prepared, **ONE_FOLD), tmp_path)
    alone, _ = load_weights(Workdir(tmp_path).weights("random"))
    first, _ = load_weights(Workdir(workdir).weights("random"))
    jax.tree.map(np.testing.assert_array_equal, first, alone)
    rows = [row for row in epochs_of(workdir) if row["fold"] == "random"]
    assert rows == epochs_of(tmp_path)
    assert json.loads((tmp_path / "model/model.json").read_text())["bundle_version"] == 3
    assert not (tmp_path / "model/weights-member1.msgpack").exists()


def test_report_is_of_all_members(ensemble):
    workdir, metrics, _ = ensemble
    assert metrics["members"] == MEMBERS
    report = (workdir / "report.md").read_text()
    assert "deep ensemble of 2 networks" in report and "failed_figures" not in metrics
    assert "![doubts](figures/doubts.png)" in report and (workdir / "figures/doubts.png").exists()
    results = [Workdir(workdir).load_result(name) for name in ("random", "random-member1")]
    samples = np.concatenate([each["evaluation_samples"] for each in results])
    assert [len(each["evaluation_samples"]) for each in results] == [4, 4]  # of 8 together
    table = pd.read_csv(workdir / "predictions.csv")
    summary = uncertainty.summarise(samples)
    np.testing.assert_allclose(table["entropy"], summary.entropy, atol=1e-5)
    np.testing.assert_allclose(table["mutual_information"], summary.mutual_information, atol=1e-5)
    assert np.ptp([each["evaluation_stored"] for each in results], 0).max() > 1e-3


def test_bundle_predicts_with_all_members(ensemble):
    workdir, _, _ = ensemble
    model = fer_jax.load_model(workdir / "model")
    assert model.members == MEMBERS
    clips = np.random.default_rng(0).normal(100, 10, (3, 4, 68, 2)).astype(np.float32)
    samples = model.samples(clips, mc_samples=6, seed=5)
    inputs, keys = model.features(clips), jax.random.split(jax.random.key(5), MEMBERS)
    weights = [load_weights(Workdir(workdir).weights(n)) for n in ("random", "random-member1")]
    expected = [
        uncertainty.sample(model.module, variables, inputs, key, mc_samples=3)
        for (variables, _), key in zip(weights, keys, strict=True)
    ]
    np.testing.assert_allclose(samples, np.concatenate(expected), rtol=2e-4, atol=1e-5)
    means = [
        jax.nn.softmax(model.module.apply({**variables, "batch_stats": stats}, inputs, train=False))
        for variables, stats in weights
    ]
    np.testing.assert_allclose(model.deterministic(clips), np.mean(means, 0), atol=1e-5)


def test_bundle_tells_unfamiliar_clips(ensemble, prepared, tmp_path):
    workdir, _, _ = ensemble
    model = fer_jax.load_model(workdir / "model")
    result = Workdir(workdir).load_result("random")
    assert "familiarity_points" not in Workdir(workdir).load_result("random-member1")
    scores, threshold = result["evaluation_unfamiliarity"], model.familiarity.threshold
    assert (scores <= threshold).mean() >= 0.9
    turns, limit = result["evaluation_unfamiliar_turns"], model.turns.threshold
    over = np.maximum(scores / threshold, turns / limit)
    assert (over <= 1 + 1e-6).mean() >= 0.9 and np.isclose(over, 1).any()
    clips = load_clips(prepared, 4, landmarks_config(prepared).data.frame_rule).landmarks
    noise = np.random.default_rng(0).normal(0, 40, clips.shape).astype(np.float32)
    assert (model.unfamiliarity(clips + noise) > 1).all()
    assert np.median(model.unfamiliarity(clips)) < 1


def test_bundle_tells_heads_that_turn_unlike_those_of_training(ensemble, prepared):
    model = fer_jax.load_model(ensemble[0] / "model")
    clips = load_clips(prepared, 4, landmarks_config(prepared).data.frame_rule).landmarks
    plain = dataclasses.replace(model, turns=None)
    below = dataclasses.replace(EMBEDDED, camera=Camera(yaw=25.0, pitch=15.0))
    faces = [make_clip(5, n, n, frames=4, database=below).landmarks for n in range(8)]
    faces = np.stack(faces).astype(np.float32)
    turned = model.turns.score(mean_turn(faces)) / model.turns.threshold
    assert (turned > 1).mean() > 0.8  # of heads of training few
    assert (model.turns.score(mean_turn(clips)) > model.turns.threshold).mean() < 0.3
    both = np.maximum(plain.unfamiliarity(faces), turned)
    np.testing.assert_allclose(model.unfamiliarity(faces), both, rtol=1e-6)
    scaled = model.unfamiliarity(clips * 2, frame_width=1000)  # pixels of a larger picture
    np.testing.assert_allclose(scaled, model.unfamiliarity(clips, frame_width=500), rtol=1e-3)
    assert dataclasses.replace(model, familiarity=None).unfamiliarity(clips) is None


TURNS = {
    "gone": ({}, None, "its file turns.msgpack is missing"),
    "older": ({"bundle_version": 3}, "turns.msgpack", "turns of the head are of bundles of"),
    "alone": ({"familiarity": False}, "turns.msgpack", "turns of the head are of bundles of"),
    "of features": ({}, "familiarity.msgpack", "angles, not yaw and pitch"),
}


@pytest.mark.parametrize("name", TURNS)
def test_turns_that_make_no_sense_are_refused(ensemble, tmp_path, name):
    bundle = shutil.copytree(ensemble[0] / "model", tmp_path / "model")
    changed, source, words = TURNS[name]
    info = bundle / "model.json"
    content = json.loads(info.read_text())
    assert content["bundle_version"] == 4 and content.pop("sha256")["turns.msgpack"]
    info.write_text(json.dumps(content | changed))
    kept = None if source is None else (bundle / source).read_bytes()
    (bundle / "turns.msgpack").unlink()
    if kept is not None:
        (bundle / "turns.msgpack").write_bytes(kept)
    with pytest.raises((ValueError, FileNotFoundError), match=words):
        fer_jax.load_model(bundle)


def test_turns_of_a_model_of_crops_are_refused(tmp_path, ensemble):
    turns = fer_jax.load_model(ensemble[0] / "model").turns
    faces = read_bundle(shipped.FOLDER / "faces")
    dataclasses.replace(faces, turns=turns).write(tmp_path)
    with pytest.raises(ValueError, match="turns of the head, but its model takes face crops"):
        fer_jax.load_model(tmp_path)


def test_bundle_without_turns_opens_as_before(ensemble, tmp_path):
    bundle = read_bundle(ensemble[0] / "model")
    dataclasses.replace(bundle, turns=None).write(tmp_path / "older")
    assert json.loads((tmp_path / "older/model.json").read_text())["bundle_version"] == 3
    assert not (tmp_path / "older/turns.msgpack").exists()
    assert fer_jax.load_model(tmp_path / "older").turns is None


def test_rows_of_unfamiliar_faces_abstain(ensemble, tmp_path):
    model = fer_jax.load_model(ensemble[0] / "model")
    frames = np.arange(30)
    points = make_clip(0, 1, 3, frames=30).landmarks
    file = tmp_path / "face.csv"
    write_openface(file, points, frame=frames + 1, timestamp=frames / 25, success=1)
    never = dataclasses.replace(model.familiarity, threshold=1e-6)
    for familiarity, reasons in ((None, {"", "ambiguous"}), (never, {"unfamiliar"})):
        own = dataclasses.replace(model, familiarity=familiarity)
        table = predict_clips(own, [file], mc_samples=4)
        assert set(table["reason"]) <= reasons and len(table)
    assert table["abstained"].all()


def test_clips_without_any_difference_have_no_familiarity(prepared, tmp_path, monkeypatch):
    clips = load.load_clips(prepared, 4, "ends")
    same = dataclasses.replace(clips, landmarks=np.broadcast_to(
        clips.landmarks[:1, :1], clips.landmarks.shape
    ))  # fmt: skip
    monkeypatch.setattr(load, "load_clips", lambda *arguments, **options: same)
    config = landmarks_config(prepared, **{"uncertainty.familiarity": True, "train.epochs": 1})
    with pytest.raises(SetupError, match=r"familiarity=True: \w+: the features do not vary"):
        train(config, tmp_path)


def test_cut_familiarity_is_refused(ensemble, tmp_path):
    bundle = shutil.copytree(ensemble[0] / "model", tmp_path / "model")
    file = bundle / "familiarity.msgpack"
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(ValueError, match="familiarity.msgpack is not as it was written"):
        fer_jax.load_model(bundle)


FAMILIARITY = {
    "no msgpack": (lambda arrays: b"nonsense", "familiarity.msgpack is no file of arrays"),
    "number": (lambda arrays: b"\x03", "familiarity.msgpack is no file of arrays: it holds a int"),
    "other width": (
        lambda arrays: {name: arrays[name][:-1] for name in ("centre", "directions")},
        "features, its model has",
    ),
    "no threshold": (lambda arrays: {"threshold": np.float64(np.inf)}, "has no threshold"),
    "threshold of nothing": (lambda arrays: {"threshold": np.float64(1e-300)}, "threshold above 0"),
    "rest of nothing": (lambda arrays: {"rest": np.float64(1e-300)}, "rest must be at least 0"),
}


@pytest.mark.parametrize("name", FAMILIARITY)
def test_familiarity_that_makes_no_sense_is_refused(ensemble, tmp_path, name):
    bundle = shutil.copytree(ensemble[0] / "model", tmp_path / "model")
    file, info = bundle / "familiarity.msgpack", bundle / "model.json"
    content = json.loads(info.read_text())
    content.pop("sha256")
    info.write_text(json.dumps(content))
    arrays = serialization.msgpack_restore(file.read_bytes())
    change, words = FAMILIARITY[name]
    changed = change(arrays)
    if isinstance(changed, dict):
        changed = serialization.msgpack_serialize(arrays | changed)
    file.write_bytes(changed)
    with pytest.raises(ValueError, match=words):
        fer_jax.load_model(bundle)


@pytest.mark.parametrize("change", ["gone", "other", "older"])
def test_damaged_ensemble_is_refused(ensemble, tmp_path, change):
    bundle = shutil.copytree(ensemble[0] / "model", tmp_path / "model")
    member, info = bundle / "weights-member1.msgpack", bundle / "model.json"
    if change == "gone":
        member.unlink()
        expected = "its file weights-member1.msgpack is missing"
    elif change == "other":
        shutil.copy(bundle / "weights.msgpack", member)
        expected = "weights-member1.msgpack is not as it was written"
    else:
        content = json.loads(info.read_text()) | {"bundle_version": 1}
        content.pop("sha256")
        info.write_text(json.dumps(content))
        expected = "bundles of version 1 have a single network"
    with pytest.raises((ValueError, FileNotFoundError), match=expected):
        fer_jax.load_model(bundle)


def test_ensemble_of_damaged_member_is_evaluated_again(ensemble, tmp_path):
    workdir, metrics, config = ensemble
    copy = shutil.copytree(workdir, tmp_path / "run")
    before = (copy / "predictions.csv").read_text()
    (copy / "folds/random-member1.npz").unlink()
    again, shown = train(config, copy)
    assert "done before: random\n" in shown
    assert (copy / "predictions.csv").read_text() == before
    assert again["inference_modes"] == metrics["inference_modes"]
    assert len(read_bundle(copy / "model").other_members) == MEMBERS - 1
