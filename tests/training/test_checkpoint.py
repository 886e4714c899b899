"""Training checkpoints, the bundle and its errors; a bundle needs the core install only."""

import json
import os
import pathlib
import resource
import shutil
import subprocess
import sys

import jax
import numpy as np
import pytest
from flax import serialization

import fer_jax
from fer_jax.data.model_inputs import MOTION, model_inputs
from fer_jax.experiments import bundle as bundle_room
from fer_jax.experiments.bundle import Bundle, InputSpec, Record
from fer_jax.faces import landmarks
from fer_jax.faces.landmarks import ALIGNED, Framing
from fer_jax.machine import storage_error
from fer_jax.systems.st_bln.network import STBLN
from fer_jax.training import checkpoint
from tests.quick import quick
from tests.systems.toys import random_variables

ROOT = pathlib.Path(__file__).parents[2]
MODEL = {"name": "st_bln", "widths": [4, 6], "classes": 3, "dropout": 0.3}


@pytest.fixture(scope="module")
def variables(small_graph):
    module = STBLN(classes=3, widths=(4, 6), dropout=0.3)
    inputs = np.zeros((1, 4, len(small_graph.edges), 2), np.float32)
    return random_variables(module, inputs)


@pytest.fixture(scope="module")
def bundle(variables, small_graph, tmp_path_factory):
    path = tmp_path_factory.mktemp("bundles") / "model"
    Bundle(
        name="tiny",
        task="classification",
        model=MODEL,
        classes=("mouth", "brows", "eyes"),
        spec=InputSpec(4, "ends", "motion", small_graph, window_seconds=1.5),
        variables=variables,
        recalibrated_stats=jax.tree.map(lambda leaf: leaf + 0.5, variables["batch_stats"]),
        threshold=0.75,
        record=Record(metrics={"inference_modes": {}}, dataset={"name": "tiny", "clips": 24}),
    ).write(path)
    return path


def plain_bundle(variables, spec):
    stats = variables["batch_stats"]
    return Bundle("x", "classification", MODEL, ("a", "b", "c"), spec, variables, stats)


@pytest.fixture
def damaged(bundle, tmp_path):
    """A copy of the bundle, and a function that changes its model.json and drops the checksums."""
    for file in bundle.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())

    def change(**fields):
        info = json.loads((tmp_path / "model.json").read_text())
        info.pop("sha256", None)
        (tmp_path / "model.json").write_text(json.dumps(info | fields))
        return tmp_path

    return change


def assert_same(first, second):
    assert jax.tree.structure(first) == jax.tree.structure(second)
    for ours, theirs in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True):
        np.testing.assert_array_equal(ours, theirs)


# Checkpoints


def test_checkpoint_restores_state_and_history(tmp_path, variables):
    fresh = jax.tree.map(np.zeros_like, variables)
    checkpoints = checkpoint.Checkpoints(tmp_path / "fold")
    assert checkpoints.restore(fresh) == (fresh, [])
    rows = [{"epoch": 1, "train_loss": 0.1 + 0.2}, {"epoch": 2, "train_loss": 1e-17}]
    checkpoints.save(1, fresh, rows[:1])
    checkpoints.save(2, variables, rows)
    again = checkpoint.Checkpoints(tmp_path / "fold")
    state, history = again.restore(fresh)
    assert_same(state, variables)
    assert history == rows  # to the last bit
    checkpoints = checkpoint.Checkpoints(tmp_path / "fold")
    checkpoints.save(3, variables, rows)
    assert sorted(os.listdir(tmp_path / "fold")) == ["2.msgpack", "3.msgpack"]


def test_unfinished_checkpoint_is_ignored(tmp_path, variables):
    checkpoints = checkpoint.Checkpoints(tmp_path)
    checkpoints.save(1, variables, [{"epoch": 1}])
    (tmp_path / "2.partial.msgpack").write_bytes(b"to")  # what a kill leaves
    again = checkpoint.Checkpoints(tmp_path)
    assert again.restore(jax.tree.map(np.zeros_like, variables))[1] == [{"epoch": 1}]
    again.save(3, variables, [{"epoch": 3}])
    assert sorted(os.listdir(tmp_path)) == ["1.msgpack", "3.msgpack"]


def flipped(data, seed):
    data, rng = bytearray(data), np.random.default_rng(seed)
    data[rng.integers(len(data))] ^= 1 << rng.integers(8)
    return bytes(data)


@pytest.mark.parametrize("how", ["flip", "cut", "empty", "text"])
def test_earlier_checkpoint_is_taken_where_the_last_is_damaged(tmp_path, variables, how):
    rows = [{"epoch": 1, "train_loss": 0.3}, {"epoch": 2, "train_loss": 0.2}]
    fresh, said = jax.tree.map(np.zeros_like, variables), []
    early = jax.tree.map(np.ones_like, variables)
    checkpoints = checkpoint.Checkpoints(tmp_path / "whole")
    checkpoints.save(1, early, rows[:1])
    checkpoints.save(2, variables, rows)
    for seed in range(8):
        folder = shutil.copytree(tmp_path / "whole", tmp_path / f"{seed}")
        data = (folder / "2.msgpack").read_bytes()
        changed = {"flip": flipped(data, seed), "cut": data[: -1 - seed], "empty": b""}
        (folder / "2.msgpack").write_bytes(changed.get(how, b"no checkpoint"))
        checkpoints = checkpoint.Checkpoints(folder, said.append)
        state, history = checkpoints.restore(fresh)
        assert history == rows[:1]
        assert_same(state, early)
        checkpoints.save(2, variables, rows)
        assert_same(checkpoints.restore(fresh)[0], variables)
        (line,) = said
        assert line.startswith(f"the checkpoint {folder}/2.msgpack is damaged (")
        assert line.endswith("and is removed") and line.isprintable()
        said.clear()


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_earlier_checkpoint_is_taken_where_the_last_is_no_file(tmp_path, variables, make):
    checkpoints = checkpoint.Checkpoints(tmp_path)
    checkpoints.save(1, variables, [{"epoch": 1}])
    make(tmp_path / "2.msgpack")
    fresh = jax.tree.map(np.zeros_like, variables)
    state, history = checkpoint.Checkpoints(tmp_path).restore(fresh)
    assert history == [{"epoch": 1}]
    assert_same(state, variables)


def test_training_begins_anew_where_all_checkpoints_are_damaged(tmp_path, variables):
    checkpoints = checkpoint.Checkpoints(tmp_path / "fold")
    checkpoints.save(1, variables, [{"epoch": 1}])
    (tmp_path / "fold" / "1.msgpack").write_bytes(b"\xff")
    said, fresh = [], jax.tree.map(np.zeros_like, variables)
    checkpoints = checkpoint.Checkpoints(tmp_path / "fold", said.append)
    assert checkpoints.restore(fresh) == (fresh, [])
    assert len(said) == 2 and said[1].endswith("has no other checkpoint: training begins anew")
    checkpoints.save(1, variables, [{"epoch": 1}])


def test_checkpoint_that_cannot_be_written_is_one_line(tmp_path, variables):
    checkpoints = checkpoint.Checkpoints(tmp_path / "fold")
    checkpoints.save(1, variables, [{"epoch": 1}])
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, limit[1]))
    try:
        with pytest.raises(OSError) as caught:
            checkpoints.save(2, variables, [{"epoch": 1}, {"epoch": 2}])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    text = str(storage_error(caught.value))
    assert text.isprintable() and text.startswith(f"{tmp_path}/fold/2.msgpack: File too large: ")
    assert os.listdir(tmp_path / "fold") == ["1.msgpack"]
    again = checkpoint.Checkpoints(tmp_path / "fold")
    assert again.restore(jax.tree.map(np.zeros_like, variables))[1] == [{"epoch": 1}]


# Bundle


def test_load_model_restores_the_bundle(bundle, variables, small_graph):
    predictor = fer_jax.load_model(bundle)
    assert len(repr(predictor)) < 300 and predictor.name in repr(predictor)
    assert_same(predictor.variables, variables)
    assert_same(predictor.recalibrated["params"], variables["params"])
    mean = predictor.recalibrated["batch_stats"]["data_norm"]["mean"]
    np.testing.assert_array_equal(mean, variables["batch_stats"]["data_norm"]["mean"] + 0.5)
    assert predictor.classes == ("mouth", "brows", "eyes")
    assert (predictor.name, predictor.spec.frames, predictor.spec.frame_rule) == ("tiny", 4, "ends")
    assert predictor.spec.features == "motion"
    assert (predictor.spec.window_seconds, predictor.threshold) == (1.5, 0.75)
    np.testing.assert_array_equal(predictor.spec.graph.edges, small_graph.edges)
    np.testing.assert_array_equal(predictor.spec.graph.reference_shape, small_graph.reference_shape)
    assert predictor.module.dropout == 0.3 and tuple(predictor.module.widths) == (4, 6)
    assert predictor.record.dataset["clips"] == 24
    assert predictor.select(np.ones(10, bool)).tolist() == [0, 7, 8, 9]


def test_predictor_samples_and_summarises(bundle, make_clips, variables):
    predictor, clips = fer_jax.load_model(bundle), make_clips()
    summary = predictor.predict(clips.landmarks[:5], mc_samples=6)
    assert summary.mean.shape == (5, 3) and summary.entropy.shape == (5,)
    np.testing.assert_allclose(summary.mean.sum(-1), 1, rtol=1e-5)
    samples = predictor.samples(clips.landmarks[:5], mc_samples=6)
    np.testing.assert_allclose(samples.mean(0), summary.mean, rtol=1e-5)
    assert np.ptp(samples, axis=0).max() > 0
    np.testing.assert_array_equal(predictor.samples(clips.landmarks[:5], mc_samples=6), samples)
    assert (predictor.samples(clips.landmarks[:5], mc_samples=6, seed=1) != samples).any()
    # Dropout off goes with the recalibrated statistics, dropout on with those of training.
    plain = predictor.deterministic(clips.landmarks[:5])
    apply = quick(lambda own, x: predictor.module.apply(own, x, train=False))
    logits = apply(predictor.recalibrated, predictor.features(clips.landmarks[:5]))
    np.testing.assert_allclose(plain, jax.nn.softmax(logits, -1), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("features", MOTION)
def test_predictor_makes_features_as_in_training(damaged, make_clips, features):
    predictor, clips = fer_jax.load_model(damaged(features=features)), make_clips()
    landmarks = clips.landmarks[:3]
    expected = model_inputs(landmarks, clips.graph.edges, features=features)
    np.testing.assert_allclose(predictor.features(landmarks), expected, atol=1e-5)
    wide = predictor.features(landmarks * 2, frame_width=1000)
    np.testing.assert_allclose(wide, expected, atol=1e-4)


@pytest.mark.parametrize("shape", [(4, 68, 2), (1, 5, 68, 2), (1, 4, 51, 2)])
def test_wrong_landmarks_are_refused(bundle, shape):
    predictor = fer_jax.load_model(bundle)
    with pytest.raises(ValueError, match=r"tiny takes landmarks \[B, 4, 68, 2\], got \[.*select"):
        predictor.features(np.zeros(shape))
    with pytest.raises(ValueError, match="NaN"):
        predictor.features(np.full((1, 4, 68, 2), np.nan))


@pytest.mark.parametrize("file", ["model.json", "weights.msgpack"])
def test_missing_files_are_named(damaged, file):
    path = damaged()
    (path / file).unlink()
    for folder, name in ((path, file), (path / "nothing", "model.json")):
        message = f"not a model bundle .it holds no {name}.*model/ of a run"
        with pytest.raises(FileNotFoundError, match=message):
            fer_jax.load_model(folder)


@pytest.mark.parametrize("content", [b"", b"garbage", b"null", b"[" * 100_000, None])
@pytest.mark.parametrize("file", ["model.json", "weights.msgpack"])
def test_damaged_files_are_named(damaged, file, content):
    path = damaged()
    whole = (path / file).read_bytes()
    (path / file).write_bytes(whole[: len(whole) // 2] if content is None else content)
    with pytest.raises(ValueError, match="is damaged .*: copy it again"):
        fer_jax.load_model(path)


@pytest.mark.parametrize(
    "field", ["bundle_version", "model", "classes", "graph", "threshold", "features"]
)
def test_bundle_without_a_field_is_damaged(damaged, field):
    path = damaged()
    info = json.loads((path / "model.json").read_text())
    del info[field]
    (path / "model.json").write_text(json.dumps(info))
    with pytest.raises(ValueError, match=f"is damaged .*{field}"):
        fer_jax.load_model(path)


def test_newer_bundle_asks_for_an_update(damaged):
    newer = bundle_room.VERSION + 1
    path = damaged(bundle_version=newer)
    (path / "weights.msgpack").write_bytes(b"a new format")
    with pytest.raises(ValueError, match=rf"written by a newer fer_jax \(bundle {newer}\): update"):
        fer_jax.load_model(path)


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ({"name": "transformer"}, r"holds a model 'transformer'; .* knows \['agcn'"),
        ({"depth": 3}, "depth"),
    ],
)
def test_unknown_model_or_field_is_named(damaged, field, message):
    path = damaged(model={**MODEL, **field})
    with pytest.raises(ValueError, match=message):
        fer_jax.load_model(path)


CORE_ONLY = """
import sys

class Without:  # as if these packages were not installed
    def __init__(self, finder):
        self.finder = finder

    def __getattr__(self, name):
        return getattr(self.finder, name)

    def find_spec(self, name, *rest):
        if name.split(".")[0] in ("dlib", "tensorflow", "torch", "preprocess"):
            return None
        return self.finder.find_spec(name, *rest)

sys.meta_path[:] = [Without(finder) for finder in sys.meta_path]
try:
    import preprocess
except ModuleNotFoundError:
    print("core only")
import numpy as np
import fer_jax
predictor = fer_jax.load_model(sys.argv[1])
face = 60 * fer_jax.faces.landmarks.MEAN_FACE + 250
clip = np.stack([face] * predictor.spec.frames)[None]
print(predictor.predict(clip, mc_samples=4).mean.shape, predictor.deterministic(clip).shape)
"""


def test_bundle_needs_only_the_core_install(bundle):
    result = subprocess.run(
        [sys.executable, "-c", CORE_ONLY, str(bundle)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == ["core only", "(1, 3) (1, 3)"]


def test_weights_survive_their_file(tmp_path, variables):
    checkpoint.save_weights(tmp_path / "new" / "w.msgpack", variables, variables["batch_stats"])
    loaded, stats = checkpoint.load_weights(tmp_path / "new" / "w.msgpack")
    assert_same(loaded, variables)
    assert_same(stats, variables["batch_stats"])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("part", ["params", "batch_stats", "recalibrated_stats"])
def test_weights_that_are_no_numbers_are_refused_by_name(damaged, variables, value, part):
    folder = damaged()
    tree = {**variables, "recalibrated_stats": variables["batch_stats"]}
    tree = jax.tree.map(np.array, tree)
    name = "scale" if part == "params" else "mean"
    tree[part]["data_norm"][name][3] = value
    stats = tree.pop("recalibrated_stats")
    message = rf"1 of the \d+ weights .*{part}.*data_norm.*{name}.* are NaN or infinite"
    with pytest.raises(checkpoint.WeightsError, match=message):
        checkpoint.save_weights(folder / "weights.msgpack", tree, stats)
    flat = serialization.msgpack_serialize({**tree, "recalibrated_stats": stats})
    (folder / "weights.msgpack").write_bytes(flat)
    with pytest.raises(ValueError, match=message):
        fer_jax.load_model(folder)


def test_negative_variances_are_refused(damaged, variables):
    folder = damaged()
    tree = jax.tree.map(np.array, {**variables, "recalibrated_stats": variables["batch_stats"]})
    tree["batch_stats"]["data_norm"]["var"][0] = -1
    (folder / "weights.msgpack").write_bytes(serialization.msgpack_serialize(tree))
    with pytest.raises(ValueError, match="variances .*batch_stats.*data_norm.* are negative"):
        fer_jax.load_model(folder)


@pytest.mark.parametrize("dtype", [np.int8, bool, np.float64, np.complex64])
def test_weights_of_another_kind_are_refused_by_name(damaged, variables, dtype):
    folder = damaged()
    tree = jax.tree.map(np.array, {**variables, "recalibrated_stats": variables["batch_stats"]})
    tree["params"]["head"]["bias"] = tree["params"]["head"]["bias"].astype(dtype)
    (folder / "weights.msgpack").write_bytes(serialization.msgpack_serialize(tree))
    with pytest.raises(ValueError, match=rf"head.*bias.*{np.dtype(dtype)}"):
        fer_jax.load_model(folder)


def test_predictor_names_the_clip_without_an_answer(bundle, make_clips):
    clips = make_clips().landmarks[:3].copy()
    clips[1, 0, ::2] = 1e38  # finite, and too large for the network
    predictor = fer_jax.load_model(bundle)
    for predict in (predictor.deterministic, lambda x: predictor.predict(x, mc_samples=2)):
        with pytest.raises(ValueError, match="NaN or infinite for clip 1 of the batch$"):
            predict(clips)


def test_reference_graph_survives_the_bundle(tmp_path):
    graph = landmarks.make_graph(landmarks.inner(landmarks.MEAN_FACE), "reference")
    module = STBLN(classes=3, widths=(4, 6), dropout=0.3)
    inputs = np.zeros((1, 4, len(graph.edges), 2), np.float32)
    variables = random_variables(module, inputs)
    plain_bundle(variables, InputSpec(4, "ends", "position", graph, 1.0)).write(tmp_path)
    loaded = fer_jax.load_model(tmp_path)
    assert loaded.spec.graph.mode == "reference"
    assert loaded.spec.graph.edges.shape == graph.edges.shape
    assert loaded.threshold is None


def test_bundle_stores_the_framing_of_its_crops(variables, small_graph, tmp_path):
    own = Framing(3.25, 0.6, "eyes", 0.8)
    spec = InputSpec(4, "ends", "position", small_graph, window_seconds=1.0, framing=own)
    plain_bundle(variables, spec).write(tmp_path)
    assert fer_jax.load_model(tmp_path).spec.framing == own
    file = tmp_path / "model.json"
    info = json.loads(file.read_text())
    assert info.pop("framing") == own._asdict()
    del info["sha256"]
    file.write_text(json.dumps(info))  # as older programs wrote it
    assert fer_jax.load_model(tmp_path).spec.framing == ALIGNED


def test_weights_of_another_shape_are_named_leaf_by_leaf(damaged, bundle):
    folder = damaged()
    weights, stats = checkpoint.load_weights(bundle / "weights.msgpack")
    weights["params"]["head"]["kernel"] = np.zeros((9, 3), np.float32)
    del weights["params"]["layer1"]["temporal"]["bias"]
    checkpoint.save_weights(folder / "weights.msgpack", weights, stats)
    with pytest.raises(ValueError, match=r"missing .*layer1.*temporal.*bias.*head.*\(9, 3\)"):
        fer_jax.load_model(folder)


def test_bundle_thins_frames_as_training_did(bundle, tmp_path):
    bundle = shutil.copytree(bundle, tmp_path / "model")
    file = bundle / "model.json"
    info = json.loads(file.read_text())
    assert info["frames_per_second"] == 0.0
    del info["sha256"]
    file.write_text(json.dumps({**info, "frames_per_second": 10.0, "frame_rule": "last"}))
    chosen = fer_jax.load_model(bundle).select(np.ones(50, bool), np.arange(50) / 25)
    assert chosen.tolist() == [40, 43, 45, 48]  # the first frames of the last tenths of a second
