"""ST-GCN, AGCN and DGNN: one function with their PyTorch mirrors, and the promised invariances."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fer_jax.faces import landmarks
from fer_jax.systems import SYSTEMS, build
from fer_jax.systems.graph_baselines.agcn import AdaptiveGraphConv
from fer_jax.systems.graph_baselines.st_gcn import STGCN, graph_product, partition
from fer_jax.systems.st_bln.network import STBLN

NODES, CLASSES, CENTRE = 6, 3, 4
WIDTHS = (4, 4, 8, 8, 8)  # the fifth layer halves the time
EDGES = ((0, 1), (0, 3), (1, 2), (1, 5), (2, 3), (0, 4), (5, 4), (3, 4))
KINDS = {
    "st_gcn": {"name": "st_gcn"},
    "agcn": {"name": "agcn"},
    "original": {"name": "st_gcn", "original": True, "centre": CENTRE},
    "dgnn": {"name": "dgnn"},
}


def graph_of(edges=EDGES):
    return landmarks.Graph(np.array(edges, np.int32), np.zeros((NODES, 2), np.float32))


def small_model(kind, edges=EDGES, **options):
    fields = {**KINDS[kind], "nodes": NODES, "widths": list(WIDTHS), **options}
    return build(fields, CLASSES, graph_of(edges))


def clip_batch(clips=4, frames=4, seed=1):
    return np.random.default_rng(seed).normal(0, 2, (clips, frames, NODES, 2)).astype(np.float32)


@functools.partial(jax.jit, static_argnums=0, static_argnames="dropout")
def logits_of(model, variables, inputs, key=None, dropout=None):
    """Logits with BatchNorm in inference mode."""
    rngs = {"dropout": jax.random.key(0) if key is None else key}
    return model.apply(variables, inputs, train=False, dropout=dropout, rngs=rngs)


@functools.cache
def variables_of(kind):
    """Variables without the scale of 1e-6, which hides the graph, and with random masks."""
    model = small_model(kind)
    init = jax.jit(lambda key: model.init(key, jnp.asarray(clip_batch()), train=False))
    rng = np.random.default_rng(0)

    def wake(path, leaf):
        names = [part.key for part in path]
        if names[-2:] == ["graph_norm", "scale"]:
            return jnp.ones_like(leaf)
        if names[-1] in ("P", "M", "S", "T"):
            return leaf + rng.normal(0, 0.1, leaf.shape).astype(np.float32)
        return leaf

    return jax.tree_util.tree_map_with_path(wake, init(jax.random.key(0)))


# Parity with PyTorch


@pytest.fixture(scope="module")
def torch():
    """PyTorch on one thread: arrays here are tiny, threads that wait for each other cost most."""
    torch = pytest.importorskip("torch", reason="compares with PyTorch: pip install torch")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield torch
    torch.set_num_threads(threads)


@pytest.mark.parametrize(("frames", "train"), [(16, False), (4, True)])
@pytest.mark.parametrize("kind", KINDS)
def test_logits_gradients_and_statistics_are_those_of_pytorch(kind, frames, train, torch):
    from benchmarks import parity

    options = {"widths": WIDTHS} | ({"centre": CENTRE} if kind == "original" else {})
    pair = parity.make_baseline_pair(kind, graph_of(), CLASSES, frames, **options)
    difference = parity.compare(*pair, clip_batch(frames=frames), np.arange(4) % 3, train=train)
    assert difference["largest_gradient"] > 0.1
    for name in ("logits", "gradients", "statistics"):
        assert difference[name] < 1e-4, name


@pytest.mark.parametrize("kind", KINDS)
def test_parity_would_notice_every_parameter(kind, torch):
    from benchmarks import parity

    options = {"widths": WIDTHS} | ({"centre": CENTRE} if kind == "original" else {})
    _, variables, mirror = parity.make_baseline_pair(kind, graph_of(), CLASSES, 4, **options)
    names = parity.names_of(mirror)(variables["params"])
    assert set(names) == {name for name, _ in mirror.named_parameters()}
    with pytest.raises(RuntimeError, match="layer1.graph.P|layer1.graph.M|layer1.S"):
        parity.load({**variables, "params": {**variables["params"], "layer1": {}}}, mirror)


@pytest.mark.parametrize("kind", KINDS)
def test_mirror_starts_as_flax_does(kind, torch):
    """The incidence of the mirror is built by other code, the deviations are its own."""
    from benchmarks import parity
    from benchmarks.torch_mirrors import graph_baselines

    options = {"centre": CENTRE} if kind == "original" else {}
    mirror = graph_baselines.make_mirror(kind, EDGES, NODES, CLASSES, widths=WIDTHS, **options)
    model = small_model(kind)
    init = jax.jit(lambda key: model.init(key, jnp.asarray(clip_batch()), train=False))
    ours = parity.names_of(mirror)(jax.tree.map(np.asarray, init(jax.random.key(0))["params"]))
    theirs = {name: value.detach().numpy() for name, value in mirror.named_parameters()}
    for name, value in ours.items():
        if value.std() == 0 or name.rpartition(".")[2] in ("S", "T"):
            np.testing.assert_allclose(value, theirs[name], rtol=1e-6, err_msg=name)
        elif value.size > 100:
            assert value.std() == pytest.approx(theirs[name].std(), rel=0.35), name


# Shapes, gradients


@pytest.mark.parametrize("frames", [4, 5, 20])
@pytest.mark.parametrize("kind", KINDS)
def test_logits_are_finite_for_any_length(kind, frames):
    logits = logits_of(small_model(kind), variables_of(kind), clip_batch(frames=frames))
    assert logits.shape == (4, CLASSES)
    assert np.isfinite(logits).all()


@pytest.mark.parametrize("kind", KINDS)
def test_gradient_reaches_every_parameter(kind):
    model, variables = small_model(kind), variables_of(kind)
    inputs = jnp.asarray(clip_batch(clips=6))

    @jax.jit
    def gradient(params):
        def loss(params):
            logits, _ = model.apply(
                {**variables, "params": params}, inputs, train=True, mutable=["batch_stats"]
            )
            return jax.nn.log_softmax(logits)[:, 0].sum()

        return jax.grad(loss)(params)

    dead = set()
    for path, leaf in jax.tree_util.tree_leaves_with_path(gradient(variables["params"])):
        if not np.abs(leaf).max() > 1e-5:
            dead.add("/".join(part.key for part in path[-2:]))
    # BatchNorm takes the mean away, so a bias in front of it has no gradient; a bias of theta adds
    # the same to all scores that a softmax compares.
    biases = {"graph/bias", "graph/theta_bias", "down/bias", "residual/bias", "temporal/bias"}
    linear = {f"layer{n}/{name}_bias" for n in range(1, 6) for name in ("H_v", "H_e")}
    assert dead <= biases | linear


# Invariances


@pytest.mark.parametrize("kind", KINDS)
def test_order_of_the_clips_does_not_matter(kind):
    model, variables = small_model(kind), variables_of(kind)
    inputs, order = clip_batch(), np.array([2, 0, 3, 1])
    logits = logits_of(model, variables, inputs)
    np.testing.assert_allclose(
        logits_of(model, variables, inputs[order]), logits[order], rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("kind", KINDS)
def test_order_of_the_nodes_does_not_matter_when_the_graph_follows(kind):
    variables, inputs = variables_of(kind), clip_batch()
    order = np.random.default_rng(0).permutation(NODES)  # new node n is old node order[n]
    new_number = np.argsort(order)
    edges = tuple((int(new_number[i]), int(new_number[j])) for i, j in EDGES)

    def follow(path, leaf):
        names = [part.key for part in path]
        if names[-1] in ("P", "M"):
            return leaf[:, order][:, :, order]
        if names[-1] in ("S", "T"):
            return leaf[order]
        if names[-2] in ("data_norm", "node_data_norm"):
            return leaf.reshape(NODES, 2)[order].ravel()
        return leaf

    options = {"centre": int(new_number[CENTRE])} if kind == "original" else {}
    moved = jax.tree_util.tree_map_with_path(follow, variables)
    logits = logits_of(small_model(kind), variables, inputs)
    again = logits_of(small_model(kind, edges, **options), moved, inputs[:, :, order])
    np.testing.assert_allclose(again, logits, rtol=1e-3, atol=1e-4)
    unmoved = logits_of(small_model(kind), variables, inputs[:, :, order])
    assert np.abs(unmoved - logits).max() > 1e-2


@pytest.mark.parametrize("kind", ["st_gcn", "agcn", "original"])
def test_repeated_edges_and_self_loops_do_not_change_the_square_matrices(kind):
    repeated = (*EDGES, EDGES[0], EDGES[1][::-1], (CENTRE, CENTRE))
    logits, again = (
        logits_of(small_model(kind, edges), variables_of(kind), clip_batch())
        for edges in (EDGES, repeated)
    )
    np.testing.assert_array_equal(again, logits)


def test_reference_graph_of_a_face_partitions_like_the_clean_one():
    face = landmarks.inner(landmarks.MEAN_FACE)
    clean, reference = (
        partition(tuple(map(tuple, landmarks.make_graph(face, mode).edges.tolist())), 51)
        for mode in ("clean", "reference")
    )
    np.testing.assert_array_equal(clean, reference)


def test_dgnn_computes_the_edge_features_of_the_data():
    """Statistics of the second data BatchNorm are those of `landmarks.edge_features`."""
    model, variables, inputs = small_model("dgnn"), variables_of("dgnn"), clip_batch()
    apply = functools.partial(model.apply, train=True, mutable=["batch_stats"])
    _, updates = jax.jit(apply)(variables, inputs)
    features = landmarks.edge_features(inputs, np.array(EDGES))
    expected = 0.1 * features.mean((0, 1)).ravel()
    found = updates["batch_stats"]["edge_data_norm"]["mean"]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("widths", [(3, 5), (5, 3)])
def test_nodes_and_channels_mix_in_either_order(widths):
    narrow, wide = widths
    rng = np.random.default_rng(0)
    matrices, kernel = rng.normal(size=(3, 4, 4)), rng.normal(size=(3, narrow, wide))
    x = rng.normal(size=(4, 2, 6, narrow))
    expected = np.einsum("svw,vbtc,scd->wbtd", matrices, x, kernel)
    found = graph_product(*map(jnp.float32, (matrices, x, kernel)))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


# Attention of AGCN


def adaptive_output(x, change):
    conv = AdaptiveGraphConv(8, EDGES, NODES)
    variables = jax.jit(conv.init)(jax.random.key(0), x)
    params = {name: change(leaf) for name, leaf in variables["params"].items()}
    return jax.jit(conv.apply)({"params": params}, x), params


def test_softmax_runs_over_the_gathered_nodes():
    """Where all nodes are alike, each gathers a mean (weights of sum 1), whatever the embedding."""
    x = jnp.broadcast_to(jnp.asarray([1.0, -2.0]), (2, NODES, 4, 2))
    y, params = adaptive_output(x, lambda leaf: leaf)
    gathered = partition(EDGES, NODES).sum(1) + NODES * 1e-6 + 1
    weights = jnp.einsum("c,scf->sf", x[0, 0, 0], params["kernel"])
    expected = jnp.einsum("sw,sf->wf", gathered, weights)
    np.testing.assert_allclose(y[1, :, 2], expected, rtol=1e-4, atol=1e-5)


def test_attention_is_the_published_formula():
    x = np.random.default_rng(0).normal(0, 2, (3, NODES, 4, 2)).astype(np.float32)
    y, params = adaptive_output(jnp.asarray(x), lambda leaf: leaf + 0.3)
    theta = np.einsum("bvtc,sck->sbvtk", x, params["theta_kernel"]) + 0.3
    phi = np.einsum("bvtc,sck->sbvtk", x, params["phi_kernel"]) + 0.3
    weights = np.exp(np.einsum("sbvtk,sbwtk->sbvw", theta, phi) / (2 * 4))  # Fo/4 T
    attention = weights / weights.sum(2, keepdims=True)
    matrices = (partition(EDGES, NODES) + params["P"])[:, None] + attention
    expected = np.einsum("sbvw,bvtc,scf->bwtf", matrices, x, params["kernel"])
    np.testing.assert_allclose(y, expected + 3 * 0.3, rtol=1e-3, atol=1e-3)
    transposed = np.einsum("sbwv,bvtc,scf->bwtf", matrices, x, params["kernel"])
    assert np.abs(y - transposed - 3 * 0.3).max() > 0.1


def test_attention_belongs_to_the_example():
    model, variables, inputs = small_model("agcn"), variables_of("agcn"), clip_batch()
    alone = logits_of(model, variables, inputs[1:2])
    np.testing.assert_allclose(
        alone, logits_of(model, variables, inputs)[1:2], rtol=1e-4, atol=1e-5
    )


# Dropout


@pytest.mark.parametrize("kind", ["st_gcn", "agcn", "dgnn"])
def test_dropout_follows_its_switch(kind):
    variables, inputs = variables_of(kind), clip_batch()
    model = small_model(kind, dropout=0.2)
    off = logits_of(model, variables, inputs)
    on = logits_of(model, variables, inputs, dropout=True)
    other = logits_of(model, variables, inputs, jax.random.key(1), dropout=True)
    assert np.abs(on - off).max() > 1e-3 and np.abs(on - other).max() > 1e-3
    np.testing.assert_allclose(
        logits_of(small_model(kind), variables, inputs, dropout=True), off, atol=1e-5
    )


@pytest.mark.parametrize("kind", ["st_gcn", "agcn", "dgnn"])
def test_dropout_masks_belong_to_the_example(kind):
    """The first two clips of a batch draw the same masks with and without clips behind them."""
    model, variables, inputs = small_model(kind, dropout=0.2), variables_of(kind), clip_batch()
    whole = logits_of(model, variables, inputs, dropout=True)
    part = logits_of(model, variables, inputs[:2], dropout=True)
    np.testing.assert_allclose(part, whole[:2], rtol=1e-4, atol=1e-5)


# Building from a config


def test_models_say_what_they_eat():
    assert {name: each.network.inputs for name, each in SYSTEMS.items()} == {
        "st_bln": "edges", "st_gcn": "nodes", "agcn": "nodes", "dgnn": "nodes",
        "fer_gcn": "frames", "stc_nlstm": "frames", "densenet": "frames",
        "inception_resnet_3d": "faces", "bilinear_cnn": "frames",
    }  # fmt: skip


def test_build_passes_the_graph_to_those_who_want_it():
    assert build({"name": "st_bln", "widths": [4, 4]}, 3, graph_of()) == STBLN(3, (4, 4))
    model = build({"name": "st_gcn", "nodes": NODES, "classes": 3}, 3, graph_of())
    assert model == STGCN(3, EDGES, NODES)
    assert hash(model) == hash(STGCN(3, EDGES, NODES))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": "gcn"}, r"model 'gcn' is unknown: use one of \['agcn', 'bilinear_cnn', "),
        ({}, "model None is unknown"),
        ({"name": "agcn", "subsets": 3}, r"'agcn' has no field 'subsets' to set: it has \['dropou"),
        ({"name": "dgnn", "edges": []}, "'dgnn' has no field 'edges' to set"),
        ({"name": "dgnn", "classes": 4}, "another number of classes than the data set's 3"),
    ],
)
def test_wrong_fields_are_named(fields, message):
    with pytest.raises(ValueError, match=message):
        build(fields, 3, graph_of())


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("agcn", {"kernel_size": 4}, "kernel_size=4: it must be odd"),
        ("dgnn", {"nodes": 51}, r"inputs are \[B, T, 51, 2\] node coordinates, not \(4, 4, 6, 2\)"),
        ("st_gcn", {"edges": ((0, 6),)}, r"an edge names node 6, but the nodes are 0..5"),
        ("dgnn", {"edges": ((-1, 2),)}, r"an edge names node -1, but the nodes are 0..5"),
        ("st_gcn", {"edges": ()}, "the landmark graph has no edges"),
        ("original", {"centre": 16}, "centre=16: it must lie in 0 to 5"),
    ],
)
def test_wrong_values_are_named(kind, options, message):
    with pytest.raises(ValueError, match=message):
        small_model(kind, **options).init(jax.random.key(0), clip_batch(), train=False)
