"""STC-NLSTM: one function with its PyTorch mirror, its nestings, layers, options, dropout."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fer_jax import uncertainty
from fer_jax.layers.conv3d import max_pool_frames
from fer_jax.systems import build
from fer_jax.systems.stc_nlstm.network import NESTINGS, STCNLSTM, mspp, pyramid

CLIPS, FRAMES, SIDE, CLASSES, HIDDEN = 3, 4, 16, 4, 5
CHANNELS = (4, 3, 5, 3, 4)
VARIANTS = {
    "nested": {},
    "sum": {"channels": (4,) * 5},
    "last": {},
    "none": {},
    "two layers": {"channels": (3, 4)},
}


def small_model(variant="nested", **options):
    fields = {"channels": CHANNELS, "hidden": HIDDEN, **VARIANTS[variant]}
    nesting = variant if variant in NESTINGS else "nested"
    return STCNLSTM(CLASSES, nesting=nesting, **{**fields, **options})


def clips(count=CLIPS, seed=1, side=SIDE):
    rng = np.random.default_rng(seed)
    return rng.uniform(-1, 1, (count, FRAMES, side, side, 3)).astype(np.float32)


@functools.cache
def variables_of(variant="nested"):
    """Random weights that let every part reach the logits."""
    init = functools.partial(small_model(variant).init, train=False)
    shapes = jax.eval_shape(init, jax.random.key(0), clips())
    rng = np.random.default_rng(0)

    def fill(path, leaf):
        name = path[-1].key
        if name in ("var", "scale"):
            values = rng.uniform(0.5, 1.5, leaf.shape)
        elif name in ("mean", "bias"):
            values = rng.normal(0, 0.2, leaf.shape)
        else:
            values = rng.normal(0, np.sqrt(2 / np.prod(leaf.shape[:-1])), leaf.shape)
        return values.astype(np.float32)

    return jax.tree_util.tree_map_with_path(fill, shapes)


def logits_of(inputs, variant="nested", variables=None, **options):
    apply = functools.partial(small_model(variant, **options).apply, train=False)
    return np.asarray(jax.jit(apply)(variables or variables_of(variant), inputs))


@functools.cache
def trained_once(variant, train, **options):
    """Logits, gradients of the cross-entropy and statistics of one pass."""
    model, variables = small_model(variant, **options), variables_of(variant)

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
    [
        ("nested", False),
        ("nested", True),
        ("sum", True),
        ("last", True),
        ("none", True),
        ("two layers", True),
    ],
)
def test_logits_gradients_and_statistics_are_those_of_pytorch(variant, train, torch):
    from benchmarks.torch_mirrors import stc_nlstm as mirrors
    from benchmarks.torch_mirrors.weights import channels_first, load

    model = small_model(variant)
    mirror = mirrors.STCNLSTM(
        CLASSES, model.channels, HIDDEN, model.nesting, frames=FRAMES, side=SIDE
    )
    mirror = load(variables_of(variant), mirror).train(train)
    logits, gradients, stats = trained_once(variant, train)
    expected = mirror(channels_first(clips()))
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
    from benchmarks.torch_mirrors import stc_nlstm as mirrors

    trained = [p.numel() for p in mirrors.STCNLSTM(6).parameters() if p.requires_grad]
    assert sum(trained) == 15_462_790


# MSPP


def binned(maps):
    """MSPP of one frame `[H, W, C]`, bin by bin."""
    height, width, _ = maps.shape
    found = []
    for n in (8, 4, 2):
        for i in range(n):
            rows = slice(int(np.floor(i * height / n)), int(np.ceil((i + 1) * height / n)))
            for j in range(n):
                columns = slice(int(np.floor(j * width / n)), int(np.ceil((j + 1) * width / n)))
                found.append(maps[rows, columns].max((0, 1)))
    return np.concatenate(found)


@pytest.mark.parametrize("size", [(8, 8), (16, 16), (12, 12), (7, 9), (3, 20), (56, 1)])
def test_bins_of_any_side(size):
    maps = np.random.default_rng(0).normal(size=(2, *size, 3)).astype(np.float32)
    expected = [binned(frame) for frame in maps]
    np.testing.assert_array_equal(mspp(maps), expected)


@pytest.mark.parametrize("side", [16, 32, 24, 12, 17])
def test_pooled_maps_are_read_only_where_they_hold_the_same_values(side):
    maps = np.random.default_rng(0).normal(size=(1, 2, side, side, 3)).astype(np.float32)
    np.testing.assert_array_equal(pyramid(maps, max_pool_frames(maps)), mspp(maps))


# Nestings


@pytest.mark.parametrize("variant", VARIANTS)
def test_gradient_reaches_every_parameter(variant):
    logits, gradients, _ = trained_once(variant, train=True)
    assert logits.shape == (CLIPS, CLASSES)
    dead = set()
    for path, leaf in jax.tree_util.tree_leaves_with_path(gradients):
        if not np.abs(leaf).max() > 1e-7:
            dead.add("/".join(part.key for part in path))
    # BatchNorm takes the mean away, and with it the bias in front of it.
    assert dead <= {"layer1/conv/bias", "layer2/conv/bias"}


@pytest.mark.parametrize("variant", VARIANTS)
def test_clips_do_not_touch_each_other(variant):
    logits, order = logits_of(clips(), variant), np.array([2, 0, 1])
    assert np.abs(logits - logits[order]).max() > 1e-3
    np.testing.assert_allclose(
        logits_of(clips()[order], variant), logits[order], rtol=1e-4, atol=1e-5
    )


@jax.jit
def by_hand(inputs):
    """Representations from the states of the layers: as the model has it, in the two orders."""
    model = small_model().bind(variables_of())
    rows = [mspp(maps) for maps, _ in model.layers(inputs)]
    states = [getattr(model, f"t_lstm{n}")(row) for n, row in enumerate(rows, 1)]
    r = model.before_dropout(inputs)
    orders = [model.c_lstm(jnp.stack(each, 1)) for each in (states, states[::-1])]
    return r, *orders, model.after_dropout(r)


def test_states_go_from_shallow_to_deep():
    r, shallow_first, deep_first, logits = by_hand(clips())
    assert r.shape == (CLIPS, HIDDEN)
    np.testing.assert_allclose(shallow_first, r, rtol=1e-4, atol=1e-5)
    assert np.abs(deep_first - r).max() > 1e-3
    np.testing.assert_allclose(logits, logits_of(clips()), rtol=1e-4, atol=1e-5)


def test_a_sum_of_pyramids():
    @jax.jit
    def summed(inputs):
        model = small_model("sum").bind(variables_of("sum"))
        return model.after_dropout(model.t_lstm(sum(mspp(f) for f, _ in model.layers(inputs))))

    np.testing.assert_allclose(summed(clips()), logits_of(clips(), "sum"), rtol=1e-4, atol=1e-5)


def test_frames_are_told_apart_by_their_place():
    for variant in NESTINGS:
        turned = logits_of(clips()[:, ::-1], variant)
        assert np.abs(turned - logits_of(clips(), variant)).max() > 1e-3, variant


def test_crops_whose_side_the_bins_do_not_divide():
    """The pyramid has one length for every side; without it a model is tied to its crops."""
    assert logits_of(clips(side=20)).shape == (CLIPS, CLASSES)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"nesting": "deep"}, "nesting=deep: use one of"),
        ({"nesting": "sum", "channels": (4, 5)}, "the layers of a sum have one width"),
    ],
)
def test_what_does_not_fit_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        STCNLSTM(CLASSES, **fields).init(jax.random.key(0), clips(), train=False)


# Dropout


def test_dropout_stands_before_the_classifier():
    """With all representations equal to one, what is dropped shows in the logits themselves."""
    model, rngs = small_model(dropout=0.5), {"dropout": jax.random.key(0)}
    params = {**variables_of()["params"]}
    params["head"] = {"kernel": jnp.ones((HIDDEN, CLASSES)), "bias": jnp.zeros(CLASSES)}
    logits = model.apply(
        {**variables_of(), "params": params},
        jnp.ones((200, HIDDEN)),
        dropout=True,
        rngs=rngs,
        method=model.after_dropout,
    )
    assert set(np.unique(logits)) <= {2.0 * n for n in range(HIDDEN + 1)}
    assert 0.4 < logits.mean() / (2 * HIDDEN) < 0.6


def test_dropout_follows_its_switch():
    model, rngs = small_model(dropout=0.5), {"dropout": jax.random.key(0)}
    apply = jax.jit(
        functools.partial(model.apply, variables_of(), train=False, rngs=rngs),
        static_argnames="dropout",
    )
    off, on = apply(clips()), apply(clips(), dropout=True)
    assert np.abs(on - off).max() > 1e-3
    np.testing.assert_allclose(off, logits_of(clips()), rtol=1e-4, atol=1e-5)


def test_what_comes_before_dropout_is_computed_once():
    model = small_model(dropout=0.5)

    def once(variables, inputs):
        return uncertainty.sample(model, variables, inputs, jax.random.key(3), passes=8)

    samples = jax.jit(once)(variables_of(), clips())
    assert samples.shape == (8, CLIPS, CLASSES)
    assert samples.std(0).max() > 1e-3
    equations = jax.make_jaxpr(once)(variables_of(), clips()).jaxpr.eqns
    loops = [str(each) for each in equations if each.primitive.name == "scan"]
    assert loops and not any("conv_general_dilated" in loop for loop in loops)


# Options


def test_remat_changes_nothing():
    stored, again = trained_once("nested", True), trained_once("nested", True, remat=True)
    for ours, theirs in zip(jax.tree.leaves(again), jax.tree.leaves(stored), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


def test_half_precision_is_of_the_convolutions_alone():
    logits, half = logits_of(clips()), logits_of(clips(), dtype="bfloat16")
    assert half.dtype == np.float32
    assert 1e-6 < np.abs(half - logits).max() < 0.1 * np.abs(logits).max()


def test_build_makes_it_for_any_number_of_frames():
    fields = {"name": "stc_nlstm", "channels": [4, 3], "hidden": 8, "nesting": "last"}
    model = build(fields, CLASSES, None, FRAMES)
    assert model == STCNLSTM(CLASSES, (4, 3), 8, "last")
    assert (model.inputs, model.pixels) == ("frames", "symmetric")
