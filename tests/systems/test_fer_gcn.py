"""FER-GCN: one function with its PyTorch mirror, its variants, the frames, MC dropout."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fer_jax import uncertainty
from fer_jax.layers.lstm import BiLSTM
from fer_jax.systems import build
from fer_jax.systems.fer_gcn.network import FERGCN, GraphModule

CLIPS, FRAMES, FEATURES, CLASSES = 3, 5, 6, 4
STAGES = ((4, 1), (6, 2))
VARIANTS = {
    "full": {},
    "vgg16": {"modules": 0, "fusion": False},
    "modules1": {"modules": 1, "fusion": False},
    "fused3": {"modules": 3},
}


def small_model(**options):
    fields = {"frames": FRAMES, "features": FEATURES, "stages": STAGES, **options}
    return FERGCN(CLASSES, **fields)


def clips(count=CLIPS, frames=FRAMES, seed=1):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, frames, 12, 12, 3)).astype(np.float32)


@functools.cache
def variables_of(variant="full"):
    """Random weights, A and W among them, that let every part reach the logits."""
    model = small_model(**VARIANTS[variant])
    init = functools.partial(model.init, train=False)
    shapes = jax.eval_shape(init, jax.random.key(0), clips())
    rng = np.random.default_rng(0)

    def fill(path, leaf):
        name = path[-1].key
        if name in ("var", "scale"):
            values = rng.uniform(0.5, 1.5, leaf.shape)
        elif name in ("mean", "bias"):
            values = rng.normal(0, 0.2, leaf.shape)
        elif name == "A":
            values = np.eye(*leaf.shape) + rng.normal(0, 0.7, leaf.shape)
        else:
            values = rng.normal(0, np.sqrt(2 / np.prod(leaf.shape[:-1])), leaf.shape)
        return values.astype(np.float32)

    return jax.tree_util.tree_map_with_path(fill, shapes)


def logits_of(inputs, variables=None, **options):
    apply = functools.partial(small_model(**options).apply, train=False)
    return np.asarray(jax.jit(apply)(variables or variables_of(), inputs))


@functools.cache
def trained_once(variant, train):
    """Logits, gradients of the cross-entropy and statistics of one pass."""
    model, variables = small_model(**VARIANTS[variant]), variables_of(variant)

    def loss(params):
        logits, updates = model.apply(
            {**variables, "params": params}, clips(), train=train, mutable=["batch_stats"]
        )
        chosen = jax.nn.log_softmax(logits)[jnp.arange(CLIPS), jnp.arange(CLIPS)]
        return -chosen.mean(), (logits, updates["batch_stats"])

    gradients, (logits, stats) = jax.jit(jax.grad(loss, has_aux=True))(variables["params"])
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


@pytest.mark.parametrize(
    ("variant", "train"),
    [("full", False), ("full", True), ("vgg16", True), ("modules1", True), ("fused3", True)],
)
def test_logits_gradients_and_statistics_are_those_of_pytorch(variant, train, torch):
    from benchmarks.torch_mirrors import fer_gcn as mirrors
    from benchmarks.torch_mirrors.weights import load

    options = {"frames": FRAMES, "features": FEATURES, "stages": STAGES, **VARIANTS[variant]}
    mirror = load(variables_of(variant), mirrors.FERGCN(CLASSES, **options)).train(train)
    logits, gradients, stats = trained_once(variant, train)
    expected = mirror(mirrors.channels_first(clips()))
    torch.nn.functional.cross_entropy(expected, torch.arange(CLIPS)).backward()
    np.testing.assert_allclose(logits, expected.detach(), rtol=0, atol=1e-4)

    trained = {key: p.grad.numpy() for key, p in mirror.named_parameters() if p.requires_grad}
    ours = mirrors.torch_names(gradients)
    assert set(ours) == set(trained)
    largest = max(np.abs(value).max() for value in trained.values())
    for key, value in trained.items():
        assert np.abs(ours[key] - value).max() < 1e-4 * largest, key
    for key, value in mirrors.torch_names(stats).items():
        buffer = mirror.state_dict()[key].numpy()
        np.testing.assert_allclose(value, buffer, rtol=1e-4, atol=1e-5, err_msg=key)


def test_mirror_trains_as_many_parameters(torch):
    from benchmarks.torch_mirrors import fer_gcn as mirrors

    trained = [p.numel() for p in mirrors.FERGCN(7).parameters() if p.requires_grad]
    assert sum(trained) == 15_776_071


def test_lstm_runs_both_ways_as_pytorch_does(torch):
    layer, theirs = BiLSTM(4), torch.nn.LSTM(3, 4, batch_first=True, bidirectional=True)
    x = np.random.default_rng(0).normal(size=(2, 7, 3)).astype(np.float32)
    state = {key: value.numpy() for key, value in theirs.state_dict().items()}
    params = {
        direction: {
            "kernel": state[f"weight_ih_l0{suffix}"].T,
            "recurrent": state[f"weight_hh_l0{suffix}"].T,
            "bias": state[f"bias_ih_l0{suffix}"] + state[f"bias_hh_l0{suffix}"],
        }
        for direction, suffix in (("forward", ""), ("backward", "_reverse"))
    }
    expected = theirs(torch.from_numpy(x))[0].detach()
    np.testing.assert_allclose(layer.apply({"params": params}, x), expected, rtol=0, atol=1e-5)


# Gradients


@pytest.mark.parametrize("variant", ["full", "fused3", "vgg16"])
def test_gradient_reaches_every_parameter(variant):
    _, gradients, _ = trained_once(variant, train=True)
    dead = set()
    for path, leaf in jax.tree_util.tree_leaves_with_path(gradients):
        if not np.abs(leaf).max() > 1e-6:
            dead.add("/".join(part.key for part in path[-3:]))
    # BatchNorm takes the mean away, and with it the bias in front of it.
    assert dead <= {"stage1/conv1/bias", "stage2/conv1/bias", "stage2/conv2/bias"}


# Frames


def test_another_number_of_frames_is_refused():
    with pytest.raises(ValueError, match="was made for 5 frames, not 7"):
        small_model().apply(variables_of(), clips(frames=7), train=False)


def test_frames_are_told_apart_by_their_place_unless_there_is_no_graph():
    order = np.array([3, 0, 4, 1, 2])
    inputs, shuffled = clips(), clips()[:, order]
    assert np.abs(logits_of(inputs) - logits_of(shuffled)).max() > 1e-3
    own = {"variables": variables_of("vgg16"), **VARIANTS["vgg16"]}
    np.testing.assert_allclose(logits_of(inputs, **own), logits_of(shuffled, **own), atol=1e-5)


def test_clips_do_not_touch_each_other():
    inputs, order = clips(), np.array([2, 0, 1])
    logits = logits_of(inputs)
    np.testing.assert_allclose(logits_of(inputs[order]), logits[order], rtol=1e-4, atol=1e-5)


def test_a_row_of_the_adjacency_is_what_a_frame_takes_in():
    """Frame 0 takes in frame 2 alone: only a change in frame 2 reaches it."""
    module = GraphModule(FEATURES)
    adjacency = jnp.zeros((FRAMES, FRAMES)).at[0, 2].set(1.0)
    x = np.random.default_rng(0).normal(size=(1, FRAMES, FEATURES)).astype(np.float32)
    variables = module.init(jax.random.key(0), adjacency, x)

    def first(x):
        return module.apply(variables, adjacency, x, method=module.graph)[0, 0].sum()

    touched = np.abs(jax.grad(first)(x)[0]).sum(-1) > 0
    assert touched.tolist() == [False, False, True, False, False]


# Parts that are looked at


def test_parts_together_are_the_model():
    bound = small_model().bind(variables_of())
    maps = bound.maps(clips())
    assert maps.shape == (CLIPS, FRAMES, 3, 3, 6)
    features = bound.embed(maps)
    assert features.shape == bound.graph(features).shape == (CLIPS, FRAMES, FEATURES)
    assert (features >= 0).all()
    assert (small_model(feature_relu=False).bind(variables_of()).embed(maps) < 0).any()
    r = bound.before_dropout(clips())
    assert r.shape == (CLIPS, FEATURES)
    np.testing.assert_allclose(bound.after_dropout(r), logits_of(clips()), rtol=1e-4, atol=1e-5)


# Dropout


def test_what_comes_before_dropout_is_computed_once():
    """The samples are those of the whole model with the same keys."""
    model, key, passes = small_model(dropout=0.5), jax.random.key(3), 8

    def whole(variables, inputs):
        forward = uncertainty.stochastic(model)
        return uncertainty.mc_dropout(forward, variables, inputs, key, passes=passes)

    def once(variables, inputs):
        return uncertainty.sample(model, variables, inputs, key, passes=passes)

    samples = jax.jit(once)(variables_of(), clips())
    assert samples.shape == (passes, CLIPS, CLASSES)
    assert samples.std(0).max() > 1e-3
    expected = jax.jit(whole)(variables_of(), clips())
    np.testing.assert_allclose(samples, expected, rtol=0, atol=1e-6)

    def convolves_in_its_loop(function):
        equations = jax.make_jaxpr(function)(variables_of(), clips()).jaxpr.eqns
        loops = [str(each) for each in equations if each.primitive.name == "scan"]
        return any("conv_general_dilated" in loop for loop in loops)

    assert convolves_in_its_loop(whole) and not convolves_in_its_loop(once)


def test_without_dropout_all_passes_agree():
    samples = uncertainty.sample(
        small_model(), variables_of(), clips(), jax.random.key(0), passes=4
    )
    expected = np.broadcast_to(jax.nn.softmax(logits_of(clips())), samples.shape)
    np.testing.assert_allclose(samples, expected, rtol=0, atol=1e-5)


def test_dropout_follows_its_switch():
    model, variables, inputs = small_model(dropout=0.5), variables_of(), clips()
    rngs = {"dropout": jax.random.key(0)}
    off = model.apply(variables, inputs, train=False)
    on = model.apply(variables, inputs, train=False, dropout=True, rngs=rngs)
    assert np.abs(on - off).max() > 1e-3
    np.testing.assert_allclose(off, logits_of(inputs), rtol=1e-4, atol=1e-5)


# Options


def test_half_precision_and_remat():
    logits = logits_of(clips())
    half = logits_of(clips(), dtype="bfloat16")
    assert half.dtype == np.float32
    assert 1e-6 < np.abs(half - logits).max() < 0.1 * np.abs(logits).max()
    np.testing.assert_allclose(logits_of(clips(), remat=True), logits, rtol=1e-4, atol=1e-5)


def test_build_ties_the_model_to_the_frames_of_the_data():
    fields = {"name": "fer_gcn", "features": 8, "stages": [[4, 1]], "modules": 1}
    model = build(fields, CLASSES, None, FRAMES)
    assert model == FERGCN(CLASSES, FRAMES, 8, 1, stages=((4, 1),))
    assert (model.inputs, model.pixels) == ("frames", "imagenet")
