"""ST-GCN, AGCN and DGNN: first weights, invariances to nodes and edges, attention."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fer_jax.faces import landmarks
from fer_jax.systems.graph_baselines.agcn import AdaptiveGraphConv
from fer_jax.systems.graph_baselines.st_gcn import graph_product, partition, spatial_partition
from tests.quick import quick
from tests.systems.toys import (
    CENTRE,
    CLASSES,
    EDGES,
    NODES,
    TOYS,
    draw,
    make,
    outputs,
    variables,
)

KINDS = ("st_gcn", "agcn", "st_gcn original", "dgnn")


@pytest.mark.parametrize("kind", KINDS)
def test_mirror_starts_as_flax_does(kind):
    """The incidence of the mirror is built by other code, the deviations are its own."""
    pytest.importorskip("torch", reason="compares with PyTorch: pip install torch")
    from benchmarks.torch_mirrors import graph_baselines

    fields = {**TOYS[kind].fields, "widths": [8, 12]}
    name = "original" if fields.pop("original", False) else kind
    mirror = graph_baselines.make_mirror(name, EDGES, fields.pop("nodes"), CLASSES, **fields)
    init = functools.partial(make(kind, widths=[8, 12]).init, train=False)
    own = quick(init)(jax.random.key(0), draw(kind))
    ours = graph_baselines.torch_names(jax.tree.map(np.asarray, own["params"]))
    theirs = {name: value.detach().numpy() for name, value in mirror.named_parameters()}
    for name, value in ours.items():
        if value.std() == 0 or name.rpartition(".")[2] in ("S", "T"):
            np.testing.assert_allclose(value, theirs[name], rtol=1e-6, err_msg=name)
        elif value.size > 100:
            assert value.std() == pytest.approx(theirs[name].std(), rel=0.35), name


# Invariances


@pytest.mark.parametrize("kind", KINDS)
def test_nodes_may_stand_in_any_order_when_the_graph_follows(kind):
    own, inputs = variables(kind), draw(kind)
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

    centre = {"centre": int(new_number[CENTRE])} if "original" in kind else {}
    moved = make(kind, **centre).clone(edges=edges)
    y = outputs(kind, inputs)
    apply = quick(functools.partial(moved.apply, train=False))
    again = apply(jax.tree_util.tree_map_with_path(follow, own), inputs[:, :, order])
    np.testing.assert_allclose(again, y, rtol=1e-3, atol=1e-4)
    assert np.abs(outputs(kind, inputs[:, :, order]) - y).max() > 1e-2


@pytest.mark.parametrize(
    "function", [partition, functools.partial(spatial_partition, centre=CENTRE)]
)
def test_repeated_edges_and_self_loops_do_not_change_the_square_matrices(function):
    repeated = (*EDGES, EDGES[0], EDGES[1][::-1], (CENTRE, CENTRE))
    np.testing.assert_array_equal(function(repeated, NODES), function(EDGES, NODES))


def test_reference_graph_of_a_face_partitions_like_the_clean_one():
    face = landmarks.inner(landmarks.MEAN_FACE)
    clean, reference = (
        partition(tuple(map(tuple, landmarks.make_graph(face, mode).edges.tolist())), 51)
        for mode in ("clean", "reference")
    )
    np.testing.assert_array_equal(clean, reference)


def test_dgnn_computes_the_edge_features_of_the_data():
    """Statistics of the second data BatchNorm are those of `landmarks.edge_features`."""
    inputs, old = draw("dgnn"), variables("dgnn")["batch_stats"]["edge_data_norm"]["mean"]
    apply = functools.partial(make("dgnn").apply, train=True, mutable=["batch_stats"])
    _, updates = quick(apply)(variables("dgnn"), inputs)
    features = landmarks.edge_features(inputs, np.array(EDGES))
    expected = 0.9 * old + 0.1 * features.mean((0, 1)).ravel()
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


def test_attention_is_the_published_formula():
    x = np.random.default_rng(0).normal(0, 2, (3, NODES, 4, 2)).astype(np.float32)
    conv = AdaptiveGraphConv(8, EDGES, NODES)
    params = jax.tree.map(lambda leaf: leaf + 0.3, quick(conv.init)(jax.random.key(0), x)["params"])
    y = quick(conv.apply)({"params": params}, x)
    theta = np.einsum("bvtc,sck->sbvtk", x, params["theta_kernel"]) + 0.3
    phi = np.einsum("bvtc,sck->sbvtk", x, params["phi_kernel"]) + 0.3
    weights = np.exp(np.einsum("sbvtk,sbwtk->sbvw", theta, phi) / (2 * 4))  # Fo/4 T
    attention = weights / weights.sum(2, keepdims=True)
    matrices = (partition(EDGES, NODES) + params["P"])[:, None] + attention
    expected = np.einsum("sbvw,bvtc,scf->bwtf", matrices, x, params["kernel"])
    np.testing.assert_allclose(y, expected + 3 * 0.3, rtol=1e-3, atol=1e-3)
    transposed = np.einsum("sbwv,bvtc,scf->bwtf", matrices, x, params["kernel"])
    assert np.abs(y - transposed - 3 * 0.3).max() > 0.1
