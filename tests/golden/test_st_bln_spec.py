"""Worked examples and published numbers of ST-BLN (docs/papers/st_bln.md), of frames and folds."""

import numpy as np
import pytest

from fer_jax import uncertainty
from fer_jax.data import folds, frame_selection
from fer_jax.faces import landmarks
from fer_jax.systems.st_bln.network import STBLN
from fer_jax.training.program import count_parameters
from tests.golden.sizes import variables_of

# Graph: six points, the fifth is the master node.
POINTS = np.array([[0, 0], [4, 0], [4, 4], [0, 4], [2, 2], [7, 2]], float)


def test_clean_graph_of_the_example():
    graph = landmarks.make_graph(POINTS, master=4)
    delaunay = ["01", "03", "04", "12", "14", "15", "23", "24", "25", "34"]
    expected = [[int(a), int(b)] for a, b in delaunay] + [[5, 4]]
    assert graph.edges.tolist() == expected


def test_edge_features_of_the_example():
    graph = landmarks.make_graph(POINTS, master=4)
    features = landmarks.edge_features(POINTS, graph.edges)
    by_edge = dict(zip(map(tuple, graph.edges.tolist()), features.tolist(), strict=True))
    assert by_edge[0, 4] == [-2, -2]
    assert by_edge[5, 4] == [5, 0]
    assert by_edge[0, 1] == [-4, 0]


def test_reference_graph_of_the_example():
    graph = landmarks.make_graph(POINTS, "reference", master=4)
    assert len(graph.edges) == 3 * 5 + 6 == 21
    assert graph.edges[15:].tolist() == [[node, 4] for node in range(6)]
    pairs = [tuple(sorted(edge)) for edge in graph.edges.tolist()]
    distinct = {pair for pair in pairs if pair[0] != pair[1]}
    assert len(distinct) == 11 and pairs.count((4, 4)) == 1
    assert len(pairs) - 1 - len(distinct) == 9  # repeats


def test_graph_of_a_usual_face():
    face = landmarks.centre(landmarks.inner(landmarks.MEAN_FACE))
    clean = landmarks.make_graph(face)
    nose = (clean.edges[:137] == landmarks.MASTER).any(1).sum()
    assert len(clean.edges) == 137 + 50 - nose == 181
    assert nose == 6
    reference = landmarks.make_graph(face, "reference")
    triangles = (len(reference.edges) - 51) // 3
    assert (triangles, len(reference.edges)) == (87, 312)


def counts(edges, classes, widths=(8, 16, 16, 32, 32, 64, 64), **options):
    model = STBLN(classes=classes, widths=widths, **options)
    return count_parameters(variables_of(model, 1, 4, edges, 2)["params"])


@pytest.mark.parametrize(
    ("edges", "classes", "widths", "total", "without_u"),
    [
        (312, 7, (8, 16, 16, 32, 32, 64, 64), 2_176_575, 132_351),  # AFEW
        (309, 6, (8, 16, 16, 32, 32, 64, 64), 2_137_375, 132_274),  # Oulu-CASIA
        (303, 7, (8, 16, 16, 32, 32, 64, 64), 2_060_304, 132_315),  # CK+
        (312, 7, (15, 10, 15, 5, 5, 10), 1_762_942, 10_750),  # PST-BLN, AFEW
        (181, 7, (8, 16, 16, 32, 32, 64, 64), 687_981 + 131_827, 131_827),  # clean graph
    ],
)
def test_published_parameter_counts(edges, classes, widths, total, without_u):
    assert counts(edges, classes, widths) == (total, without_u)


def test_one_bilinear_map_instead_of_three():
    assert counts(312, 7, subsets=1)[1] == 115_727


# Frame selection


@pytest.mark.parametrize(
    ("detected", "frames", "rule", "chosen"),
    [
        ([1] * 10, 4, "ends", [0, 7, 8, 9]),
        ([1] * 10, 5, "ends", [0, 6, 7, 8, 9]),
        ([1] * 4, 4, "ends", [0, 1, 2, 3]),
        ([1] * 3, 4, "ends", [0, 0, 1, 2]),  # L < 4 repeats frame 0
        ([1] * 1, 4, "ends", [0, 0, 0, 0]),
        ([0, 0, 1, 1, 1, 1, 1, 0, 1, 0], 4, "ends", [2, 6, 8, 8]),  # the nearest valid frame
        ([1] * 300, 150, "uniform", np.round(np.linspace(0, 299, 150)).astype(int).tolist()),
        ([1] * 5, 3, "uniform", [0, 2, 4]),
        ([0, 1, 1, 0, 1, 1, 0, 1], 3, "uniform", [1, 4, 7]),
        ([1] * 3, 7, "uniform", [0, 0, 0, 1, 1, 2, 2]),  # floor(k n / T), k = 0..6
        ([0, 1, 0, 1], 4, "uniform", [1, 1, 3, 3]),
    ],
)
def test_frame_selection(detected, frames, rule, chosen):
    assert frame_selection.select_frames(np.array(detected, bool), frames, rule).tolist() == chosen


# Monte Carlo dropout


def test_mean_and_variance_of_three_passes():
    samples = np.array([[[0.7, 0.3]], [[0.5, 0.5]], [[0.9, 0.1]]])
    summary = uncertainty.summarise(samples)
    np.testing.assert_allclose(summary.mean, [[0.7, 0.3]])
    np.testing.assert_allclose(summary.variance, [[0.0267, 0.0267]], atol=5e-5)
    np.testing.assert_allclose(summary.variance**0.5, [[0.163, 0.163]], atol=5e-4)
    # The pass at 0.5 / 0.5 votes for the first of equals.
    assert summary.agreement.tolist() == [1.0]
    total = -(0.7 * np.log(0.7) + 0.3 * np.log(0.3))
    each = [-(p * np.log(p) + (1 - p) * np.log(1 - p)) for p in (0.7, 0.5, 0.9)]
    np.testing.assert_allclose(summary.entropy, [total])
    np.testing.assert_allclose(summary.mutual_information, [total - np.mean(each)])


# Subject folds


def test_strided_folds_of_the_example():
    groups = folds.subject_folds(list("gfedcba"), 3, "strided")
    assert groups == [["a", "d", "g"], ["b", "e"], ["c", "f"]]


@pytest.mark.parametrize(
    ("subjects", "sizes"), [(118, [12] * 9 + [10]), (80, [8] * 10)], ids=["CK+", "Oulu-CASIA"]
)
def test_block_sizes_of_the_published_code(subjects, sizes):
    names = [f"S{index:03d}" for index in range(subjects)]
    groups = folds.subject_folds(names, 10, "block")
    assert [len(group) for group in groups] == sizes


def test_five_strided_folds_of_disfa_and_gemep():
    def sizes(subjects):
        groups = folds.subject_folds([f"{n:03d}" for n in range(subjects)], 5)
        return [len(group) for group in groups]

    assert sizes(27) == [6, 6, 5, 5, 5]
    assert sizes(7) == [2, 2, 1, 1, 1]
