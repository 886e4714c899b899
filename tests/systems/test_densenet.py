"""DenseNet: its published size, frames as examples."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fer_jax.systems.stc_nlstm.densenet import DenseNet, mean_over_frames
from tests.golden.sizes import size, variables_of
from tests.quick import quick
from tests.systems.toys import make, random_variables, variables

torch = pytest.importorskip("torch", reason="compares with PyTorch: pip install torch")

from benchmarks.torch_mirrors import densenet as mirrors  # noqa: E402
from benchmarks.torch_mirrors.weights import channels_first, load  # noqa: E402


def test_parameters_have_the_published_size_and_names_of_torchvision():
    shapes = variables_of(DenseNet(1000), 1, 1, 32, 32, 3)
    assert size(shapes["params"]) == 7_978_856
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
    model, x = DenseNet(6), np.random.default_rng(1).normal(size=(1, 2, 64, 64, 3))
    x = x.astype(np.float32)
    own = random_variables(model, x)
    mirror = load(own, mirrors.DenseNet(6)).eval()
    with torch.no_grad():
        expected = mirror(channels_first(x, 2)).softmax(-1).mean(1).numpy()
    apply = quick(functools.partial(model.apply, train=False))
    np.testing.assert_allclose(jax.nn.softmax(apply(own, x)), expected, atol=1e-4)
    assert np.ptp(expected) > 0.01


# Frames and clips


def test_mean_over_frames_survives_extreme_logits():
    logits = jnp.array([[[200.0, -200.0], [0.0, 0.0]]])
    np.testing.assert_allclose(jax.nn.softmax(mean_over_frames(logits)), [[0.75, 0.25]], rtol=1e-6)


def test_monte_carlo_dropout_draws_for_every_frame():
    model, own = make("densenet", dropout=0.5), variables("densenet")
    rows = np.ones((2, 64, own["params"]["head"]["kernel"].shape[0]), np.float32)  # equal frames

    def sample(key, rows):
        return model.apply(own, rows, dropout=True, rngs={"dropout": key}, method="of_frames")

    drawn = jax.vmap(sample, (0, None))(jax.random.split(jax.random.key(0), 6), rows)
    assert np.ptp(drawn, axis=2).max() > 1e-3
    single, whole = (
        jax.nn.softmax(jax.vmap(mean_over_frames)(y)) for y in (drawn[:, :, :1], drawn)
    )
    assert 0 < whole.std(0).max() < 0.5 * single.std(0).max()
