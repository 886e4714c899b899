"""The layout of the face, its mirror image, the graph and its files."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_jax.faces import landmarks as lm

# Left-right pairs among the 51 points, counted by hand.
PAIRS_51 = [
    (0, 9), (1, 8), (2, 7), (3, 6), (4, 5), (14, 18), (15, 17), (19, 28), (20, 27), (21, 26),
    (22, 25), (23, 30), (24, 29), (31, 37), (32, 36), (33, 35), (38, 42), (39, 41), (43, 47),
    (44, 46), (48, 50),
]  # fmt: skip
MIRROR_51 = lm.MIRROR_68[lm.INNER] - lm.INNER.start
FIXED_51 = [10, 11, 12, 13, 16, 34, 40, 45, 49]


def test_mirror_pairs_are_those_counted_by_hand():
    for left, right in PAIRS_51:
        assert (MIRROR_51[left], MIRROR_51[right]) == (right, left)
    assert MIRROR_51[FIXED_51].tolist() == FIXED_51
    assert sorted([*FIXED_51, *np.ravel(PAIRS_51)]) == list(range(51))


@pytest.mark.parametrize("permutation", [lm.MIRROR_68, MIRROR_51])
def test_mirroring_twice_is_the_identity(permutation):
    assert permutation[permutation].tolist() == list(range(len(permutation)))


def test_mean_face_is_symmetric_upright_and_one_eye_distance_wide():
    face = lm.MEAN_FACE
    assert face.shape == (68, 2) and face.dtype == np.float32
    np.testing.assert_allclose(face[lm.MIRROR_68] * [-1, 1], face, atol=1e-6)
    assert lm.eye_distance(face) == pytest.approx(1.0, abs=1e-6)
    between = (face[lm.RIGHT_EYE].mean(0) + face[lm.LEFT_EYE].mean(0)) / 2
    np.testing.assert_allclose(between, 0, atol=1e-6)
    assert face[lm.RIGHT_EYE, 0].max() < 0 < face[lm.LEFT_EYE, 0].min()
    assert face[8, 1] > face[57, 1] > face[lm.NOSE_68, 1] > 0  # chin, lip, nose: y points down


def test_inner_points_and_centring():
    points = np.random.default_rng(0).normal(size=(2, 3, 68, 2))
    kept = lm.inner(points)
    assert kept.shape == (2, 3, 51, 2)
    np.testing.assert_array_equal(kept[..., lm.MASTER, :], points[..., lm.NOSE_68, :])
    centred = lm.centre(kept)
    assert not centred[..., lm.MASTER, :].any()
    np.testing.assert_allclose(centred[..., 50, :], points[..., 67, :] - points[..., 33, :])


def test_eye_distance_of_a_batch():
    faces = np.stack([lm.MEAN_FACE * 2, lm.MEAN_FACE * 3 + 100])
    np.testing.assert_allclose(lm.eye_distance(faces), [2, 3], rtol=1e-5)


def clouds(low=4, high=12):
    index = st.integers(-50, 50)
    return st.lists(st.tuples(index, index), min_size=low, max_size=high)


@settings(max_examples=60, deadline=None)
@given(clouds(), st.data())
def test_make_graph_is_simple_and_joins_every_node_to_the_master(points, data):
    points = np.asarray(points, float)
    master = data.draw(st.integers(0, len(points) - 1))
    try:
        graph = lm.make_graph(points, master=master)
    except ValueError as error:
        assert "spans no triangle" in str(error)
        assert np.linalg.matrix_rank(points - points[0]) < 2
        return
    pairs = [tuple(sorted(edge)) for edge in graph.edges.tolist()]
    assert len(set(pairs)) == len(pairs) and all(a != b for a, b in pairs)
    assert {sum(pair) - master for pair in pairs if master in pair} == (
        set(range(len(points))) - {master}
    )
    reference = lm.make_graph(points, "reference", master)
    repeated = {tuple(sorted(edge)) for edge in reference.edges.tolist()} - {(master, master)}
    assert repeated == set(pairs)
    assert (len(reference.edges) - len(points)) % 3 == 0


def test_master_on_top_of_another_point_has_no_loop():
    graph = lm.make_graph(np.array([[0, 0], [4, 0], [0, 4], [0, 0]], float), master=3)
    pairs = {tuple(sorted(edge)) for edge in graph.edges.tolist()}
    assert {(0, 3), (1, 3), (2, 3)} <= pairs and (3, 3) not in pairs


def test_graph_ignores_scale_and_place():
    shape = lm.inner(lm.MEAN_FACE)
    moved = lm.make_graph(shape * 37 + [400, -20])
    np.testing.assert_array_equal(moved.edges, lm.make_graph(shape).edges)


@pytest.mark.parametrize(
    ("points", "options", "message"),
    [
        (np.zeros((5, 2)), {}, "spans no triangle"),
        (np.stack([np.arange(5.0)] * 2, 1), {}, "all points on a line"),
        (np.zeros((5, 3)), {}, r"\[V, 2\]"),
        (np.full((5, 2), np.nan), {}, "finite"),
        (np.eye(4, 2), {"mode": "dense"}, "'dense' is unknown: use 'clean' or 'reference'"),
        (np.eye(4, 2), {"master": 4}, "master node 4 is not among the 4 points"),
    ],
)
def test_bad_shapes_and_modes_are_named(points, options, message):
    with pytest.raises(ValueError, match=message):
        lm.make_graph(points, **{"master": 0, **options})


@pytest.mark.parametrize("mode", ["clean", "reference"])
def test_graph_survives_its_file(tmp_path, mode):
    graph = lm.make_graph(lm.inner(lm.MEAN_FACE), mode)
    lm.save_graph(graph, tmp_path / "graph.json")
    loaded = lm.load_graph(tmp_path / "graph.json")
    np.testing.assert_array_equal(loaded.edges, graph.edges)
    np.testing.assert_array_equal(loaded.reference_shape, graph.reference_shape)
    assert loaded.mode == mode and loaded.edges.dtype == np.int32


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"edges": [[0, 1, 2]], "reference_shape": [[0, 0]], "mode": "clean"}']
)
def test_damaged_graph_file_is_named(tmp_path, text):
    (tmp_path / "graph.json").write_text(text)
    with pytest.raises(ValueError, match="graph.json is not a landmark graph "):
        lm.load_graph(tmp_path / "graph.json")


def test_graph_file_with_foreign_nodes_is_refused(tmp_path):
    text = '{"edges": [[0, 2]], "reference_shape": [[0, 0], [1, 0]], "mode": "clean"}'
    (tmp_path / "graph.json").write_text(text)
    with pytest.raises(ValueError, match=r"nodes outside 0\.\.1"):
        lm.load_graph(tmp_path / "graph.json")
