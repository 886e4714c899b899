"""The training loop: equal runs, resuming, padding, errors, sizes, overfitting."""

import dataclasses
import signal

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from configs import base
from fer_jax.data.clips import take
from fer_jax.data.folds import Fold
from fer_jax.data.model_inputs import model_inputs
from fer_jax.systems.st_bln.network import STBLN
from fer_jax.tasks import TASKS
from fer_jax.tasks.base import NonFiniteOutputError
from fer_jax.training import checkpoint, loop, parallel, program
from fer_jax.training.evaluate import make_evaluate, predict_logits
from tests.quick import quick

TASK = TASKS["classification"]


def small_config(**fields):
    config = base.get_config()
    config.train.batch_size = 8
    config.update_from_flattened_dict(fields)
    return config


class Setting:
    """One compiled program on tiny clips, shared by the tests of this file."""

    def __init__(self, clips, config, smallest=18, dropout=0.2, module=None):
        self.clips, self.traces = clips, 0
        self.folds = [Fold("fold00", np.arange(smallest), np.arange(smallest, len(clips)))]
        self.module = module or STBLN(classes=len(clips.classes), widths=(4, 6), dropout=dropout)
        self.program = program.make_program(self.module, TASK, config, self.features, self.folds)

    def features(self, batch):
        self.traces += 1  # runs only while JAX traces
        return model_inputs(batch["landmarks"], self.clips.graph.edges)

    def states(self, *seeds):
        inputs = np.zeros((1, 4, len(self.clips.graph.edges), 2))
        return program.create_train_states(
            self.module, self.program.optimizer, inputs, seeds or [0]
        )

    def fit(
        self, epochs, states=None, histories=None, trained=None, evaluated=None, seed=3,
        after_epoch=None, **options,
    ):  # fmt: skip
        indices = np.arange(len(self.clips))
        trained = indices[:18] if trained is None else trained
        evaluated = indices[18:] if evaluated is None else evaluated
        histories = [[]] if histories is None else histories
        states = self.states() if states is None else states
        runs = [program.Run(Fold("fold00", trained, evaluated), seed)]
        schedule = loop.Schedule(epochs, **options)
        for states in loop.train_epochs(  # noqa: B020
            self.program, states, self.clips, runs, schedule, histories
        ):
            if after_epoch is not None:
                after_epoch(states, histories)
        return states, histories[0]

    def logits(self, states, indices):
        return predict_logits(self.program, states.variables, self.clips, [indices])[0]


@pytest.fixture(scope="module")
def setting(make_clips):
    return Setting(make_clips(), small_config())


def without_speed(history):
    timed = ("clips_per_second", "seconds", "waited_for_clips")
    return [{k: v for k, v in row.items() if k not in timed} for row in history]


def assert_same(first, second):
    for ours, theirs in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def without_training(states, batches, keys):
    """In place of the compiled call: nothing changes."""
    return states, {name: np.zeros(keys.shape) for name in ("loss", "accuracy")}


def test_fit_depends_on_its_seed_alone(setting):
    first, rows = setting.fit(2)
    second, again = setting.fit(2)
    assert_same(first, second)
    assert without_speed(rows) == without_speed(again)
    assert [row["epoch"] for row in rows] == [1, 2]
    _, other = setting.fit(2, seed=4)
    assert without_speed(other) != without_speed(rows)


def test_train_epoch_draws_keys_by_epoch_and_seed(setting):
    keys = []

    def spy(states, batches, run_keys):
        keys.extend(map(tuple, jax.random.key_data(run_keys).reshape(-1, 2).tolist()))
        return without_training(states, batches, run_keys)

    spied = dataclasses.replace(setting.program, train=spy)
    runs = [program.Run(setting.folds[0], seed) for seed in (0, 1)]
    for epoch in (1, 2, 3):
        loop.train_epoch(spied, None, setting.clips, runs, epoch)
    assert len(set(keys)) == 12  # 2 runs, 3 epochs, 2 steps


def test_fit_of_runs_side_by_side_is_that_of_each_alone(setting, monkeypatch):
    clips = setting.clips
    indices = np.arange(24)
    folds = [
        Fold("fold00", indices[:18], indices[18:]),
        Fold("fold01", indices[6:], indices[:6]),
        Fold("all", indices, indices[:0]),
    ]
    rows, weights = [], []
    for seed, fold in enumerate(folds):
        states, history = setting.fit(
            2, states=setting.states(seed), trained=fold.train, evaluated=fold.evaluation, seed=seed
        )
        rows.append(without_speed(history))
        weights.append(program.unstack(states, 0))

    def batched(function):  # as on an accelerator
        return jax.vmap(function)

    for tolerance, map_runs in ((0, parallel.map_runs), (1e-4, batched)):
        monkeypatch.setattr(parallel, "map_runs", map_runs)
        monkeypatch.setattr(program, "MAX_CALL_BYTES", 1)  # one step a call
        together = Setting(clips, small_config())
        histories = [[] for _ in folds]
        runs = [program.Run(fold, seed) for seed, fold in enumerate(folds)]
        epochs = loop.train_epochs(
            together.program, together.states(*range(3)), clips, runs, loop.Schedule(2), histories
        )
        *_, states = epochs
        assert "evaluation_loss" not in histories[2][0]
        for index in range(3):
            for ours, theirs in zip(without_speed(histories[index]), rows[index], strict=True):
                assert ours == pytest.approx(theirs, rel=max(tolerance, 1e-6))
            for ours, theirs in zip(
                jax.tree.leaves(program.unstack(states, index)),
                jax.tree.leaves(weights[index]),
                strict=True,
            ):
                np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=max(tolerance, 1e-6))


def test_compile_ahead_measures_memory_by_runs(make_clips):
    setting = Setting(make_clips(), small_config(), module=Plain())
    needs = [
        program.compile_ahead(setting.program, setting.states(*range(count)), setting.clips)[1]
        for count in (1, 4)
    ]
    weights = sum(leaf.nbytes for leaf in jax.tree.leaves(setting.states(0)))
    assert needs[0] > weights and needs[1] >= needs[0] + 3 * weights


def test_shorter_last_call_changes_no_number(make_clips):
    """Seven steps in calls of five and two, and in one call."""
    clips, states, rows = make_clips(), [], []
    config = small_config(**{"train.batch_size": 2})
    for steps_at_most in (5, 7):
        setting = Setting(clips, config, smallest=14)
        limited = dataclasses.replace(setting.program, max_call_bytes=2 * steps_at_most)
        assert limited.steps == 7 and limited.steps_a_call(1, 7, 2) == steps_at_most
        setting.program, memory = program.compile_ahead(limited, setting.states(), clips)
        assert memory > 0
        trained, history = setting.fit(2, trained=np.arange(14), evaluated=np.arange(14, 24))
        states.append(jax.tree.map(np.asarray, trained))
        rows.append(without_speed(history))
    for ours, theirs in zip(*rows, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-5)
    for ours, theirs in zip(*map(jax.tree.leaves, states), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


def test_resume_repeats_the_uninterrupted_run(setting):
    seen = []
    whole, rows = setting.fit(
        4, after_epoch=lambda states, rows: seen.append((int(states.step[0]), len(rows[0])))
    )
    assert seen == [(setting.program.steps * epoch, epoch) for epoch in (1, 2, 3, 4)]
    half, history = setting.fit(2)
    half = jax.tree.map(np.asarray, half)  # as it comes from a checkpoint
    resumed, history = setting.fit(4, states=half, histories=[history])
    assert_same(whole, resumed)
    assert without_speed(history) == without_speed(rows)


def test_folds_share_one_compilation(setting):
    setting.fit(1)
    traces, indices = setting.traces, np.arange(24)
    setting.fit(1, trained=indices[5:], evaluated=indices[:5], seed=9)
    assert setting.traces == traces > 0


def test_fit_without_evaluation_clips_logs_no_evaluation(setting):
    _, history = setting.fit(1, evaluated=np.zeros(0, int))
    assert "evaluation_accuracy" not in history[0] and "train_loss" in history[0]


def test_fit_learns_two_kinds_of_motion(make_clips):
    clips = make_clips(classes=2, noise=0.3)
    config = small_config(**{"optimizer.learning_rate": 0.05})
    setting = Setting(clips, config, smallest=24, dropout=0.0)
    everything = np.arange(len(clips))
    state, history = setting.fit(25, trained=everything, evaluated=everything)
    assert history[-1]["train_accuracy"] == 1.0
    assert history[-1]["evaluation_accuracy"] == 1.0
    assert history[-1]["train_loss"] < 0.1 < history[0]["train_loss"]
    still = dataclasses.replace(clips, landmarks=clips.landmarks[:, :1].repeat(4, axis=1))
    setting.clips = still  # without motion the classes look the same
    logits = setting.logits(state, everything)
    assert np.mean(logits.argmax(-1) == clips.labels) < 0.8


def fit_and_stop(setting, folder, epochs, stop=None, every=100, number=None):
    """Trains with checkpoints every `every` epochs, cut after `stop`: what is said, the history."""

    def after_epoch(histories):
        if len(histories[0]) == stop and number:
            signal.raise_signal(number)
        elif len(histories[0]) == stop:
            raise KeyboardInterrupt

    said, files = [], loop.Files(folder / "checkpoints", folder / "log.jsonl", folder / "events")
    schedule = loop.Schedule(epochs, checkpoint_every_epochs=every)
    runs, states = [program.Run(setting.folds[0], 3)], setting.states()
    try:
        _, (history,) = loop.fit(
            setting.program, states, setting.clips, runs, schedule, files, after_epoch, said.append
        )
    except KeyboardInterrupt:
        history = None
    return said, history


def test_short_run_says_that_it_begins_anew(setting, tmp_path):
    said, _ = fit_and_stop(setting, tmp_path, 4, stop=2)
    assert not said and not (tmp_path / "checkpoints").exists()
    said, history = fit_and_stop(setting, tmp_path, 4)
    assert said == ["there was no checkpoint yet of fold00: training begins anew"]
    assert [row["epoch"] for row in history] == [1, 2, 3, 4]
    said, again = fit_and_stop(setting, tmp_path, 4)
    assert not said and again == history  # nothing is left to train


def test_checkpoints_are_saved_by_time_too(setting, tmp_path, monkeypatch):
    _, whole = fit_and_stop(setting, tmp_path / "whole", 4)
    monkeypatch.setattr(checkpoint, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(checkpoint, "_SAVING_SHARE", 1e9)
    fit_and_stop(setting, tmp_path, 4, stop=3)
    names = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert names == ["2.msgpack", "3.msgpack"]
    said, history = fit_and_stop(setting, tmp_path, 4)
    assert not said and without_speed(history) == without_speed(whole)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_the_epoch_and_saves_a_checkpoint(setting, tmp_path, number):
    before = signal.signal(number, signal.default_int_handler)
    try:
        _, history = fit_and_stop(setting, tmp_path, 4, stop=2, number=number)
    finally:
        signal.signal(number, before)
    (file,) = (tmp_path / "checkpoints").iterdir()
    assert history is None and file.name == "3.msgpack"
    said, history = fit_and_stop(setting, tmp_path, 4)
    assert not said and [row["epoch"] for row in history] == [1, 2, 3, 4]


def test_slow_checkpoints_are_saved_less_often(tmp_path, monkeypatch):
    saved, now = checkpoint.Checkpoints(tmp_path), [0.0]
    monkeypatch.setattr(checkpoint.time, "monotonic", lambda: saved._saved + now[0])
    for took, seconds in ((0.1, 60), (3.0, 60), (12.0, 240)):
        saved._took = took
        for now[0], overdue in ((seconds - 1, False), (seconds + 1, True)):
            assert saved.is_overdue() == overdue


# Padding


def test_predict_does_not_depend_on_the_padding(setting):
    state, _ = setting.fit(1)
    indices = np.arange(13)  # one whole batch of 8, five clips and three to fill
    logits = setting.logits(state, indices)
    assert logits.shape == (13, 3)
    inputs = model_inputs(setting.clips.landmarks[:13], setting.clips.graph.edges)
    own = program.unstack(state.variables, 0)
    direct = quick(lambda own, x: setting.module.apply(own, x, train=False))(own, inputs)
    np.testing.assert_allclose(logits, direct, rtol=1e-4, atol=1e-5)
    for index in (0, 12):
        alone = setting.logits(state, np.array([index]))
        np.testing.assert_allclose(alone[0], logits[index], rtol=1e-4, atol=1e-5)


class Plain(nn.Module):
    """Without BatchNorm and dropout the microbatches sum to the gradient of the whole batch."""

    axis_name: str | None = None

    @nn.compact
    def __call__(self, x, *, train, dropout=None):
        return nn.Dense(3)(nn.tanh(nn.Dense(5)(x.reshape(len(x), -1))))


def plain_batch():
    """Eight clips, two of which weigh nothing."""
    rng = np.random.default_rng(0)
    weight = np.array([1, 1, 1, 0, 1, 1, 0, 1], np.float32)
    x, label = rng.normal(size=(8, 4)).astype(np.float32), rng.integers(0, 3, 8)
    return {"x": x, "weight": weight, "label": label.astype(np.int32)}


def plain_step(batch, microbatches=1):
    """States and metrics of one step."""
    step = program.make_train_step(
        Plain(), TASK, optax.sgd(0.1), lambda batch: batch["x"], microbatches=microbatches
    )
    states = program.create_train_states(Plain(), optax.sgd(0.1), batch["x"], [0])
    batches = parallel.shard({name: leaf[None, None] for name, leaf in batch.items()})
    return parallel.scan_steps(step)(states, batches, jax.random.split(jax.random.key(1), (1, 1)))


def test_train_step_ignores_clips_of_weight_zero():
    batch = plain_batch()
    label = np.where(batch["weight"] > 0, batch["label"], (batch["label"] + 1) % 3)
    results = [plain_step(batch), plain_step({**batch, "label": label.astype(np.int32)})]
    assert_same(*results)
    _, metrics = plain_step({**batch, "weight": np.ones(8, np.float32)})
    assert metrics["loss"] != results[0][1]["loss"]


def test_loss_is_the_mean_over_the_weighted_clips():
    batch = plain_batch()
    states = program.create_train_states(Plain(), optax.sgd(0.1), batch["x"], [0])
    own = program.unstack(states.variables, 0)
    losses = optax.softmax_cross_entropy_with_integer_labels(
        Plain().apply(own, batch["x"], train=True), batch["label"]
    )
    expected = float((losses * batch["weight"]).sum() / batch["weight"].sum())
    assert float(plain_step(batch)[1]["loss"][0, 0]) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("count", [2, 4])
def test_train_step_of_microbatches_is_that_of_the_whole_batch(count):
    (whole, metrics), (divided, same_metrics) = (plain_step(plain_batch(), n) for n in (1, count))
    for ours, theirs in zip(jax.tree.leaves(whole), jax.tree.leaves(divided), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    for name, values in metrics.items():
        np.testing.assert_allclose(values, same_metrics[name], rtol=1e-5)


# Errors and sizes


def test_fit_with_a_nan_loss_names_step_batch_and_clips(setting):
    states, saved = setting.states(), []
    broken = states.replace(params=jax.tree.map(lambda leaf: leaf + jnp.inf, states.params))
    with pytest.raises(loop.NonFiniteLossError) as caught:
        setting.fit(5, broken, after_epoch=lambda states, histories: saved.append(1))
    text = str(caught.value)
    assert "the loss is nan at step" in text
    assert "of 2; its first clips: clip0" in text and "learning_rate" in text
    assert not saved  # the epoch that went wrong


def test_evaluation_names_the_clips_without_an_answer(setting):
    states = setting.states()
    stats = jax.tree.map(lambda leaf: leaf, states.batch_stats)
    stats["layer1"]["temporal_norm"]["mean"] += jnp.nan
    evaluate = make_evaluate(setting.program, 2)
    runs, part = [program.Run(setting.folds[0], 0)], [np.arange(18, 24)]
    evaluate(states.variables, setting.clips, runs, {"evaluation": part})
    message = "fold00, inference mode stored: .* for clip018, .*, clip022 and 1 more"
    with pytest.raises(NonFiniteOutputError, match=message):
        evaluate(
            {"params": states.params, "batch_stats": stats}, setting.clips, runs,
            {"evaluation": part},
        )  # fmt: skip


def test_check_finite_names_the_first_bad_step(make_clips):
    chosen, fold = np.arange(12).reshape(3, 4), Fold("fold07", np.arange(12), np.arange(0))
    loop.check_finite(np.array([1.0, 2.0, 3.0]), 2, chosen, make_clips(), fold)
    with pytest.raises(loop.NonFiniteLossError) as caught:
        loop.check_finite(np.array([1.0, np.inf, np.nan]), 2, chosen, make_clips(), fold)
    where = "step 5 (fold07, epoch 2, batch 2 of 3; its first clips: clip004, clip005"
    assert f"the loss is inf at {where}" in str(caught.value)


@pytest.mark.parametrize(
    ("batch_size", "repeats", "smallest", "expected"),
    [(8, 1, 18, (8, 2)), (64, 1, 18, (18, 1)), (8, 14, 18, (8, 31)), (5, 1, 5, (5, 1))],
)
def test_size_and_number_of_steps(make_clips, batch_size, repeats, smallest, expected):
    config = small_config(**{"train.batch_size": batch_size, "train.repeats_per_epoch": repeats})
    made = Setting(make_clips(), config, smallest).program
    assert (made.batch_size, made.steps) == expected


def test_too_few_clips_for_the_devices(make_clips, monkeypatch):
    monkeypatch.setattr(jax, "device_count", lambda: 8)
    with pytest.raises(ValueError, match="7 training clips are too few for 8 devices"):
        Setting(make_clips(), small_config(), smallest=7)


def test_repeats_draw_every_clip_equally_often(make_clips, monkeypatch):
    setting = Setting(make_clips(), small_config(**{"train.repeats_per_epoch": 4}))
    drawn = []
    monkeypatch.setattr(
        "fer_jax.data.clips.take",
        lambda clips, indices, *rest: drawn.append(indices) or take(clips, indices, *rest),
    )
    still = dataclasses.replace(setting.program, train=without_training)
    loop.train_epoch(still, None, setting.clips, [program.Run(setting.folds[0], 0)], 1)
    counts = np.bincount(drawn[0].ravel(), minlength=18)
    assert drawn[0].shape == (1, 9, 8) and (counts == 4).all()


def test_fixed_copies_are_each_seen_once_an_epoch(make_clips):
    fields = {"train.repeats_per_epoch": 14, "train.batch_size": 9}
    made = dataclasses.replace(
        Setting(make_clips(), small_config(**fields)).program, fixed_copies=True
    )
    run = program.Run(Fold("fold00", np.arange(3, 21), np.arange(3)), 0)
    first, second = (loop.epoch_clips(made, run, epoch) for epoch in (1, 2))
    for epoch in (first, second):
        pairs = set(zip(epoch.indices.flat, epoch.copies.flat, strict=True))
        assert pairs == {(clip, copy) for clip in range(3, 21) for copy in range(14)}
    assert (first.indices != second.indices).any()
    few = dataclasses.replace(made, repeats=7, steps=14)
    pairs = [
        set(zip(epoch.indices.flat, epoch.copies.flat, strict=True))
        for epoch in (loop.epoch_clips(few, run, epoch) for epoch in (1, 2))
    ]
    assert len(pairs[0] | pairs[1]) == 18 * 14
    assert set(np.bincount(first.copies.flat)) == {18}


@pytest.mark.parametrize("sizes", [(18, 20), (9, 24), (24, 24), (17, 3)])
def test_without_dropping_an_epoch_has_every_clip(make_clips, sizes):
    clips = make_clips()
    folds = [Fold(f"fold{n}", np.arange(size), np.arange(2)) for n, size in enumerate(sizes)]
    setting = Setting(clips, small_config(**{"train.drop_last": False}))
    made = program.make_program(
        setting.module, TASK, small_config(**{"train.drop_last": False}), setting.features, folds
    )
    assert made.steps == -(-max(sizes) // made.batch_size)
    runs, seen = [program.Run(fold, 0) for fold in folds], []

    def spy(states, batches, keys):
        seen.append(batches)
        return without_training(states, batches, keys)

    loop.train_epoch(dataclasses.replace(made, train=spy), None, clips, runs, 1)
    weight = np.concatenate([np.asarray(batch["weight"])[0] for batch in seen], 1)
    assert weight.sum((1, 2)).tolist() == list(sizes)
    assert (weight.sum(2) > 0).all()
    assert [made.clips_an_epoch(run) for run in runs] == list(sizes)


def test_padding_is_not_learnt_from(make_clips):
    """Two clips, padded by their own repeats, change the weights as the two alone do."""
    clips, two, places = make_clips(), np.array([3, 7]), (1, 1, -1)
    padded = np.resize(two, 8)
    weight = (np.arange(8) < 2).astype(np.float32)
    batches = (
        take(clips, two.reshape(places)),
        take(clips, padded.reshape(places), weight.reshape(places)),
    )
    states = []
    for batch in batches:
        setting = Setting(clips, small_config(), dropout=0.0)
        keys = jax.random.split(jax.random.key(0), (1, 1))
        own, metrics = setting.program.train(setting.states(), parallel.shard(batch), keys)
        states.append((own.params, {name: value[0, 0] for name, value in metrics.items()}))
    for alone, with_padding in zip(*map(jax.tree.leaves, states), strict=True):
        np.testing.assert_allclose(with_padding, alone, rtol=1e-3, atol=1e-5)


def test_microbatches_that_do_not_divide_a_batch_are_refused(make_clips):
    with pytest.raises(ValueError, match="microbatches=3 does not divide the 8 clips"):
        Setting(make_clips(), small_config(**{"train.microbatches": 3}))


@pytest.mark.parametrize("choice", ["none", "balanced"])
def test_balanced_classes_count_alike(make_clips, choice):
    """In an epoch of each run, the weights of its own training clips have the same sum by class."""
    clips, seen = make_clips(), []
    clips = dataclasses.replace(clips, labels=np.repeat([0, 1, 2], [12, 6, 6]).astype(np.int32))

    def train(states, batches, keys):
        seen.append((parallel.unshard(batches["label"]), parallel.unshard(batches["weight"])))
        return states, {name: np.ones(keys.shape[:2]) for name in ("loss", "accuracy")}

    setting = Setting(clips, small_config(**{"train.class_weights": choice}))
    watched = dataclasses.replace(setting.program, train=train)
    parts = np.arange(24), np.arange(4, 24)
    runs = [program.Run(Fold(f"fold{i}", own, own[:0]), i) for i, own in enumerate(parts)]
    loop.train_epoch(watched, None, clips, runs, 1)
    for labels, weight, own in zip(*seen[0], parts, strict=True):
        counts = np.bincount(clips.labels[own])
        expected = len(own) / 3 / counts if choice == "balanced" else np.ones(3)
        np.testing.assert_allclose(weight, expected[labels], rtol=1e-6)
