"""VGG16 and ResNet50: full networks against PyTorch mirrors that have torchvision's names.

Small ones, their derivatives, statistics and precision: tests/systems/test_contract.py.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fer_jax.layers.backbones import VGG16, ResNet50
from tests.layers.compare import normal
from tests.quick import quick
from tests.systems.toys import random_variables

torch = pytest.importorskip("torch", reason="compares with PyTorch: pip install torch")

from benchmarks.torch_mirrors import fer_gcn as mirrors  # noqa: E402
from benchmarks.torch_mirrors.weights import load  # noqa: E402

FULL = {"vgg16": (VGG16(), mirrors.VGG16, 32), "resnet50": (ResNet50(), mirrors.ResNet50, 43)}


@functools.cache
def pair(name):
    """Random variables, and the mirror with the same."""
    model, mirror, side = FULL[name]
    variables = random_variables(model, np.zeros((1, side, side, 3), np.float32))
    return variables, load(variables, mirror())


@pytest.mark.parametrize("name", FULL)
def test_full_network_is_the_mirror(name, monkeypatch):
    if name == "resnet50":  # compiles faster; VGG16 has all of a CPU's convolutions
        monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    (variables, mirror), (model, _, side) = pair(name), FULL[name]
    x = normal(1, 1, side, side, 3)
    y = quick(functools.partial(model.apply, train=False))(variables, x)
    with torch.no_grad():
        expected = mirror.eval()(mirrors.channels_first(x)).numpy()
    atol = 1e-4 * np.abs(expected).max()
    np.testing.assert_allclose(np.moveaxis(y, -1, 1), expected, rtol=0, atol=atol)


@pytest.mark.parametrize("name", FULL)
def test_names_are_those_of_torchvision(name):
    variables, mirror = pair(name)
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
    "model", [VGG16(((8, 2), (8, 3))), ResNet50(((4, 3), (8, 3)))], ids=["vgg16", "resnet50"]
)
def test_remat_keeps_less_for_the_way_back(model):
    inputs = jax.ShapeDtypeStruct((4, 64, 64, 3), jnp.float32)
    init = functools.partial(model.init, train=False)
    variables = jax.eval_shape(init, jax.random.key(0), inputs)

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
