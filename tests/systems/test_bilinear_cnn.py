"""Bilinear CNN: one function with a PyTorch mirror, its pooling, its options."""

import copy
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fer_jax import uncertainty
from fer_jax.data.model_inputs import PIXELS, frame_inputs
from fer_jax.systems import SYSTEMS, build
from fer_jax.systems.bilinear_cnn.network import BilinearCNN
from fer_jax.systems.bilinear_cnn.pooling import bilinear_vector, scale_to_unit

torch = pytest.importorskip("torch", reason="compares with PyTorch: pip install torch")

from benchmarks.torch_mirrors import bilinear_cnn as mirrors  # noqa: E402
from benchmarks.torch_mirrors.fer_gcn import channels_first  # noqa: E402
from benchmarks.torch_mirrors.weights import load  # noqa: E402

VGG = {"trunk": "vgg16", "stages": ((4, 1), (8, 2))}
RESNET = {"trunk": "resnet50", "stages": ((3, 1), (8, 2))}
# Toys of 8 channels at the pooling, of both trunks and all that stands behind them.
SMALL = {
    "full": VGG | {"features": 5},
    "linear": VGG | {"features": 0},
    "triangle": RESNET | {"compact": "triangle", "features": 5},
    "reduced": VGG | {"compact": "reduced", "reduced": 3},
    "low_rank": VGG | {"compact": "low_rank", "rank": 4},
    "global": VGG | {"pooling": "global"},
    "global resnet50": RESNET | {"pooling": "global"},
}
FIELDS = ("trunk", "pooling", "compact", "stages", "features", "reduced", "rank")


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


def shapes_of(model, size=24):
    inputs = jax.ShapeDtypeStruct((1, 1, size, size, 3), jnp.float32)
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
def small(name):
    model = BilinearCNN(classes=3, **SMALL[name])
    variables = random_variables(model)
    options = {field: value for field, value in SMALL[name].items() if field in FIELDS}
    return model, variables, load(variables, mirrors.BilinearCNN(3, **options))


def difference(ours, theirs):
    """Largest difference as a share of the largest value."""
    return np.abs(ours - theirs).max() / np.abs(theirs).max()


@functools.partial(jax.jit, static_argnums=0)
def scored(model, variables, x):
    """Values of clips, compiled: one operation at a time takes longer."""
    return model.apply(variables, x, train=False)


# Parity with PyTorch


@functools.cache
def small_gradients(name, remat=False):
    """Values, gradients and statistics of a training step without dropout, ours and theirs."""
    model, variables, mirror = small(name)
    model, x = model.clone(remat=remat), clips(2, 2, 24)
    mirror = copy.deepcopy(mirror).train()
    mirror.head.drop.p = 0.0
    expected = mirror(channels_first(x))
    weight = np.random.default_rng(2).normal(size=expected.shape).astype(np.float32)
    (expected * torch.from_numpy(weight)).sum().backward()

    @jax.jit
    def run(params):
        def loss(params):
            own = {**variables, "params": params}
            y, updates = model.apply(own, x, train=True, dropout=False, mutable=["batch_stats"])
            return (y * weight).sum(), (y, updates.get("batch_stats", {}))

        return jax.grad(loss, has_aux=True)(params)

    gradients, (y, stats) = run(variables["params"])
    ours = (np.asarray(y), mirrors.torch_names(gradients), mirrors.torch_names(stats))
    theirs = {key: parameter.grad.numpy() for key, parameter in mirror.named_parameters()}
    running = {key: leaf.numpy() for key, leaf in mirror.named_buffers() if "running" in key}
    return ours, (expected.detach().numpy(), theirs, running)


@pytest.mark.parametrize("name", SMALL)
def test_values_gradients_and_statistics_are_those_of_pytorch(name):
    ours, theirs = small_gradients(name)
    assert difference(ours[0], theirs[0]) < 1e-4
    for mine, other in zip(ours[1:], theirs[1:], strict=True):
        assert set(mine) == set(other)
        largest = max([np.abs(value).max() for value in other.values()], default=0)
        for key, value in other.items():
            assert np.abs(mine[key] - value).max() < 1e-4 * largest, key


@pytest.mark.parametrize("name", SMALL)
def test_scored_clips_are_the_mean_of_pytorchs_frames(name):
    model, variables, mirror = small(name)
    x = clips(3, 2, 24)
    with torch.no_grad():
        expected = copy.deepcopy(mirror).eval()(channels_first(x)).numpy()
    y = scored(model, variables, x)
    assert y.shape == (3, 3) and np.ptp(expected) > 1e-2
    np.testing.assert_allclose(y, expected.mean(1), atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("name", SMALL)
def test_gradient_reaches_every_parameter(name):
    _, gradients, _ = small_gradients(name)[0]
    assert all(np.abs(value).max() > 1e-5 for value in gradients.values())


def test_remat_computes_the_same():
    again, stored = small_gradients("full", remat=True)[0], small_gradients("full")[0]
    for ours, theirs in zip(jax.tree.leaves(again), jax.tree.leaves(stored), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-4 * np.abs(stored[0]).max())


# Bilinear pooling


def features(count=3, positions=7, channels=8, seed=0):
    """As behind a ReLU: half are zero, and channel 2 is everywhere."""
    x = np.random.default_rng(seed).normal(size=(count, positions, channels))
    x = np.maximum(x, 0).astype(np.float32)
    x[:, :, 2] = 0
    return jnp.asarray(x)


def plain_vector(x, triangle, reference_grad, eps=1e-8):
    """The definition, whose derivative JAX finds itself."""
    y = jnp.einsum("bnc,bnd->bcd", x, x)
    if triangle:
        rows, columns = np.triu_indices(x.shape[-1])
        y = y[:, rows, columns]
    y = y.reshape(len(x), -1)
    safe = jnp.where(y == 0, 1.0, y)
    roots = jnp.where(y == 0, 0.0, jnp.sign(y) * jnp.sqrt(jnp.abs(safe) + eps))
    if triangle:
        roots *= np.where(rows == columns, 1, np.sqrt(2))
    return roots / (jnp.sqrt((roots**2).sum(1, keepdims=True)) + 1e-5)


@pytest.mark.parametrize("triangle", [False, True])
@pytest.mark.parametrize("signed", [False, True])
def test_the_derivative_is_that_of_the_definition(triangle, signed):
    x = features() - (0.3 if signed else 0.0)
    expected, pull = jax.vjp(lambda x: plain_vector(x, triangle, False), x)
    found, own_pull = jax.vjp(lambda x: bilinear_vector(x, triangle), x)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert (found.min() < 0) == signed
    cotangent = np.random.default_rng(1).normal(size=found.shape).astype(np.float32)
    np.testing.assert_allclose(own_pull(cotangent)[0], pull(cotangent)[0], atol=2e-5)


@pytest.mark.parametrize("triangle", [False, True])
def test_the_authors_slope(triangle):
    """Autograd of PyTorch with the authors' backward pass in place of that of the root."""

    class Root(torch.autograd.Function):
        @staticmethod
        def forward(ctx, y):
            ctx.save_for_backward(y)
            return y.sign() * y.abs().sqrt()

        @staticmethod
        def backward(ctx, cotangent):
            (y,) = ctx.saved_tensors
            return cotangent * 0.5 / (y.abs().sqrt() + 0.1)

    x = features() - 0.2
    tensor = torch.from_numpy(np.array(x)).requires_grad_()
    y = torch.einsum("bnc,bnd->bcd", tensor, tensor)
    rows, columns = np.triu_indices(8)
    y = y[:, rows, columns] if triangle else y.flatten(1)
    roots = Root.apply(y)
    if triangle:
        roots = roots * torch.from_numpy(np.where(rows == columns, 1, np.sqrt(2))).float()
    expected = roots / (roots.norm(dim=1, keepdim=True) + 1e-5)
    found, pull = jax.vjp(lambda x: bilinear_vector(x, triangle, True), x)
    np.testing.assert_allclose(found, expected.detach().numpy(), atol=1e-6)
    cotangent = np.random.default_rng(1).normal(size=found.shape).astype(np.float32)
    expected.backward(torch.from_numpy(cotangent))
    np.testing.assert_allclose(pull(cotangent)[0], tensor.grad.numpy(), atol=1e-5)


def test_the_accelerators_way_computes_the_same(monkeypatch):
    x = features()
    cotangent = np.random.default_rng(1).normal(size=(3, 64)).astype(np.float32)

    def run(x, cotangent):
        found, pull = jax.vjp(bilinear_vector, x)
        return found, pull(cotangent)[0]

    expected = jax.jit(run)(x, cotangent)
    assert "scan" in str(jax.make_jaxpr(run)(x, cotangent))
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    x, cotangent = x[:2], cotangent[:2]  # another shape: nothing is taken from a cache
    assert "scan" not in str(jax.make_jaxpr(run)(x, cotangent))
    for mine, other in zip(jax.jit(run)(x, cotangent), expected, strict=True):
        np.testing.assert_allclose(mine, other[:2], atol=1e-6)


@pytest.mark.parametrize("reference_grad", [False, True])
@pytest.mark.parametrize("compact", ["full", "triangle", "reduced", "low_rank"])
def test_derivatives_at_zero_activations_are_finite(compact, reference_grad):
    model = BilinearCNN(
        3, compact=compact, reference_grad=reference_grad, **VGG, features=5, reduced=3, rank=2
    )
    variables = jax.tree.map(jnp.zeros_like, random_variables(model))

    def loss(params, x):
        return model.apply({"params": params}, x, train=False).sum()

    x = clips(2, 1, 16)
    gradients = jax.jit(jax.grad(loss, (0, 1)))(variables["params"], x)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradients))
    np.testing.assert_array_equal(gradients[0]["head"]["bias"], np.full(3, 2.0))


def test_low_rank_is_an_explicit_matrix():
    """Each output is the product of W = U+ U+' - U- U-' and X'X."""
    model, variables, _ = small("low_rank")
    x = clips(2, 1, 24)
    maps = np.asarray(model.apply(variables, x, method=model.maps), np.float64)
    rows = maps.reshape(2, -1, maps.shape[-1])
    pooled = np.einsum("bnc,bnd->bcd", rows, rows)
    pooled /= np.linalg.norm(pooled, axis=(1, 2), keepdims=True) + 1e-5
    columns = np.asarray(variables["params"]["directions"]["kernel"]).reshape(8, 3, 2, 2)
    plus, minus = columns[:, :, 0], columns[:, :, 1]  # [c, D, rank / 2]
    matrices = np.einsum("cdr,edr->dce", plus, plus) - np.einsum("cdr,edr->dce", minus, minus)
    assert [np.linalg.matrix_rank(matrix) for matrix in matrices] == [4, 4, 4]
    expected = np.einsum("dce,bce->bd", matrices, pooled) + variables["params"]["head"]["bias"]
    np.testing.assert_allclose(scored(model, variables, x), expected, atol=1e-5)


def test_features_are_scaled_to_a_matrix_of_norm_one():
    x = 300 * features()
    unit = scale_to_unit(x)
    norms = jnp.linalg.norm(jnp.einsum("bnc,bnd->bcd", unit, unit), axis=(1, 2))
    np.testing.assert_allclose(norms, 1, atol=1e-5)


# Frames, dropout, precision


def test_training_sees_frames_and_scoring_their_mean():
    model, variables, _ = small("full")
    x = clips(2, 3, 24)
    frames = model.apply(variables, x, train=True, dropout=False)
    assert frames.shape == (2, 3, 3)
    np.testing.assert_allclose(scored(model, variables, x), frames.mean(1), atol=1e-5)
    still = scored(model, variables, x[:, :1])
    np.testing.assert_allclose(still, frames[:, 0], atol=1e-5)


@pytest.mark.parametrize("name", ["full", "global resnet50"])
def test_a_face_and_its_mirror_image_are_averaged(name):
    model, variables, _ = small(name)
    x = clips(2, 3, 24)
    mirrored = model.clone(mirrored=True)
    expected = (scored(model, variables, x) + scored(model, variables, x[..., ::-1, :])) / 2
    assert difference(scored(model, variables, x), expected) > 1e-3
    np.testing.assert_allclose(scored(mirrored, variables, x), expected, rtol=1e-5, atol=1e-5)
    trained, _ = mirrored.apply(variables, x, train=True, dropout=False, mutable=["batch_stats"])
    plain, _ = model.apply(variables, x, train=True, dropout=False, mutable=["batch_stats"])
    np.testing.assert_array_equal(trained, plain)  # each frame for itself


def test_a_pass_is_one_network_for_all_images_of_a_clip():
    """Else the passes would agree more, the more images the mean is taken of."""
    model = BilinearCNN(classes=3, dropout=0.5, **VGG, features=16)
    variables = random_variables(model)
    x = clips(1, 1, 24)
    x = (x + x[..., ::-1, :]) / 2  # its own mirror image
    key, options = jax.random.key(3), {"passes": 20}
    one = uncertainty.sample(model, variables, x, key, **options)
    assert np.std(one, axis=0).min() > 1e-4
    for other, images in ((model.clone(mirrored=True), x), (model, np.concatenate([x] * 4, 1))):
        more = uncertainty.sample(other, variables, images, key, **options)
        np.testing.assert_allclose(more, one, rtol=1e-4, atol=1e-5)


def test_gray_networks_see_no_colour():
    rng = np.random.default_rng(0)
    coloured = rng.integers(0, 256, (1, 1, 8, 8, 3)).astype(np.uint8)
    weights = np.array([0.299, 0.587, 0.114])  # luma, ITU-R BT.601
    gray = np.repeat((coloured @ weights)[..., None], 3, -1)
    seen = [
        np.asarray(frame_inputs(jnp.asarray(frames, jnp.float32), 0, "vggface", gray=True))
        for frames in (coloured, gray)
    ]
    np.testing.assert_allclose(seen[0], seen[1], atol=0.02)
    plain = np.asarray(frame_inputs(jnp.asarray(coloured, jnp.float32), 0, "vggface"))
    assert np.abs(plain - seen[0]).max() > 20


@pytest.mark.parametrize("name", ["full", "linear", "low_rank", "global"])
def test_monte_carlo_dropout_draws_behind_the_features(name):
    model, variables, _ = small(name)
    x = clips(2, 1, 24)
    forward = uncertainty.stochastic(model)
    options = {"passes": 6, "probabilities": lambda values: values}
    draw = jax.jit(functools.partial(uncertainty.sample, model, **options))
    samples = draw(variables, x, jax.random.key(0))
    assert samples.shape == (6, 2, 3) and samples.std(0).min() > 1e-4
    whole = jax.jit(functools.partial(uncertainty.mc_dropout, forward, **options))
    np.testing.assert_allclose(whole(variables, x, jax.random.key(0)), samples, atol=1e-5)


def test_dropout_stands_behind_the_extra_layer():
    """Rate 1 - 1e-9 leaves the output's bias alone, whatever comes before."""
    model, variables, _ = small("full")
    y = model.clone(dropout=1 - 1e-9).apply(
        variables, clips(2, 1, 24), train=True, rngs={"dropout": jax.random.key(0)}
    )
    np.testing.assert_allclose(y[:, 0], [variables["params"]["head"]["bias"]] * 2, atol=1e-6)


def test_fully_connected_layers_have_two_dropouts():
    model = BilinearCNN(2, pooling="fc", stages=((4, 1), (4, 1)))
    x = jnp.asarray(clips(2, 1, 8))
    variables = jax.jit(functools.partial(model.init, train=False))(jax.random.key(0), x)
    shapes = jax.tree.map(jnp.shape, variables["params"])
    assert shapes["fc6"]["kernel"] == (2 * 2 * 4, 4096)  # pool5 is there
    params = variables["params"]
    maps = np.asarray(model.apply(variables, x, method=model.maps)).reshape(2, -1)
    fc6 = np.maximum(maps @ params["fc6"]["kernel"] + params["fc6"]["bias"], 0)
    fc7 = np.maximum(fc6 @ params["fc7"]["kernel"] + params["fc7"]["bias"], 0)
    expected = fc7 @ params["head"]["kernel"] + params["head"]["bias"]
    np.testing.assert_allclose(scored(model, variables, x), expected, atol=1e-4)
    _, seen = model.apply(
        variables, x, train=True, rngs={"dropout": jax.random.key(1)},
        capture_intermediates=lambda module, _: module.name == "drop",
    )  # fmt: skip
    masks = [np.asarray(each) == 0 for each in seen["intermediates"]["drop"]["__call__"]]
    assert len(masks) == 2
    for mask, zeros in zip(masks, ((fc6 == 0).mean(), 0.5), strict=True):
        assert mask.mean() > zeros + 0.05


def test_outputs_begin_near_the_label_mean():
    for name in ("full", "low_rank", "global"):
        model = small(name)[0].clone(label_mean=4.5)
        x = clips(8, 1, 24)
        variables = jax.jit(functools.partial(model.init, train=False))(jax.random.key(0), x)
        assert np.abs(scored(model, variables, x) - 4.5).max() < 2.0
        np.testing.assert_array_equal(variables["params"]["head"]["bias"], np.full(3, 4.5))


@pytest.mark.parametrize("name", ["full", "global resnet50"])
def test_half_precision_is_near(name):
    model, variables, _ = small(name)
    x = clips(2, 1, 24)
    y = scored(model, variables, x)
    half = scored(model.clone(dtype="bfloat16"), variables, x)
    assert half.dtype == np.float32
    assert 1e-6 < difference(half, y) < 0.05


# Fields


def test_faces_are_enlarged():
    """As Pillow's bicubic resampling, whose kernel is that of MATLAB."""
    from PIL import Image

    model, variables, _ = small("full")
    x = 50 * clips(2, 1, 12)
    channels = x[:, 0].transpose(0, 3, 1, 2).reshape(-1, 12, 12)
    large = [Image.fromarray(each).resize((32, 32), Image.Resampling.BICUBIC) for each in channels]
    large = np.stack([np.asarray(each) for each in large]).reshape(2, 3, 32, 32)
    large = large.transpose(0, 2, 3, 1)[:, None]
    expected = model.apply(variables, large, method=model.maps)
    sized = model.clone(size=32)
    found = sized.apply(variables, x, method=sized.maps)
    assert found.shape == (2, 1, 16, 16, 8)
    assert difference(found, np.asarray(expected)) < 1e-4
    np.testing.assert_array_equal(
        scored(sized, variables, large), scored(model, variables, large)
    )  # nothing to enlarge


def test_it_is_built_from_a_config():
    fields = {"name": "bilinear_cnn", "stages": [[4, 1], [8, 2]], "pixels": "symmetric"}
    model = build(fields, 2, None)
    assert isinstance(model, SYSTEMS["bilinear_cnn"].network) and model.stages == ((4, 1), (8, 2))
    assert (model.inputs, model.pixels, model.classes) == ("frames", "symmetric", 2)
    assert build({"name": "bilinear_cnn"}, 2, None).pixels in PIXELS


def test_batch_norm_is_an_option_of_vgg16():
    assert "batch_stats" not in shapes_of(BilinearCNN(2, **VGG))
    stage = shapes_of(BilinearCNN(2, **VGG, batch_norm=True))["batch_stats"]["backbone"]["stage2"]
    assert set(stage) == {"norm1", "norm2"}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"trunk": "vgg"}, "trunk=vgg: use one of"),
        ({"pooling": "mean"}, "pooling=mean: use one of"),
        ({"compact": "half"}, "compact=half: use one of"),
        ({"trunk": "resnet50", "pooling": "fc"}, "fc6 and fc7 belong to vgg16, not to resnet50"),
        ({"rank": 3}, "rank=3: it must be even"),
    ],
)
def test_fields_that_do_not_exist_are_named(fields, said):
    with pytest.raises(ValueError, match=said):
        shapes_of(BilinearCNN(2, **fields))


def test_unknown_pixels_are_named():
    with pytest.raises(ValueError, match="pixels 'vgg' are unknown: use one of"):
        frame_inputs(np.zeros((1, 1, 4, 4, 3), np.uint8), 0, "vgg")
