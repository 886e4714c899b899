"""DenseNet: one function with a PyTorch mirror of torchvision's structure, frames as examples."""

import copy
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fer_jax import uncertainty
from fer_jax.systems import SYSTEMS, build
from fer_jax.systems.stc_nlstm.densenet import DenseNet, mean_over_frames, mean_pool_2

torch = pytest.importorskip("torch", reason="compares with PyTorch: pip install torch")

from benchmarks.torch_mirrors import densenet as mirrors  # noqa: E402
from benchmarks.torch_mirrors.weights import load  # noqa: E402

SMALL = {"blocks": (2, 3), "growth": 3, "initial": 5}  # odd numbers of channels to halve


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Arrays here are small: threads that wait for each other on a busy machine cost most."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def clips(count, frames, size, seed=1):
    shape = (count, frames, size, size, 3)
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def shapes_of(model):
    inputs = jax.ShapeDtypeStruct((1, 1, 32, 32, 3), jnp.float32)
    return jax.eval_shape(functools.partial(model.init, train=False), jax.random.key(0), inputs)


def random_variables(model, seed=0):
    """Weights that keep the scale of the activations, and BatchNorms that have seen something."""
    rng = np.random.default_rng(seed)

    def fill(path, leaf):
        if path[-1].key in ("mean", "bias"):
            values = rng.normal(0, 0.1, leaf.shape)
        elif path[-1].key in ("var", "scale"):
            values = rng.uniform(0.5, 1.5, leaf.shape)
        else:
            values = rng.normal(0, np.sqrt(2 / np.prod(leaf.shape[:-1])), leaf.shape)
        return values.astype(np.float32)

    return jax.tree_util.tree_map_with_path(fill, shapes_of(model))


@functools.cache
def small():
    model = DenseNet(classes=3, **SMALL)
    variables = random_variables(model)
    return model, variables, load(variables, mirrors.DenseNet(3, **SMALL))


def channels_first(x):
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(x, -1, -3)))


def difference(ours, theirs):
    """Largest difference as a share of the largest value."""
    return np.abs(ours - theirs).max() / np.abs(theirs).max()


def statistics(mirror):
    buffers = mirror.named_buffers()
    return {name: value.numpy() for name, value in buffers if "running" in name}


@functools.partial(jax.jit, static_argnums=0)
def scored(model, variables, x):
    """Logits of clips, compiled: one operation at a time takes longer."""
    return model.apply(variables, x, train=False)


# Parity with PyTorch


def test_densenet_121_has_the_published_size_and_torchvisions_names():
    shapes = shapes_of(DenseNet(classes=1000))
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes["params"])) == 7_978_856
    zeros = jax.tree.map(lambda leaf: np.zeros(leaf.shape, np.float32), shapes)
    named = {key: value.shape for key, value in mirrors.torch_names(zeros["params"]).items()}
    named |= {key: value.shape for key, value in mirrors.torch_names(zeros["batch_stats"]).items()}
    some = {
        "features.conv0.weight": (64, 3, 7, 7), "features.norm0.running_var": (64,),
        "features.denseblock1.denselayer1.conv1.weight": (128, 64, 1, 1),
        "features.denseblock1.denselayer6.norm2.running_mean": (128,),
        "features.transition1.conv.weight": (128, 256, 1, 1),
        "features.denseblock3.denselayer24.conv2.weight": (32, 128, 3, 3),
        "features.denseblock4.denselayer16.norm1.weight": (992,),
        "features.norm5.bias": (1024,), "classifier.weight": (1000, 1024),
    }  # fmt: skip
    assert some.items() <= named.items()
    load(zeros, mirrors.DenseNet(1000))  # a missing, unknown or misshapen leaf is an error


def test_full_network_is_the_mirror():
    model = DenseNet(classes=6)
    variables = random_variables(model)
    mirror = load(variables, mirrors.DenseNet(6)).eval()
    x = clips(1, 2, 64)
    with torch.no_grad():
        expected = mirror(channels_first(x)).softmax(-1).mean(1).numpy()
    y = scored(model, variables, x)
    assert y.shape == (1, 6)
    np.testing.assert_allclose(jax.nn.softmax(y), expected, atol=1e-4)
    assert np.ptp(expected) > 0.01


@functools.cache
def small_gradients(train, remat=False):
    """Frame logits, gradients and statistics of ours and of the mirror, under its names."""
    model, variables, mirror = small()
    model, x = model.clone(remat=remat), clips(2, 3, 37)
    mirror = copy.deepcopy(mirror).train(train)
    expected = mirror(channels_first(x))
    weight = np.random.default_rng(2).normal(size=expected.shape).astype(np.float32)
    (expected * torch.from_numpy(weight)).sum().backward()

    def logits(module, x):
        return module.of_frames(module.before_dropout(x, train=train))

    @jax.jit
    def run(params):
        def loss(params):
            own = {**variables, "params": params}
            y, updates = model.apply(own, x, method=logits, mutable=["batch_stats"])
            return (y * weight).sum(), (y, updates["batch_stats"])

        return jax.grad(loss, has_aux=True)(params)

    gradients, (y, stats) = run(variables["params"])
    ours = (np.asarray(y), mirrors.torch_names(gradients), mirrors.torch_names(stats))
    theirs = {key: parameter.grad.numpy() for key, parameter in mirror.named_parameters()}
    return ours, (expected.detach().numpy(), theirs, statistics(mirror))


@pytest.mark.parametrize("train", [False, True])
def test_output_gradients_and_statistics_are_those_of_pytorch(train):
    ours, theirs = small_gradients(train)
    assert difference(ours[0], theirs[0]) < 1e-4
    for mine, other in zip(ours[1:], theirs[1:], strict=True):
        assert set(mine) == set(other)
        largest = max(np.abs(value).max() for value in other.values())
        for key, value in other.items():
            assert np.abs(mine[key] - value).max() < 1e-4 * largest, key


def test_gradient_reaches_every_parameter():
    _, gradients, _ = small_gradients(train=True)[0]
    assert all(np.abs(value).max() > 1e-4 for value in gradients.values())


def test_remat_computes_the_same():
    again, stored = small_gradients(True, remat=True)[0], small_gradients(True)[0]
    for ours, theirs in zip(jax.tree.leaves(again), jax.tree.leaves(stored), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-4 * np.abs(stored[0]).max())


def test_half_precision_is_near():
    model, variables, _ = small()
    x = clips(2, 3, 37)
    y = scored(model, variables, x)
    half = scored(model.clone(dtype="bfloat16"), variables, x)
    assert half.dtype == np.float32
    assert 1e-4 < difference(half, y) < 0.1


# Frames and clips


def test_training_sees_frames_and_scoring_their_mean():
    model, variables, _ = small()
    x = clips(2, 4, 32)
    train = functools.partial(model.apply, train=True, mutable=["batch_stats"])
    assert jax.eval_shape(train, variables, x)[0].shape == (2, 4, 3)
    clip = jax.nn.softmax(scored(model, variables, x))
    assert clip.shape == (2, 3)
    alone = [jax.nn.softmax(scored(model, variables, x[:, t : t + 1])) for t in range(4)]
    np.testing.assert_allclose(clip, np.mean(alone, 0), atol=1e-5)
    assert np.ptp(np.array(alone), axis=0).max() > 1e-3
    backwards = scored(model, variables, x[:, ::-1])
    np.testing.assert_allclose(backwards, jnp.log(clip), atol=1e-4)


def test_the_mean_of_frames_survives_extreme_logits():
    logits = jnp.array([[[200.0, -200.0], [0.0, 0.0]]])
    np.testing.assert_allclose(jax.nn.softmax(mean_over_frames(logits)), [[0.75, 0.25]], rtol=1e-6)


def test_monte_carlo_dropout_draws_for_every_frame():
    model, variables, _ = small()
    model = model.clone(dropout=0.5)
    x = np.repeat(clips(2, 1, 32), 64, 1)  # 64 times the same frame
    one = scored(model, variables, x[:, :1])
    np.testing.assert_allclose(scored(model, variables, x), one, atol=1e-4)
    draw = jax.jit(functools.partial(uncertainty.sample, model, passes=6))
    samples = draw(variables, x, jax.random.key(0))
    assert samples.shape == (6, 2, 3)
    np.testing.assert_allclose(samples.sum(-1), 1, atol=1e-5)
    single = draw(variables, x[:, :1], jax.random.key(0))
    assert 0 < samples.std(0).max() < 0.5 * single.std(0).max()
    forward = uncertainty.stochastic(model)
    whole = jax.jit(functools.partial(uncertainty.mc_dropout, forward, passes=6))
    np.testing.assert_allclose(whole(variables, x, jax.random.key(0)), samples, atol=1e-5)


def test_dropout_in_training_may_be_left_off():
    model, variables, _ = small()
    x, dropping = clips(1, 2, 32), model.clone(dropout=0.5)

    def run(model, **options):
        apply = functools.partial(model.apply, train=True, mutable=["batch_stats"], **options)
        return jax.jit(apply)(variables, x)[0]

    plain = run(model)
    np.testing.assert_allclose(run(dropping, dropout=False), plain, atol=1e-6)
    assert np.abs(run(dropping, rngs={"dropout": jax.random.key(0)}) - plain).max() > 1e-3


def test_pooling_takes_means_and_floors_odd_sides():
    x = jnp.arange(30.0).reshape(1, 5, 3, 2)
    assert mean_pool_2(x)[0, :, 0, 0].tolist() == [4.0, 16.0] and mean_pool_2(x).shape[2] == 1


def test_it_is_built_from_a_config():
    fields = {"name": "densenet", "blocks": [2, 3], "growth": 3, "initial": 5, "dropout": 0.1}
    model = build(fields, 4, None, 3)
    assert isinstance(model, SYSTEMS["densenet"].network) and model.blocks == (2, 3)
    assert (model.inputs, model.pixels, model.classes) == ("frames", "imagenet", 4)
