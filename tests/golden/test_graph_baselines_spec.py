"""Worked example and published numbers of ST-GCN, AGCN, DGNN (docs/papers/graph_baselines.md)."""

import jax
import numpy as np
import pytest

from fer_jax.faces import landmarks
from fer_jax.layers.build import GRAPH_LEAVES
from fer_jax.systems import build
from fer_jax.systems.graph_baselines.dgnn import incidence
from fer_jax.systems.graph_baselines.st_gcn import partition, spatial_partition
from fer_jax.training.program import count_parameters
from tests.golden.sizes import variables_of

EXAMPLE = ((0, 2), (1, 2))


def reference_graph(edges):
    """As many edges as the published code has for a dataset; only their number counts."""
    graph = landmarks.make_graph(landmarks.inner(landmarks.MEAN_FACE), "reference")
    return landmarks.Graph(graph.edges[:edges], graph.reference_shape, "reference")


# Partition


def test_partition_of_the_example():
    identity, inward, outward = partition(EXAMPLE, 3)
    assert identity.tolist() == np.eye(3).tolist()
    assert inward.tolist() == [[0, 0, 0], [0, 0, 0], [1, 1, 0]]
    assert outward.tolist() == [[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]]


def test_column_of_the_nose_is_normalised():
    graph = landmarks.make_graph(landmarks.inner(landmarks.MEAN_FACE))
    matrices = partition(tuple(map(tuple, graph.edges.tolist())), 51)
    sums = matrices.sum(1)
    assert np.logical_or(np.isclose(sums, 1), sums == 0).all()
    into_nose = (graph.edges[:, 1] == landmarks.MASTER).sum()
    column = matrices[2, :, landmarks.MASTER]  # the nose gathers from the sources of its edges
    assert (column > 0).sum() == into_nose > 40
    np.testing.assert_allclose(column[column > 0], 1 / into_nose, rtol=1e-6)


# Original ST-GCN


def test_original_partition_of_a_path():
    # 0 - 1 - 2 - 3 with a branch 1 - 4, seen from 1: 0, 2 and 4 are one hop away, 3 two.
    itself, not_nearer, nearer = spatial_partition(((0, 1), (1, 2), (2, 3), (4, 1)), 5, 1)
    np.testing.assert_allclose(np.diag(itself), [1 / 2, 1 / 4, 1 / 3, 1 / 2, 1 / 2])
    np.testing.assert_allclose(not_nearer[:, 1], [1 / 4, 0, 1 / 4, 0, 1 / 4])
    np.testing.assert_allclose(nearer[:, 2], [0, 1 / 3, 0, 0, 0], rtol=1e-6)
    np.testing.assert_allclose(not_nearer[:, 2], [0, 0, 0, 1 / 3, 0], rtol=1e-6)
    np.testing.assert_allclose((itself + not_nearer + nearer).sum(0), np.ones(5), rtol=1e-6)


# DGNN


def test_incidence_of_the_example():
    source, target = incidence(EXAMPLE, 3)
    np.testing.assert_allclose(source, np.array([[1, 0], [0, 1], [0, 0]]) + 1e-6)
    np.testing.assert_allclose(target, np.array([[0, 0], [0, 0], [0.5, 0.5]]) + 1e-6)


def test_incidence_counts_repeats_and_self_loops():
    source, target = incidence(((0, 1), (0, 1), (1, 1)), 2)
    np.testing.assert_allclose(source, np.array([[0.5, 0.5, 0], [0, 0, 0.25]]) + 1e-6)
    np.testing.assert_allclose(target, np.array([[0, 0, 0], [0.25, 0.25, 0.25]]) + 1e-6)


# Numbers of parameters


def params_of(fields, edges, classes):
    model = build(fields, classes, reference_graph(edges))
    return variables_of(model, 1, 4, 51, 2)["params"]


@pytest.mark.parametrize(
    ("fields", "edges", "classes", "total", "without_graph"),
    [
        ({"name": "st_gcn"}, 312, 7, 185_928, 131_307),
        ({"name": "st_gcn"}, 309, 6, 185_863, 131_242),
        ({"name": "agcn"}, 312, 7, 198_396, 143_775),
        ({"name": "agcn"}, 309, 6, 198_331, 143_710),
        ({"name": "st_gcn", "original": True}, 312, 7, 182_864, 128_243),
        ({"name": "dgnn"}, 312, 7, 538_003, 315_235),  # AFEW
        ({"name": "dgnn"}, 309, 6, 535_720, 315_094),  # Oulu-CASIA
        ({"name": "dgnn"}, 303, 7, 531_541, 315_199),  # CK+
    ],
)
def test_published_parameter_counts(fields, edges, classes, total, without_graph):
    assert count_parameters(params_of(fields, edges, classes)) == (total, without_graph)


@pytest.mark.parametrize(
    ("fields", "leaves"),
    [
        ({"name": "st_gcn"}, {"P": (3, 51, 51)}),
        ({"name": "agcn"}, {"P": (3, 51, 51)}),
        ({"name": "st_gcn", "original": True}, {"M": (3, 51, 51)}),
        ({"name": "dgnn"}, {"S": (51, 312), "T": (51, 312)}),
    ],
)
def test_graph_matrices_are_known_by_name(fields, leaves):
    found = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(params_of(fields, 312, 7)):
        if path[-1].key in GRAPH_LEAVES:
            found.setdefault(path[-1].key, []).append(leaf.shape)
    assert found == {name: [shape] * 7 for name, shape in leaves.items()}
