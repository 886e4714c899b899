"""The optimiser of a config: PyTorch's rules, decay, clipping, schedules."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from configs import base
from fer_jax.layers.build import is_kernel
from fer_jax.systems import SYSTEMS
from fer_jax.training import optimizer as training_optimizer
from tests.quick import quick


def make_optimizer(steps_per_epoch=4, epochs=5, **fields):
    """The optimiser of the base config with other fields."""
    config = base.get_config().optimizer
    config.update_from_flattened_dict(fields)
    return training_optimizer.make_optimizer(config, steps_per_epoch, epochs)


@pytest.mark.parametrize(
    ("fields", "name", "options"),
    [
        ({}, "SGD", {"momentum": 0.9, "weight_decay": 5e-4}),
        ({"nesterov": True}, "SGD", {"momentum": 0.9, "weight_decay": 5e-4, "nesterov": True}),
        ({"name": "adam", "weight_decay": 0.01}, "Adam", {"weight_decay": 0.01}),
    ],
    ids=["sgd", "nesterov", "adam"],
)
def test_optimizer_is_that_of_pytorch(fields, name, options):
    torch = pytest.importorskip("torch", reason="compares with PyTorch: pip install torch")
    optimizer = make_optimizer(**fields)
    ours = jnp.array([1.0, -2.0, 3.0])
    theirs = torch.nn.Parameter(torch.tensor([1.0, -2.0, 3.0]))
    reference = getattr(torch.optim, name)([theirs], lr=0.1, **options)
    state, update = optimizer.init(ours), quick(optimizer.update)
    for _ in range(5):
        updates, state = update(ours**3 / 10, state, ours)
        ours = optax.apply_updates(ours, updates)
        reference.zero_grad()
        ((theirs**4).sum() / 40).backward()
        reference.step()
    np.testing.assert_allclose(ours, theirs.detach(), rtol=1e-5)


@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_graph_matrices_may_be_frozen_at_first(name):
    params = {"layer1": {"S": jnp.ones((2, 3)), "H_v_kernel": jnp.ones((2, 3))}}
    optimizer = make_optimizer(steps_per_epoch=3, name=name, freeze_graph_epochs=2)
    state, update = optimizer.init(params), quick(optimizer.update)
    changed = []
    for _ in range(7):
        updates, state = update(jax.tree.map(jnp.ones_like, params), state, params)
        new = optax.apply_updates(params, updates)
        changed.append(jax.tree.map(lambda a, b: bool((a != b).any()), new, params)["layer1"])
        params = new
    assert [row["S"] for row in changed] == [False] * 6 + [True]
    assert all(row["H_v_kernel"] for row in changed)


def test_optimizer_state_of_the_default_recipe():
    """Checkpoints of earlier runs hold this structure."""
    params = {"conv": {"kernel": jnp.ones((2, 3)), "bias": jnp.ones(3)}}
    rule = optax.sgd(optax.constant_schedule(0.1), 0.9, nesterov=False)
    expected = optax.chain(optax.add_decayed_weights(5e-4), rule)
    optimizer = make_optimizer()
    states = [each.init(params) for each in (expected, optimizer)]
    assert jax.tree.structure(states[0]) == jax.tree.structure(states[1])
    gradient = jax.tree.map(lambda leaf: 0.3 * leaf, params)
    updates = [
        each.update(gradient, state, params)[0]
        for each, state in zip((expected, optimizer), states, strict=True)
    ]
    jax.tree.map(np.testing.assert_array_equal, *updates)


def one_update(params, gradient, **fields):
    optimizer = make_optimizer(**{"learning_rate": 1.0, "momentum": 0.0, **fields})
    return optimizer.update(gradient, optimizer.init(params), params)[0]


def test_decay_of_kernels_skips_biases_norms_and_graphs():
    names = {
        "conv": ("kernel", "bias"), "norm": ("scale", "bias"),
        "lstm": ("kernel", "recurrent", "bias"), "block": ("U", "A", "theta_kernel", "theta_bias"),
    }  # fmt: skip
    params = {part: {name: jnp.full((2,), 3.0) for name in own} for part, own in names.items()}
    gradient = jax.tree.map(jnp.zeros_like, params)
    for decay, kept in (("all", None), ("kernels", {"kernel", "recurrent", "theta_kernel"})):
        updates = one_update(params, gradient, decay=decay, weight_decay=0.5)
        for path, leaf in jax.tree_util.tree_leaves_with_path(updates):
            expected = -1.5 if kept is None or path[-1].key in kept else 0.0
            np.testing.assert_allclose(leaf, expected, err_msg=f"{decay} {path}")


def test_decay_of_kernels_takes_every_matrix_of_stc_nlstm():
    module = SYSTEMS["stc_nlstm"].network(classes=3, channels=(2, 2), hidden=2)
    inputs = jnp.zeros((1, 2, 16, 16, 3))
    params = jax.eval_shape(lambda: module.init(jax.random.key(0), inputs, train=False))["params"]
    matrices = jax.tree.map(lambda leaf: leaf.ndim > 1, params)
    decayed = jax.tree_util.tree_map_with_path(lambda path, _: is_kernel(path[-1].key), params)
    assert matrices == decayed and any(jax.tree.leaves(decayed))


def test_clipping_takes_the_gradient_with_its_decay():
    params = {"kernel": jnp.array([4.0, 0.0]), "bias": jnp.array([1.0])}
    gradient = {"kernel": jnp.array([1.0, 8.0]), "bias": jnp.array([4.0])}
    fields = {"weight_decay": 0.5, "decay": "kernels"}
    plain = one_update(params, gradient, **fields)
    np.testing.assert_allclose(plain["kernel"], [-3.0, -8.0])
    np.testing.assert_allclose(plain["bias"], [-4.0])
    clipped = one_update(params, gradient, **fields, clip_norm=5.0)
    for name in params:  # 3, 8 and 4 have the norm sqrt(89)
        np.testing.assert_allclose(clipped[name], plain[name] * 5 / 89**0.5, rtol=1e-6)
    loose = one_update(params, gradient, **fields, clip_norm=50.0)
    jax.tree.map(np.testing.assert_array_equal, loose, plain)


def rates(losses=(1.0,) * 20, **fields):
    """Learning rate of every step: SGD without momentum on a gradient of 1."""
    optimizer = make_optimizer(**{"momentum": 0.0, "weight_decay": 0.0, **fields})

    def step(state, loss):
        update, state = optimizer.update(jnp.ones(()), state, jnp.zeros(()), value=loss)
        return state, -update

    run = quick(lambda losses: jax.lax.scan(step, optimizer.init(jnp.zeros(())), losses)[1])
    return np.asarray(run(jnp.asarray(losses, jnp.float32)))


def test_plateau_schedule_follows_the_loss():
    """Epochs of 4 steps: their means fall once, then stay for 2 epochs, and for 2 more."""
    losses = [5.0, 3.0, 5.0, 3.0, *[2.0, 4.0] * 2, *[3.0] * 16]
    found = rates(losses, schedule="plateau", patience=2, lr_factor=0.5)
    np.testing.assert_allclose(found, [0.1] * 15 + [0.05] * 8 + [0.025], rtol=1e-6)


def test_schedules():
    np.testing.assert_allclose(rates(), 0.1, rtol=1e-6)
    cosine = rates(schedule="cosine")
    np.testing.assert_allclose(cosine, 0.05 * (1 + np.cos(np.pi * np.arange(20) / 20)), rtol=1e-4)
    warm = rates(warmup_epochs=2.0)
    np.testing.assert_allclose(warm[:9], [*(0.1 * np.arange(8) / 8), 0.1], rtol=1e-5, atol=1e-8)
    both = rates(schedule="cosine", warmup_epochs=2.0)
    assert both.argmax() == 8 and both[-1] < 0.01


def test_step_schedule():
    fields = {"schedule": "steps", "lr_factor": 0.01}
    by_epoch = rates(**fields, lr_milestones=(3,))  # 4 steps an epoch
    np.testing.assert_allclose(by_epoch, [0.1] * 12 + [0.001] * 8, rtol=1e-5)
    by_step = rates(**fields, lr_milestones=(3, 7), lr_milestone_unit="step")
    np.testing.assert_allclose(by_step, [0.1] * 3 + [1e-3] * 4 + [1e-5] * 13, rtol=1e-5)
    warm = rates(**fields, lr_milestones=(3,), warmup_epochs=1.0)
    np.testing.assert_allclose(warm, [0, 0.025, 0.05, 0.075, *by_epoch[4:]], rtol=1e-5)


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ("schedule", "'other' is unknown: use 'constant', 'cosine', 'steps' or 'plateau'"),
        ("name", "optimiser 'other' is unknown: use 'sgd' or 'adam'"),
        ("decay", "decay 'other' is unknown: use 'all' or 'kernels'"),
        ("lr_milestone_unit", "lr_milestone_unit 'other' is unknown: use 'epoch' or 'step'"),
    ],
)
def test_unknown_choices_are_named(field, words):
    with pytest.raises(ValueError, match=words):
        rates(**{"schedule": "steps", field: "other"})


def test_learning_rate_may_be_held():
    fields = {"schedule": "cosine", "momentum": 0.0, "weight_decay": 0.0}
    config = base.get_config().optimizer
    config.update_from_flattened_dict(fields)
    steps = {}
    for held_after in (None, 3):
        optimizer = training_optimizer.make_optimizer(config, 2, 4, held_after)
        params = jnp.zeros(())
        state, update = optimizer.init(params), quick(optimizer.update)
        steps[held_after] = []
        for _ in range(8):
            updates, state = update(jnp.ones(()), state, params)
            steps[held_after].append(-float(updates))
    np.testing.assert_allclose(steps[3][:7], steps[None][:7], rtol=1e-6)
    assert steps[3][7] == steps[3][6] > steps[None][7]
