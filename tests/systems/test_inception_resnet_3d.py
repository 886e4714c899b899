"""3D Inception-ResNet: one function with its PyTorch mirror, its shortcuts, options, dropout."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fer_jax import uncertainty
from fer_jax.systems import build
from fer_jax.systems.inception_resnet_3d.landmark_filters import shortcut_filters
from fer_jax.systems.inception_resnet_3d.network import InceptionResNet3D
from fer_jax.systems.stc_nlstm.densenet import mean_over_frames

CLIPS, FRAMES, CLASSES = 2, 3, 4
SMALL = {"divisor": 16, "hidden": 5, "dropout": 0.0}
SIDE, CELLS = 99, (13, 6)  # 50, 25, 13, 6, 2: paddings of either kind; cells of the filters
VARIANTS = {
    "v1": {},
    "v2": {"version": "v2", "residual_scale": (0.2, 0.1, 0.3)},
    "still": {"still": True},
    "bare": {"batch_norm": False, "factorised": 1, "landmarks": False},
}


def small_model(variant="v1", **options):
    return InceptionResNet3D(CLASSES, **{**SMALL, **VARIANTS[variant], **options})


def faces(seed=1, side=SIDE):
    rng = np.random.default_rng(seed)
    return {
        "frames": rng.uniform(-1, 1, (CLIPS, FRAMES, side, side, 3)).astype(np.float32),
        "landmarks": rng.uniform(0, side, (CLIPS, FRAMES, 68, 2)).astype(np.float32),
    }


@pytest.fixture(autouse=True)
def plain_convolutions(request, monkeypatch):
    """Those of an accelerator, which compile faster: tests of volumes compare them with a CPU's."""
    if "on_a_cpu" not in request.node.name:
        monkeypatch.setattr(jax, "default_backend", lambda: "gpu")


@functools.cache
def variables_of(variant="v1"):
    """Random weights that let every part reach the logits."""
    init = functools.partial(small_model(variant).init, train=False)
    shapes = jax.eval_shape(init, jax.random.key(0), faces())
    rng = np.random.default_rng(0)

    def fill(path, leaf):
        name = path[-1].key
        if name in ("var", "scale"):
            values = rng.uniform(0.5, 1.5, leaf.shape)
        elif name in ("mean", "bias"):
            values = rng.normal(0.2, 0.2, leaf.shape)  # few units that never fire
        else:
            values = rng.normal(0, np.sqrt(2 / np.prod(leaf.shape[:-1])), leaf.shape)
        return values.astype(np.float32)

    return jax.tree_util.tree_map_with_path(fill, shapes)


def logits_of(inputs, variant="v1", **options):
    apply = functools.partial(small_model(variant, **options).apply, train=False)
    return np.asarray(jax.jit(apply)(variables_of(variant), inputs))


def weights_like(logits):
    return np.random.default_rng(2).normal(size=logits.shape).astype(np.float32)


@functools.cache
def trained_once(variant="v1", remat=False, backend="gpu"):
    """Logits, gradients of a weighted sum of them and statistics of one pass."""
    assert jax.default_backend() == backend  # of which the convolutions are
    model, variables = small_model(variant, remat=remat), variables_of(variant)

    @jax.jit
    def run(params):
        def loss(params):
            logits, updates = model.apply(
                {**variables, "params": params}, faces(), train=True, mutable=["batch_stats"]
            )
            total = (logits * weights_like(logits)).sum()
            return total, (logits, updates.get("batch_stats", {}))

        return jax.grad(loss, has_aux=True)(params)

    gradients, (logits, stats) = run(variables["params"])
    return logits, gradients, stats


# Parity with PyTorch


@pytest.fixture(scope="module")
def torch():
    """PyTorch on one thread: arrays here are tiny, threads that wait for each other cost most."""
    torch = pytest.importorskip("torch", reason="compares with PyTorch: pip install torch")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield torch
    torch.set_num_threads(threads)


def mirror_of(variant):
    from benchmarks.torch_mirrors import inception_resnet_3d as mirrors
    from benchmarks.torch_mirrors.weights import channels_first, load

    names = ("version", "divisor", "factorised", "still", "batch_norm", "hidden", "residual_scale")
    model = small_model(variant)
    mirror = mirrors.InceptionResNet3D(CLASSES, **{name: getattr(model, name) for name in names})
    mirror = load(variables_of(variant), mirror)
    inputs, weights = faces(), (None, None)
    if model.landmarks:
        weights = [
            channels_first(shortcut_filters(inputs["landmarks"], SIDE, cells)) for cells in CELLS
        ]
    return mirror, (channels_first(inputs["frames"]), *weights)


def assert_same(variant, trained, torch):
    from benchmarks.torch_mirrors import inception_resnet_3d as mirrors

    logits, gradients, stats = trained
    mirror, inputs = mirror_of(variant)
    expected = mirror.train()(*inputs)
    (expected * torch.from_numpy(weights_like(logits))).sum().backward()
    np.testing.assert_allclose(logits, expected.detach(), rtol=0, atol=1e-4)
    theirs = {key: p.grad.numpy() for key, p in mirror.named_parameters() if p.requires_grad}
    ours = mirrors.torch_names(gradients)
    assert set(ours) == set(theirs)
    largest = max(np.abs(value).max() for value in theirs.values())
    for key, value in theirs.items():
        assert np.abs(ours[key] - value).max() < 1e-4 * largest, key
    for key, value in mirrors.torch_names(stats).items():
        buffer = mirror.state_dict()[key].numpy()
        np.testing.assert_allclose(value, buffer, rtol=1e-4, atol=1e-5, err_msg=key)


@pytest.mark.parametrize("variant", VARIANTS)
def test_logits_gradients_and_statistics_are_those_of_pytorch(variant, torch):
    assert_same(variant, trained_once(variant), torch)


def test_the_same_with_the_convolutions_on_a_cpu(torch):
    assert_same("v1", trained_once("v1", backend="cpu"), torch)


@pytest.mark.parametrize("variant", ["v1", "still"])
def test_scored_logits_are_those_of_pytorch(variant, torch):
    mirror, inputs = mirror_of(variant)
    with torch.no_grad():
        expected = jnp.asarray(mirror.eval()(*inputs).numpy())
    if variant == "still":
        expected = mean_over_frames(expected)
    np.testing.assert_allclose(logits_of(faces(), variant), expected, rtol=0, atol=1e-4)


def test_mirror_trains_as_many_parameters(torch):
    from benchmarks.torch_mirrors import inception_resnet_3d as mirrors

    trained = [p.numel() for p in mirrors.InceptionResNet3D(6).parameters() if p.requires_grad]
    assert sum(trained) == 20_436_502


# Blocks


@pytest.mark.parametrize("variant", VARIANTS)
def test_gradient_reaches_every_parameter(variant):
    for path, leaf in jax.tree_util.tree_leaves_with_path(trained_once(variant)[1]):
        assert np.abs(leaf).max() > 1e-6, "/".join(part.key for part in path)


def test_without_batch_norm_every_convolution_has_a_bias():
    assert "batch_stats" not in variables_of("bare")
    for block, parts in variables_of("bare")["params"].items():
        if block not in ("lstm", "head"):
            assert all(set(leaves) == {"kernel", "bias"} for leaves in parts.values())
    with_norm = variables_of("v1")["params"]["inception_a"]
    assert set(with_norm["branch0_0_conv"]) == {"kernel"}
    assert set(with_norm["linear"]) == {"kernel", "bias"} and "linear_norm" not in with_norm


# Landmarks


def test_without_landmarks_all_of_the_shortcuts_pass():
    """A filter of ones: that of clips in which no face was marked."""
    inputs = faces()
    plain = logits_of(inputs, landmarks=False)
    nowhere = {**inputs, "landmarks": np.full_like(inputs["landmarks"], np.nan)}
    np.testing.assert_allclose(logits_of(nowhere), plain, rtol=1e-4, atol=1e-5)
    assert np.abs(logits_of(inputs) - plain).max() > 1e-3


def test_a_filter_of_zeros_leaves_the_residual_alone():
    """Weights multiply the input of the block, not its residual and not its output."""

    @jax.jit
    def both(x):
        model = small_model().bind(variables_of())
        zeros = jnp.zeros((*x.shape[:-1], 1))
        half = model.inception_a(x, zeros + 0.5, False)
        none = model.inception_a(x, zeros, False)
        whole = model.inception_a(x, zeros + 1, False)
        return none, half, whole

    x = np.random.default_rng(0).uniform(1, 2, (1, 2, 5, 5, 16)).astype(np.float32)
    none, half, whole = (np.asarray(each) for each in both(x))
    active = (none > 0) & (half > 0)
    assert active.any()
    np.testing.assert_allclose((half - none)[active], 0.5 * x[active], rtol=1e-4)
    np.testing.assert_allclose((whole - none)[active], x[active], rtol=1e-4)


def cornered_faces():
    """Faces whose landmarks leave cells outside all windows, of block A and of block B."""
    inputs = faces()
    return {**inputs, "landmarks": inputs["landmarks"] / 4}


@pytest.mark.parametrize("outside", [0.0, 0.3, 1.0])
def test_filters_to_look_at_are_those_of_the_landmarks(outside):
    inputs = cornered_faces()
    filters = small_model(outside=outside).filters(inputs)
    for name, cells in zip("AB", CELLS, strict=True):
        expected = shortcut_filters(inputs["landmarks"], SIDE, cells, outside)
        np.testing.assert_array_equal(filters[name], expected, err_msg=name)
        assert np.unique(filters[name]).size > 3 and (filters[name] == outside).any()


def test_filters_to_look_at_are_those_that_weigh_the_shortcuts():
    """The blocks by hand, with these weights, yield the maps of the model."""

    @jax.jit
    def both(inputs):
        model = small_model(outside=0.3).bind(variables_of())
        weights, maps = model.filters(inputs), model.maps(inputs)
        own = [
            model.inception_a(maps[0], weights["A"], False),
            model.inception_b(maps[2], weights["B"], False),
        ]
        return own, [maps[1], maps[3]]

    for own, of_model in zip(*both(cornered_faces()), strict=True):
        np.testing.assert_allclose(own, of_model, rtol=1e-4, atol=1e-5)


def test_cells_outside_all_windows_count_as_the_option_says():
    inputs = cornered_faces()
    dark, plain = logits_of(inputs), logits_of(inputs, landmarks=False)
    bright = logits_of(inputs, outside=1.0)
    assert np.abs(bright - dark).max() > 1e-3 and np.abs(bright - plain).max() > 1e-3


def test_with_a_landmark_in_every_cell_all_of_the_shortcuts_pass():
    side, cells = 49, 7
    middles = (np.stack(np.meshgrid(*[np.arange(cells)] * 2), -1).reshape(-1, 2) + 0.5) * 7
    points = np.resize(middles, (68, 2))  # 49 cells, some twice: so those of the points left out
    inputs = faces(side=side)
    inputs["landmarks"] = np.broadcast_to(points, (CLIPS, FRAMES, 68, 2)).astype(np.float32)
    plain = logits_of(inputs, landmarks=False)
    np.testing.assert_allclose(logits_of(inputs), plain, rtol=1e-4, atol=1e-5)


# Frames and clips


def test_order_of_the_frames_matters_unless_they_are_still():
    turned = {name: leaf[:, ::-1] for name, leaf in faces().items()}
    assert np.abs(logits_of(turned) - logits_of(faces())).max() > 1e-3
    still = logits_of(faces(), "still")
    np.testing.assert_allclose(logits_of(turned, "still"), still, rtol=1e-4, atol=1e-5)


def test_training_sees_still_frames_and_scoring_their_mean():
    logits, _, _ = trained_once("still")
    assert logits.shape == (CLIPS, FRAMES, CLASSES)
    one = {name: leaf[:, :1] for name, leaf in faces().items()}
    same = {name: np.repeat(leaf, FRAMES, 1) for name, leaf in one.items()}
    expected = logits_of(one, "still")
    np.testing.assert_allclose(logits_of(same, "still"), expected, rtol=1e-4, atol=1e-5)


def test_clips_do_not_touch_each_other():
    turned = {name: leaf[::-1] for name, leaf in faces().items()}
    logits = logits_of(faces())
    assert np.abs(logits - logits[::-1]).max() > 1e-3
    np.testing.assert_allclose(logits_of(turned), logits[::-1], rtol=1e-4, atol=1e-5)


# Dropout


def test_what_comes_before_dropout_is_computed_once():
    model = small_model(dropout=0.5)

    def once(variables, inputs):
        return uncertainty.sample(model, variables, inputs, jax.random.key(3), passes=8)

    samples = jax.jit(once)(variables_of(), faces())
    assert samples.shape == (8, CLIPS, CLASSES)
    assert samples.std(0).max() > 1e-3
    equations = jax.make_jaxpr(once)(variables_of(), faces()).jaxpr.eqns
    loops = [str(each) for each in equations if each.primitive.name == "scan"]
    assert loops and not any("conv_general_dilated" in loop for loop in loops)


# Options


def test_remat_changes_nothing():
    stored, again = trained_once("v1"), trained_once("v1", remat=True)
    largest = max(np.abs(leaf).max() for leaf in jax.tree.leaves(stored))
    for ours, theirs in zip(jax.tree.leaves(again), jax.tree.leaves(stored), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5 * largest)


def test_half_precision_is_of_the_convolutions_alone():
    logits, half = logits_of(faces()), logits_of(faces(), dtype="bfloat16")
    assert half.dtype == np.float32
    assert 1e-6 < np.abs(half - logits).max() < 0.2 * np.abs(logits).max()
    init = functools.partial(small_model(dtype="bfloat16").init, train=False)
    leaves = jax.tree.leaves(jax.eval_shape(init, jax.random.key(0), faces()))
    assert {leaf.dtype.name for leaf in leaves} == {"float32"}


def test_it_is_built_from_a_config():
    fields = {"name": "inception_resnet_3d", "residual_scale": [0.2, 0.1, 0.2], "divisor": 8}
    model = build(fields, CLASSES, None, FRAMES)
    assert model == InceptionResNet3D(CLASSES, divisor=8, residual_scale=(0.2, 0.1, 0.2))
    assert (model.inputs, model.pixels) == ("faces", "symmetric")


def test_an_unknown_version_is_refused():
    with pytest.raises(ValueError, match="version=v3: use one of"):
        InceptionResNet3D(CLASSES, version="v3").init(jax.random.key(0), faces(), train=False)
