"""VGG16 and ResNet50: one function with PyTorch mirrors that have torchvision's names."""

import copy
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fer_jax.layers.backbones import VGG16, ResNet50
from tests.quick import quick
from tests.systems.toys import random_variables

torch = pytest.importorskip("torch", reason="compares with PyTorch: pip install torch")

from benchmarks.torch_mirrors import fer_gcn as mirrors  # noqa: E402
from benchmarks.torch_mirrors.weights import load  # noqa: E402

# Full networks on small images, and small networks. Derivatives: tests/systems/test_contract.py.
FULL = {
    "vgg16": (VGG16, mirrors.VGG16, None, 64),
    "resnet50": (ResNet50, mirrors.ResNet50, None, 75),
}
SMALL = {
    "vgg16": (VGG16, mirrors.VGG16, ((4, 2), (6, 1)), 19),
    "resnet50": (ResNet50, mirrors.ResNet50, ((3, 2), (4, 1)), 37),
}


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Arrays here are small: threads that wait for each other on a busy machine cost most."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def images(count, size, seed=1):
    return np.random.default_rng(seed).normal(size=(count, size, size, 3)).astype(np.float32)


def shapes_of(model):
    inputs = jax.ShapeDtypeStruct((1, 64, 64, 3), jnp.float32)
    return jax.eval_shape(functools.partial(model.init, train=False), jax.random.key(0), inputs)


@functools.cache
def pair(name, full):
    """The Flax model, random variables, and the mirror with the same."""
    flax, mirror, stages, _ = (FULL if full else SMALL)[name]
    model = flax() if stages is None else flax(stages)
    variables = random_variables(model, np.zeros((1, 64, 64, 3), np.float32))
    return model, variables, load(variables, mirror() if stages is None else mirror(stages))


@functools.cache
def forward(name, full, dtype="float32"):
    """Output, axes as PyTorch has them, and statistics: in inference and in training."""
    model, variables, _ = pair(name, full)
    model = model.clone(dtype=dtype)

    @quick
    def both(variables, x):
        apply = functools.partial(model.apply, variables, x, mutable=["batch_stats"])
        return apply(train=False), apply(train=True)

    def named(y, updates):
        return np.moveaxis(np.asarray(y), -1, 1), mirrors.torch_names(updates["batch_stats"])

    return [named(*each) for each in both(variables, inputs_of(name, full))]


def inputs_of(name, full):
    return images(2, FULL[name][-1]) if full else images(3, SMALL[name][-1])


def difference(ours, theirs):
    """Largest difference as a share of the largest value."""
    return np.abs(ours - theirs).max() / np.abs(theirs).max()


def statistics(mirror):
    buffers = mirror.named_buffers()
    return {name: value.numpy() for name, value in buffers if "running" in name}


# Parity with PyTorch


@pytest.mark.parametrize("name", FULL)
def test_full_network_is_the_mirror(name):
    _, _, mirror = pair(name, full=True)
    x, ((y, stats), _) = inputs_of(name, True), forward(name, full=True)
    with torch.no_grad():
        expected = mirror.eval()(mirrors.channels_first(x)).numpy()
    assert difference(y, expected) < 1e-4
    assert stats == {} or all((stats[key] == old).all() for key, old in statistics(mirror).items())


@pytest.mark.parametrize("name", FULL)
def test_full_network_normalises_its_batch_as_the_mirror_does(name):
    """8 or 18 values make the last statistics: rounding grows, in PyTorch's own products too."""
    _, _, mirror = pair(name, full=True)
    x, (_, (y, stats)) = inputs_of(name, True), forward(name, full=True)
    results = {}
    for precision in (torch.float32, torch.float64):
        twin = copy.deepcopy(mirror).to(precision).train()
        with torch.no_grad():
            results[precision] = twin(mirrors.channels_first(x).to(precision)).numpy()
    exact = results[torch.float64]
    rounding = difference(results[torch.float32], exact)
    assert difference(y, exact) < 1e-4 + 5 * rounding < 1e-2
    assert set(stats) == set(statistics(twin))
    for key, expected in statistics(twin).items():
        assert difference(stats[key], expected) < 1e-4 + 5 * rounding, key


# Sizes


@pytest.mark.parametrize(
    ("model", "parameters", "statistics_count"),
    [(VGG16(), 14_723_136, 2 * 4_224), (ResNet50(), 23_508_032, 2 * 26_560)],
    ids=["vgg16", "resnet50"],
)
def test_parameter_counts(model, parameters, statistics_count):
    shapes = shapes_of(model)
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes["params"])) == parameters
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes["batch_stats"])) == statistics_count


@pytest.mark.parametrize("name", FULL)
def test_names_are_those_of_torchvision(name):
    _, variables, mirror = pair(name, full=True)
    weights = {key: tuple(value.shape) for key, value in mirror.state_dict().items()}
    some = {
        "vgg16": {
            "features.0.weight": (64, 3, 3, 3), "features.1.running_var": (64,),
            "features.7.weight": (128, 64, 3, 3), "features.40.bias": (512,),
            "features.41.running_mean": (512,),
        },
        "resnet50": {
            "conv1.weight": (64, 3, 7, 7), "bn1.weight": (64,),
            "layer1.0.downsample.0.weight": (256, 64, 1, 1),
            "layer2.0.conv2.weight": (128, 128, 3, 3), "layer3.5.bn3.running_mean": (1024,),
            "layer4.2.conv3.weight": (2048, 512, 1, 1),
        },
    }[name]  # fmt: skip
    assert some.items() <= weights.items()
    named = set(mirrors.torch_names(variables["params"]))
    assert named == {key for key, _ in mirror.named_parameters()}


@pytest.mark.parametrize(
    ("model", "size", "out"),
    [
        (VGG16(), 224, (2, 7, 7, 512)),
        (VGG16(), 100, (2, 3, 3, 512)),
        (VGG16(((16, 1), (32, 1), (64, 1), (64, 1))), 56, (2, 3, 3, 64)),
        (ResNet50(), 224, (2, 7, 7, 2048)),
        (ResNet50(), 100, (2, 4, 4, 2048)),
    ],
)
def test_shapes(model, size, out):
    inputs = jax.ShapeDtypeStruct((2, size, size, 3), jnp.float32)
    apply = functools.partial(model.apply, train=False)
    assert jax.eval_shape(apply, shapes_of(model), inputs).shape == out


# Options


@pytest.mark.parametrize("name", SMALL)
def test_half_precision_is_near(name):
    (_, (y, stats)), (_, (half, half_stats)) = (
        forward(name, False, dtype) for dtype in ("float32", "bfloat16")
    )
    assert half.dtype == "bfloat16"
    assert 1e-4 < difference(half.astype(np.float32), y) < 0.1
    for key, value in half_stats.items():
        assert value.dtype == np.float32
        assert difference(value, stats[key]) < 0.05, key


@pytest.mark.parametrize("model", [VGG16(), ResNet50()], ids=["vgg16", "resnet50"])
def test_remat_keeps_less_for_the_way_back(model):
    variables = shapes_of(model)
    inputs = jax.ShapeDtypeStruct((4, 64, 64, 3), jnp.float32)

    def kept_bytes(model):
        def pull(params, x):
            def apply(params):
                variables_ = {**variables, "params": params, "batch_stats": stats}
                return model.apply(variables_, x, train=True, mutable=["batch_stats"])

            stats = jax.tree.map(lambda leaf: jnp.ones(leaf.shape), variables["batch_stats"])
            return jax.vjp(apply, params)[1]

        leaves = jax.tree.leaves(jax.eval_shape(pull, variables["params"], inputs))
        weights = sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))
        return 4 * (sum(leaf.size for leaf in leaves) - weights)

    assert 0 < kept_bytes(model.clone(remat=True)) < 0.4 * kept_bytes(model)
