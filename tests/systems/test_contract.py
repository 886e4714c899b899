"""What every system promises: its mirror's function, gradients, dropout, precision, errors."""

import contextlib
import functools

import flax
import jax
import numpy as np
import pytest

from fer_jax import uncertainty
from fer_jax.systems import SYSTEMS, build
from fer_jax.systems.stc_nlstm.densenet import mean_over_frames
from tests.quick import quick
from tests.systems.toys import (
    CLASSES,
    EDGES,
    GRAPH,
    NODES,
    TOYS,
    draw,
    make,
    outputs,
    variables,
)

torch = pytest.importorskip("torch", reason="compares with PyTorch: pip install torch")

from benchmarks.torch_mirrors import (  # noqa: E402
    bilinear_cnn,
    densenet,
    fer_gcn,
    graph_baselines,
    inception_resnet_3d,
    st_bln,
    stc_nlstm,
)
from benchmarks.torch_mirrors.weights import channels_first, load, names_of  # noqa: E402

# With the convolutions of a CPU; the others have those of an accelerator, which compile faster.
WITH_A_TOY = [name for name in SYSTEMS if name in TOYS]
ON_A_CPU = [*WITH_A_TOY, "stc_nlstm last", "inception_resnet_3d bare"]
ON_A_CPU = [name for name in ON_A_CPU if name not in ("stc_nlstm", "inception_resnet_3d")]


def able(names, attribute: str) -> list[str]:
    """Those toys whose network has an attribute; one that cannot be built fails in every test."""
    found = []
    for name in names:
        with contextlib.suppress(ValueError, ImportError):
            found += [name] if hasattr(make(name), attribute) else []
    return found


EVERY_TOY = pytest.mark.parametrize("name", TOYS)
EVERY_SYSTEM = pytest.mark.parametrize("name", WITH_A_TOY)
# The smallest that have every kind of layer that is computed again; both trunks.
REMAT = ["fer_gcn cnn", "stc_nlstm sum", "densenet", "inception_resnet_3d still", "bilinear_cnn",
         "bilinear_cnn global"]  # fmt: skip
# Dropout stands elsewhere in these.
DROPPING = [*able(WITH_A_TOY, "dropout"), "st_bln before", "inception_resnet_3d still",
            "bilinear_cnn reduced", "bilinear_cnn low_rank", "bilinear_cnn global"]  # fmt: skip
IN_PARTS = able(DROPPING, "before_dropout")
IN_HALF_PRECISION = able(WITH_A_TOY, "dtype")


@pytest.fixture(autouse=True)
def backend(request, monkeypatch):
    """Each toy has the convolutions of one backend, wherever the tests run."""
    name = request.node.callspec.params.get("name") if hasattr(request.node, "callspec") else None
    if name in TOYS:
        monkeypatch.setattr(jax, "default_backend", lambda: "cpu" if name in ON_A_CPU else "gpu")


def mirror_of(name: str) -> torch.nn.Module:
    """The mirror of a toy, with first weights of its own; a system without one is skipped."""
    toy = TOYS[name]
    (frames, side), fields = toy.shape[:2], dict(toy.fields)
    match toy.system:
        case "st_bln":
            return st_bln.STBLN(side, CLASSES, dropout=0.0, **fields)
        case "st_gcn" | "agcn" | "dgnn":
            kind = "original" if fields.pop("original", False) else toy.system
            return graph_baselines.make_mirror(kind, EDGES, fields.pop("nodes"), CLASSES, **fields)
        case "fer_gcn":
            return fer_gcn.FERGCN(CLASSES, frames, **fields)
        case "stc_nlstm":
            return stc_nlstm.STCNLSTM(CLASSES, **fields, frames=frames, side=side)
        case "densenet":
            return densenet.DenseNet(CLASSES, **fields)
        case "inception_resnet_3d":
            fields.pop("landmarks", None)
            return inception_resnet_3d.InceptionResNet3D(CLASSES, **fields)
        case "bilinear_cnn":
            return bilinear_cnn.BilinearCNN(CLASSES, dropout=0.0, **fields)
        case system:
            pytest.skip(f"{system} has no mirror in benchmarks/torch_mirrors")


def to_mirror(name: str, inputs) -> tuple:
    """Inputs as the mirror takes them: volumes, frames one after another, or faces and filters."""
    if name.startswith("inception_resnet_3d"):
        filters = make(name).filters(inputs) if make(name).landmarks else {"A": None, "B": None}
        arrays = (inputs["frames"], filters["A"], filters["B"])
        return tuple(None if each is None else channels_first(each) for each in arrays)
    by_frame = TOYS[name].system in ("fer_gcn", "densenet", "bilinear_cnn")
    return (channels_first(inputs, 2 if by_frame else 1),)


def weights_like(outputs):
    return np.random.default_rng(2).normal(size=outputs.shape).astype(np.float32)


@functools.cache
def trained(name: str, **options) -> tuple:
    """Outputs, gradients of a weighted sum and statistics in training, without dropout."""
    model = make(name, dropout=0.5, **options)

    @quick
    def run(own, inputs):
        def loss(params):
            y, updates = model.apply(
                {**own, "params": params}, inputs, train=True, dropout=False,
                mutable=["batch_stats"],
            )  # fmt: skip
            return (y * weights_like(y)).sum(), (y, updates.get("batch_stats", {}))

        gradients, (y, stats) = jax.grad(loss, has_aux=True)(own["params"])
        return y, gradients, stats

    return jax.tree.map(np.asarray, run(variables(name), draw(name)))


@functools.cache
def dropping(name: str):
    """Makes `(inputs, key) -> (outputs with dropout alone, statistics)`."""
    model = make(name, dropout=0.5)

    @quick
    def run(own, inputs, key):
        options = {"rngs": {"dropout": key}, "mutable": ["batch_stats"]}
        return model.apply(own, inputs, train=False, dropout=True, **options)

    return functools.partial(run, variables(name))


def with_other_clips(name: str):
    """Inputs whose first clip is that of `draw`, the others not."""
    return jax.tree.map(
        lambda mine, other: np.concatenate([mine[:1], other[1:]]), draw(name), draw(name, seed=9)
    )


@pytest.mark.parametrize("name", SYSTEMS)
def test_system_has_a_toy(name):
    assert name in TOYS, (
        f"the contract of systems is not tested: add a row {name!r} to TOYS in "
        "tests/systems/toys.py, a small network of it"
    )
    assert TOYS[name].system == name


def test_every_toy_is_of_a_system():
    assert {toy.system for toy in TOYS.values()} <= set(SYSTEMS)


# Parity with PyTorch


@EVERY_TOY
def test_outputs_gradients_and_statistics_are_those_of_the_mirror(name):
    inference, (training, gradients, stats) = outputs(name, draw(name)), trained(name)
    mirror, inputs = load(variables(name), mirror_of(name)), to_mirror(name, draw(name))
    names = names_of(mirror)
    with torch.no_grad():
        expected = mirror.eval()(*inputs).numpy()
    if expected.ndim == 3:  # of frames
        dimensional = TOYS[name].system == "bilinear_cnn"
        expected = expected.mean(1) if dimensional else np.asarray(mean_over_frames(expected))
    np.testing.assert_allclose(inference, expected, rtol=0, atol=1e-4 * np.abs(expected).max())
    assert np.ptp(expected, axis=0).max() > 1e-3

    expected = mirror.train()(*inputs)
    (expected * torch.from_numpy(weights_like(training))).sum().backward()
    expected = expected.detach().numpy()
    np.testing.assert_allclose(training, expected, rtol=0, atol=1e-4 * np.abs(expected).max())
    theirs = {key: p.grad.numpy() for key, p in mirror.named_parameters() if p.requires_grad}
    ours = names(gradients)
    assert set(ours) == set(theirs)
    largest = max(np.abs(value).max() for value in theirs.values())
    for key, value in theirs.items():
        assert np.abs(ours[key] - value).max() < 1e-4 * largest, key
    buffers = {key: value.numpy() for key, value in mirror.named_buffers() if "running" in key}
    stats = names(stats)
    assert set(stats) == set(buffers)
    for key, value in buffers.items():
        np.testing.assert_allclose(stats[key], value, rtol=1e-4, atol=1e-5, err_msg=key)


@EVERY_SYSTEM
def test_weights_that_do_not_fit_the_mirror_are_refused(name):
    params = dict(variables(name)["params"])
    del params[sorted(params)[-1]]
    with pytest.raises(RuntimeError, match="Missing key"):
        load({**variables(name), "params": params}, mirror_of(name))


# Gradients, clips


@EVERY_TOY
def test_gradient_reaches_every_parameter(name):
    dead = set()
    for path, leaf in jax.tree_util.tree_leaves_with_path(trained(name)[1]):
        if not np.abs(leaf).max() > 1e-6:
            dead.add("/".join(part.key for part in path))
    assert all(each.endswith(TOYS[name].silent) for each in dead), dead


@EVERY_SYSTEM
def test_clips_do_not_touch_each_other(name):
    order = np.array([2, 0, 1])
    y = outputs(name, draw(name))
    turned = outputs(name, jax.tree.map(lambda leaf: leaf[order], draw(name)))
    np.testing.assert_allclose(turned, y[order], rtol=1e-4, atol=1e-5)
    beside = outputs(name, with_other_clips(name))
    np.testing.assert_allclose(beside[0], y[0], rtol=1e-4, atol=1e-5)
    assert np.abs(beside[1:] - y[1:]).max() > 1e-3


# Dropout


@pytest.mark.parametrize("name", DROPPING)
def test_dropout_follows_its_switch(name):
    """Alone it leaves BatchNorm in inference mode; training turns it on; masks are of a clip."""
    run, keys = dropping(name), jax.random.split(jax.random.key(0), 2)
    on, stats = run(draw(name), keys[0])
    assert np.abs(on - outputs(name, draw(name))).max() > 1e-3
    assert np.abs(run(draw(name), keys[1])[0] - on).max() > 1e-3
    for ours, stored in zip(
        jax.tree.leaves(stats), jax.tree.leaves(variables(name).get("batch_stats", {})), strict=True
    ):
        np.testing.assert_array_equal(ours, stored)
    beside = run(with_other_clips(name), keys[0])[0]
    np.testing.assert_allclose(beside[0], on[0], rtol=1e-4, atol=1e-5)
    train = functools.partial(make(name, dropout=0.5).apply, train=True, mutable=["batch_stats"])
    with pytest.raises(flax.errors.InvalidRngError):  # it asks for a key
        jax.eval_shape(train, variables(name), draw(name))


@pytest.mark.parametrize("name", IN_PARTS)
def test_what_comes_before_dropout_is_computed_once(name):
    """The samples are those of the whole network with the same keys."""
    model, key, mc_samples = make(name, dropout=0.5), jax.random.key(3), 4
    softmax = TOYS[name].system != "bilinear_cnn"
    options = {
        "mc_samples": mc_samples,
        "probabilities": jax.nn.softmax if softmax else lambda y: y,
    }

    def once(own, inputs):
        return uncertainty.sample(model, own, inputs, key, **options)

    traced = quick(once).trace(variables(name), draw(name))
    samples = np.asarray(traced.lower().compile()(variables(name), draw(name)))
    assert samples.std(0).max() > 1e-3
    for ours, own in zip(samples, jax.random.split(key, mc_samples), strict=True):
        whole = options["probabilities"](dropping(name)(draw(name), own)[0])
        np.testing.assert_allclose(ours, whole, rtol=1e-4, atol=1e-5)
    loops = [str(each) for each in traced.jaxpr.eqns if each.primitive.name == "scan"]
    assert loops and not any("conv_general_dilated" in loop for loop in loops)


# Options


@pytest.mark.parametrize("name", REMAT)
def test_remat_changes_nothing(name):
    stored, again = trained(name), trained(name, remat=True)
    largest = max(np.abs(leaf).max() for leaf in jax.tree.leaves(stored))
    for ours, theirs in zip(jax.tree.leaves(again), jax.tree.leaves(stored), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5 * largest)


def test_every_network_that_can_is_rematerialised():
    missing = {*able(WITH_A_TOY, "remat")} - {TOYS[name].system for name in REMAT}
    assert not missing, f"add a toy of each to REMAT: {missing}"


@pytest.mark.parametrize("name", IN_HALF_PRECISION)
def test_half_precision_is_of_the_products_alone(name):
    y, half = outputs(name, draw(name)), outputs(name, draw(name), dtype="bfloat16")
    assert half.dtype == np.float32
    assert 1e-6 < np.abs(half - y).max() < 0.2 * np.abs(y).max()
    init = functools.partial(make(name, dtype="bfloat16").init, train=False)
    leaves = jax.tree.leaves(jax.eval_shape(init, jax.random.key(0), draw(name, 1)))
    assert {leaf.dtype.name for leaf in leaves} == {"float32"}


# Building from a config


@pytest.mark.parametrize(
    ("name", "inputs", "pixels"),
    [
        ("st_bln", "edges", None), ("st_gcn", "nodes", None), ("agcn", "nodes", None),
        ("dgnn", "nodes", None), ("fer_gcn", "frames", "imagenet"),
        ("stc_nlstm", "frames", "symmetric"), ("densenet", "frames", "imagenet"),
        ("inception_resnet_3d", "faces", "symmetric"), ("bilinear_cnn", "frames", "vggface"),
    ],
)  # fmt: skip
def test_config_builds_the_network(name, inputs, pixels):
    model, toy = make(name), TOYS[name]
    assert type(model) is SYSTEMS[name].network and model == make(name)
    assert hash(model) == hash(make(name))
    assert (model.inputs, getattr(model, "pixels", None)) == (inputs, pixels)
    given = {"classes": CLASSES, "frames": toy.shape[0], "edges": EDGES}
    for field, value in given.items():
        assert getattr(model, field, value) == value

    def tuples(value):
        return tuple(map(tuples, value)) if isinstance(value, list) else value

    for field, value in toy.fields.items():
        assert getattr(model, field) == tuples(value)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": "gcn"}, r"model 'gcn' is unknown: use one of \['agcn', 'bilinear_cnn', "),
        ({}, "model None is unknown"),
        ({"name": "agcn", "subsets": 3}, r"'agcn' has no field 'subsets' to set: it has \['dropou"),
        ({"name": "dgnn", "edges": []}, "'dgnn' has no field 'edges' to set"),
        ({"name": "dgnn", "classes": 4}, "another number of classes than the dataset's 3"),
    ],
)
def test_wrong_fields_are_named(fields, message):
    with pytest.raises(ValueError, match=message):
        build(fields, CLASSES, GRAPH)


@pytest.mark.parametrize(
    ("name", "edges", "message"),
    [
        ("st_gcn", ((0, NODES),), r"an edge names node 6, but the nodes are 0..5"),
        ("dgnn", ((-1, 2),), r"an edge names node -1, but the nodes are 0..5"),
        ("st_gcn", (), "the landmark graph has no edges"),
    ],
)
def test_wrong_edges_are_named(name, edges, message):
    model = make(name).clone(edges=edges)
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(lambda: model.init(jax.random.key(0), draw(name), train=False))


def test_wrong_sizes_of_inputs_are_named():
    with pytest.raises(ValueError, match="was made for 5 frames, not 4"):
        outputs("fer_gcn", draw("fer_gcn")[:, :4])
    message = r"inputs are \[B, T, 51, 2\] coordinates, not \(3, 5, 6, 2\)"
    with pytest.raises(ValueError, match=message):
        init = functools.partial(make("dgnn", nodes=51).init, train=False)
        jax.eval_shape(init, jax.random.key(0), draw("dgnn"))
