"""Any number of devices makes the same run: dropout, augmentation, BatchNorm and all."""

import dataclasses
import os
import pathlib
import pickle
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import base
from fer_jax.data import augment, model_inputs
from fer_jax.data.clips import Clips, Crops, take
from fer_jax.data.folds import Fold
from fer_jax.systems.fer_gcn.network import FERGCN
from fer_jax.systems.st_bln.network import STBLN
from fer_jax.tasks import TASKS
from fer_jax.training import evaluate, loop, parallel
from fer_jax.training.program import Run, create_train_states, make_program

ROOT = pathlib.Path(__file__).parents[2]


def trained(clips: Clips) -> dict[str, np.ndarray]:
    """Everything that a short run computes: with dropout, augmentation and an odd last batch."""
    config = base.get_config()
    config.train.batch_size = 16
    config.train.epochs = 3
    config.optimizer.learning_rate = 0.05
    indices = np.arange(len(clips))
    train, evaluated = indices[: len(clips) - 11], indices[len(clips) - 11 :]
    run = Run(Fold("fold00", train, evaluated), seed=5)
    module, change = networks(clips)

    def features(batch):
        return model_inputs.batch_inputs(batch, module, clips.graph.edges, crop_size=16)

    program = make_program(module, TASKS["classification"], config, features, [run.fold], change)
    inputs = jax.eval_shape(features, take(clips, indices[:1]))
    states = create_train_states(module, program.optimizer, inputs, [0])
    history = []
    *_, states = loop.train_epochs(program, states, clips, [run], loop.Schedule(3), [history])
    results, recalibrated = evaluate.make_evaluate(program, mc_samples=6)(
        states.variables, clips, [run], {"evaluation": [evaluated]}
    )
    leaves = {
        jax.tree_util.keystr(path): np.asarray(leaf)
        for path, leaf in jax.tree_util.tree_leaves_with_path((states.variables, recalibrated))
    }
    for name in ("train_loss", "train_accuracy", "evaluation_loss", "evaluation_accuracy"):
        leaves[name] = np.array([row[name] for row in history])
    (own,) = results["evaluation"]
    return {**leaves, **own, "devices": np.array(jax.device_count())}


def networks(clips: Clips):
    """A small model for landmarks or for crops, and the augmentation of its clips."""
    if clips.crops is None:

        def turn(key, clip):
            varied = augment.augment_clip(key, clip["landmarks"], noise=1.0, degrees=5.0)
            return clip | varied._asdict()

        return STBLN(classes=len(clips.classes), widths=(4,)), turn

    def change(key, clip):
        frames, landmarks = augment.augment_crops(
            key, clip["frames"], clip["crop_landmarks"], size=16, degrees=5.0
        )
        return {**clip, "frames": frames, "crop_landmarks": landmarks}

    frames = clips.crops.frames.shape[1]
    fields = {"features": 8, "modules": 1, "stages": ((4, 1),), "dropout": 0.2}
    return FERGCN(classes=len(clips.classes), frames=frames, **fields), change


CHILD = """
import pickle, sys
import numpy as np
from tests.training.test_parallel import trained
with open(sys.argv[1], "rb") as file:
    for seen, clips in pickle.load(file).items():
        np.savez(sys.argv[2] + seen, **trained(clips))
"""


def with_crops(clips: Clips) -> Clips:
    """Adds crops in which each class has another colour, under noise."""
    rng = np.random.default_rng(0)
    shape = (len(clips), clips.landmarks.shape[1], 20, 20, 3)
    frames = rng.integers(60, 140, shape)
    frames[np.arange(len(clips)), :, :, :, clips.labels] += 60
    points = rng.uniform(5, 15, (*shape[:2], 68, 2)).astype(np.float32)
    return dataclasses.replace(clips, crops=Crops(frames.astype(np.uint8), points))


@pytest.fixture(scope="module")
def run_of_eight(make_clips, tmp_path_factory):
    """Makes the runs of a process with eight devices, side by side with those of the tests."""
    clips = make_clips(subjects=6, clips_per_subject=10, noise=3.0)
    kinds = {"landmarks": clips, "crops": with_crops(clips)}
    folder = tmp_path_factory.mktemp("eight")
    (folder / "clips").write_bytes(pickle.dumps(kinds))
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=8"
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(folder / "clips"), f"{folder}/"],
        cwd=ROOT, env=os.environ | {"XLA_FLAGS": flags}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip

    def wait(seen):
        assert child.wait(timeout=300) == 0, child.stdout.read()
        return dict(np.load(folder / f"{seen}.npz"))

    yield kinds, wait
    child.kill()
    child.stdout.close()


@pytest.mark.parametrize("seen", ["landmarks", "crops"])
def test_eight_devices_make_the_run_of_one(run_of_eight, seen):
    kinds, wait = run_of_eight
    one = trained(kinds[seen])
    eight = wait(seen)
    assert (one.pop("devices"), eight.pop("devices")) == (jax.device_count(), 8)
    assert one.keys() == eight.keys()
    for name, value in one.items():
        np.testing.assert_allclose(eight[name], value, rtol=1e-3, atol=1e-3, err_msg=name)
    np.testing.assert_allclose(eight["train_loss"], one["train_loss"], rtol=1e-4)
    assert one["samples"].shape == (6, 11, 3)
    assert np.ptp(one["samples"], axis=0).max() > 0.01  # dropout was on
    assert one["train_loss"][-1] < one["train_loss"][0]


def test_split_and_join_are_inverse():
    batches = {"x": np.arange(72.0).reshape(3, 2, 4, 3), "y": np.arange(24).reshape(3, 2, 4)}
    parts = parallel.shard(batches)
    assert parts["x"].shape == (jax.local_device_count(), 3, 2, 4 // jax.device_count(), 3)
    joined = parallel.unshard(parts)
    np.testing.assert_array_equal(joined["x"], batches["x"].reshape(3, 8, 3))
    np.testing.assert_array_equal(joined["y"], np.arange(24).reshape(3, 8))


def test_devices_get_their_examples_in_order(monkeypatch):
    monkeypatch.setattr(jax, "device_count", lambda: 4)
    monkeypatch.setattr(jax, "local_device_count", lambda: 2)
    monkeypatch.setattr(jax, "process_index", lambda: 1)
    indices = np.arange(16).reshape(1, 2, 8)
    # The second of two processes: devices 2 and 3, the second half of every batch.
    own = parallel.own_examples({"x": indices, "none": None})
    assert own["x"].tolist() == [[[4, 5, 6, 7], [12, 13, 14, 15]]] and own["none"] is None
    assert parallel.shard(own)["x"].tolist() == [[[[4, 5], [12, 13]]], [[[6, 7], [14, 15]]]]


def test_split_of_an_odd_batch_names_the_field(monkeypatch):
    monkeypatch.setattr(jax, "device_count", lambda: 8)
    monkeypatch.setattr(jax, "local_device_count", lambda: 8)
    message = "batch of 12 clips cannot be shared by 8 devices: set --config.train.batch_size"
    with pytest.raises(ValueError, match=message):
        parallel.own_examples({"x": np.zeros((1, 1, 12))})


def test_steps_run_in_order_each_with_its_own_key():
    def step(state, batch, key):
        state = state * 2 + jax.lax.psum(batch.sum(), parallel.AXIS)
        return state, {"seen": state, "drawn": jax.random.uniform(key)}

    batches = np.arange(24.0, dtype=np.float32).reshape(3, 8)
    state, metrics = parallel.scan_steps(step)(
        jnp.ones(1), parallel.shard(batches[None]), jax.random.split(jax.random.key(0), (1, 3))
    )
    expected = 1.0
    for row, seen in zip(batches, metrics["seen"][0], strict=True):
        expected = expected * 2 + row.sum()
        assert float(seen) == expected
    assert float(state[0]) == expected
    assert len(set(np.asarray(metrics["drawn"][0]).tolist())) == 3


def test_map_batches_keeps_the_order_of_the_clips():
    mapped = parallel.map_batches(lambda scale, batch, key: batch * scale)
    batches = np.arange(32.0, dtype=np.float32).reshape(2, 2, 8)
    keys = jax.random.split(jax.random.key(0), 2)
    factors, first = jnp.array([3.0, 5.0]), jnp.zeros(2, int)
    joined = parallel.unshard(mapped(factors, parallel.shard(batches), keys, first))
    np.testing.assert_array_equal(joined[0], 3 * np.arange(16.0))
    np.testing.assert_array_equal(joined[1], 5 * np.arange(16.0, 32.0))


def test_map_batches_draws_by_the_number_of_a_batch():
    """A batch gets the same key whether it comes in the first call or in a later one."""
    mapped = parallel.map_batches(lambda _, batch, key: batch + jax.random.uniform(key))
    batches = np.zeros((1, 4, 8), np.float32)
    keys, none = jax.random.key(0)[None], jnp.zeros(1)
    at_once = parallel.unshard(mapped(none, parallel.shard(batches), keys, jnp.zeros(1, int)))
    later = parallel.unshard(mapped(none, parallel.shard(batches[:, 2:]), keys, jnp.full(1, 2)))
    np.testing.assert_array_equal(at_once[:, 16:], later)
    assert len(set(at_once[0].tolist())) == 4


def test_example_keys_do_not_depend_on_the_parts():
    key = jax.random.key(4)

    def draw(count):
        return jax.vmap(jax.random.uniform)(parallel.example_keys(key, count))

    drawn = [
        jax.vmap(lambda _, count=16 // parts: draw(count), axis_name=parallel.AXIS)(
            jnp.arange(parts)
        ).ravel()
        for parts in (1, 2, 8)
    ]
    np.testing.assert_array_equal(drawn[0], drawn[1])
    np.testing.assert_array_equal(drawn[0], drawn[2])
    assert len(set(np.asarray(drawn[0]).tolist())) == 16
