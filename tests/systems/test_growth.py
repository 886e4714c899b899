"""Growing a network keeps the function it computes; the rule stops where the paper says."""

import functools
import importlib
import math

import hypothesis.extra.numpy as hnp
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configs import base, pstbln_synthetic
from fer_jax.data.folds import holdout
from fer_jax.faces import landmarks
from fer_jax.systems.st_bln import growth, search_report
from fer_jax.systems.st_bln.growth import Rule, decide, grow, relative_fall, shed
from fer_jax.systems.st_bln.network import STBLN
from fer_jax.tasks import TASKS
from fer_jax.training.program import make_program
from tests.quick import quick
from tests.systems.toys import random_variables

EDGES, FRAMES = 4, 4
INPUTS = np.random.default_rng(0).normal(0, 1, (6, FRAMES, EDGES, 2)).astype(np.float32)


def leaves(tree):
    return {
        jax.tree_util.keystr(path): np.asarray(leaf)
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    }


def corner(leaf, shape):
    return leaf[tuple(slice(size) for size in shape)]


@functools.cache
def network(widths):
    """Random variables, and the forward pass in inference and in training."""
    module = STBLN(classes=3, widths=widths, subsets=2, kernel_size=3, dropout=0.0)

    @quick
    def forward(variables):
        apply = functools.partial(module.apply, variables, INPUTS, mutable=["batch_stats"])
        return apply(train=False), apply(train=True)

    return random_variables(module, INPUTS, sum(widths)), forward


small = st.tuples(st.integers(1, 3), st.integers(1, 3))
arrays = small.flatmap(
    lambda shape: hnp.arrays(np.float32, shape, elements=st.floats(-9, 9, width=16))
)


@given(
    st.dictionaries(st.sampled_from("abcd"), arrays, max_size=4),
    st.lists(small, min_size=5, max_size=5),
)
def test_grow_copies_old_leaves_into_the_leading_corner(old, more):
    new = {"outside": np.full((2, 2), 7.0, np.float32)}
    for (name, leaf), (rows, columns) in zip(old.items(), more, strict=False):
        new[name] = np.full((leaf.shape[0] + rows - 1, leaf.shape[1] + columns - 1), -99.0)
    before = leaves((old, new))
    grown = grow(old, new)
    assert jax.tree.structure(grown) == jax.tree.structure(new)
    np.testing.assert_array_equal(grown["outside"], new["outside"])
    for name, leaf in old.items():
        assert grown[name].shape == new[name].shape and grown[name].dtype == new[name].dtype
        np.testing.assert_array_equal(corner(grown[name], leaf.shape), leaf)
        assert (grown[name] == -99).sum() == new[name].size - leaf.size
    for name, leaf in leaves((old, new)).items():
        np.testing.assert_array_equal(leaf, before[name])  # nothing was changed in place


@pytest.mark.parametrize(
    ("shape", "room", "message"),
    [
        ((3, 2), (2, 2), r"\['params'\]\['head'\] \(3, 2\) .* does not fit \(2, 2\)"),
        ((2,), (2, 2), r"\['params'\]\['head'\] \(2,\) .* does not fit \(2, 2\)"),
        ((2, 2, 1), (2, 2), r"\['params'\]\['head'\] \(2, 2, 1\) .* does not fit \(2, 2\)"),
        ((2, 2), None, r"\['params'\]\['head'\] \(2, 2\) .* is missing"),
    ],
)
def test_grow_names_a_leaf_that_does_not_fit(shape, room, message):
    new = {"params": {"other": np.zeros(1)} | ({"head": np.zeros(room)} if room else {})}
    with pytest.raises(ValueError, match=message):
        grow({"params": {"head": np.ones(shape)}}, new)


# The last layer reads another width than it has: no residual convolution comes or goes.
@pytest.mark.parametrize(("widths", "last"), [((3,), 5), ((3, 4), 5), ((4, 3), 5), ((4, 4, 3), 6)])
def test_widening_with_zeros_keeps_the_function(widths, last):
    old, forward = network(widths)
    new, forward_wider = network((*widths[:-1], last))
    grown = grow(shed(old, new, deeper=False), jax.tree.map(np.zeros_like, new))
    for (y, stats), (wide_y, wide_stats) in zip(forward(old), forward_wider(grown), strict=True):
        assert np.abs(y).max() > 0.1
        np.testing.assert_allclose(wide_y, y, atol=2e-5 * np.abs(y).max())
        wide = leaves(wide_stats)
        for name, leaf in leaves(stats).items():
            np.testing.assert_allclose(corner(wide[name], leaf.shape), leaf, rtol=1e-5, atol=2e-5)


def test_widening_copies_everything_and_draws_the_rest():
    (old, _), (new, _) = network((4, 3)), network((4, 5))
    grown, fresh = leaves(grow(shed(old, new, deeper=False), new)), leaves(new)
    enlarged = set()
    for name, leaf in leaves(old).items():
        np.testing.assert_array_equal(corner(grown[name], leaf.shape), leaf, err_msg=name)
        if leaf.shape != fresh[name].shape:
            enlarged.add(name)
            outside = np.ones(fresh[name].shape, bool)
            outside[tuple(slice(size) for size in leaf.shape)] = False
            np.testing.assert_array_equal(grown[name][outside], fresh[name][outside])
    assert all("layer2" in name or "head" in name for name in enlarged)
    assert "['params']['layer2']['bilinear']['U']" not in enlarged  # it knows edges, no widths
    assert "['params']['head']['kernel']" in enlarged
    assert "['batch_stats']['layer2']['temporal_norm']['var']" in enlarged


def test_deepening_draws_layer_and_head_and_keeps_the_rest():
    (old, _), (new, _) = network((4, 3)), network((4, 3, 5))
    grown, fresh, kept = (
        leaves(tree) for tree in (grow(shed(old, new, deeper=True), new), new, old)
    )
    for name, leaf in grown.items():
        source = fresh if "head" in name or "layer3" in name else kept
        np.testing.assert_array_equal(leaf, source[name], err_msg=name)
    assert any("layer3" in name for name in grown)


def test_residual_convolutions_come_and_go_with_the_widths():
    narrow, equal, wide = (network((4, width))[0] for width in (3, 4, 5))
    with pytest.raises(ValueError, match="'layer2'.*'r.*is missing in the new one"):
        grow(narrow, equal)
    identity = grow(shed(narrow, equal, deeper=False), equal)
    assert not any("'layer2']['r" in name for name in leaves(identity))
    convolution = leaves(grow(shed(identity, wide, deeper=False), wide))
    for name in ("r1", "r1_norm", "r2", "r2_norm"):
        for leaf in [found for found in leaves(wide) if f"'layer2']['{name}'" in found]:
            np.testing.assert_array_equal(convolution[leaf], leaves(wide)[leaf])


def test_widening_a_strided_layer_keeps_the_second_residual():
    # Layer 5 halves the time: its R2 is a convolution even where the widths are equal.
    narrow, equal = network((3, 3, 3, 3, 2))[0], network((3, 3, 3, 3, 3))[0]
    grown = leaves(grow(shed(narrow, equal, deeper=False), equal))
    name = "['params']['layer5']['r2']['kernel']"
    np.testing.assert_array_equal(grown[name][:, :2], leaves(narrow)[name])
    assert "['params']['layer5']['r1']['kernel']" not in grown


# The rule


@settings(max_examples=200)
@given(st.data(), st.integers(1, 4), st.integers(1, 4))
def test_rule_keeps_its_promises_for_any_losses(data, layers, blocks):
    rule = Rule(max_layers=layers, max_blocks=blocks, width_threshold=0.01, depth_threshold=0.05)
    losses = {}

    def loss(topology, parent):
        assert topology not in losses, "a topology is trained once"
        losses[topology] = data.draw(st.floats(0, 2, width=32))
        return losses[topology]

    decisions = list(decide(loss, rule))
    standing = ()
    for decision in decisions:
        assert decision.parent == standing  # after a rejection the accepted network comes back
        assert decision.loss == losses[decision.topology]
        deeper = len(decision.topology) > len(standing)
        expected = (*standing, 5) if deeper else (*standing[:-1], standing[-1] + 5)
        assert decision.topology == expected and deeper == (decision.decision == "new layer")
        if decision.decision == "accepted":
            assert losses[decision.topology] <= losses[standing] * (1 - 0.01) + 1e-9
        if decision.layer != "dropped":
            rejected = decision.decision == "rejected"
            assert decision.kept == (standing if rejected else decision.topology)
        standing = decision.kept
    assert 1 <= len(standing) <= layers and all(5 <= width <= 5 * blocks for width in standing)
    ends = [decision for decision in decisions if decision.layer]
    assert ends[-1] == decisions[-1]
    assert ends[-1].layer == "dropped" or len(standing) == layers
    assert all(end.layer == "kept" for end in ends[:-1])


def run_rule(losses, **fields):
    return list(decide(lambda topology, _: losses[topology], Rule(**fields)))


def test_rule_accepts_a_fall_of_exactly_the_threshold():
    losses = {(5,): 1.0, (10,): 0.75, (15,): 0.75, (10, 5): 0.5625, (10, 10): 0.5}
    fields = {"width_threshold": 0.25, "depth_threshold": 0.25, "max_layers": 2}
    decisions = run_rule(losses, **fields)
    assert [d.decision for d in decisions] == [
        "new layer", "accepted", "rejected", "new layer", "rejected",
    ]  # fmt: skip
    assert decisions[-1].alpha_depth == 0.25 and decisions[-1].layer == "kept"
    assert "max_layers=2 reached" in decisions[-1].note


def test_rule_ends_at_a_loss_of_zero():
    losses = {(5,): 0.0, (10,): 0.0, (5, 5): 0.0, (5, 10): 0.0}
    decisions = run_rule(losses)
    assert decisions[-1].kept == (5,) and decisions[-1].layer == "dropped"
    assert decisions[1].decision == "rejected"
    assert "the loss was 0: nothing left to gain" in decisions[1].note
    assert "the loss was 0" in decisions[-1].note
    assert relative_fall(0.0, 1.0) == 0.0


@pytest.mark.parametrize("bad", [math.nan, math.inf, -0.5])
def test_rule_names_the_topology_of_a_bad_loss(bad):
    with pytest.raises(ValueError, match=r"loss of \{10\} is .*lower --config.optimizer.learning"):
        run_rule({(5,): 1.0, (10,): bad})


def test_rule_stops_at_its_caps():
    decisions = list(
        decide(lambda topology, _: 1 / sum(topology), Rule(max_layers=2, max_blocks=3))
    )
    assert [d.topology for d in decisions] == [(5,), (10,), (15,), (15, 5), (15, 10), (15, 15)]
    assert decisions[2].note == "max_blocks=3 reached"
    assert decisions[-1].note == "max_blocks=3 reached; max_layers=2 reached"


# What the search builds on it


@pytest.mark.parametrize(
    ("old", "new"),
    [((), (3,)), ((4, 3), (4, 4)), ((4,), (4, 3))],
)
def test_first_state_is_the_grown_parent(make_clips, old, new):
    """Only what the parent does not fill is drawn, and equals growing into a whole new network."""
    clips = make_clips()
    config = base.get_config()
    config.train.batch_size = 8

    def features(batch):
        return landmarks.edge_features(landmarks.inner(batch["landmarks"]), clips.graph.edges)

    module = STBLN(classes=3, widths=new)
    folds = holdout(clips.splits)
    program = make_program(module, TASKS["classification"], config, features, folds)
    parent = random_variables(STBLN(3, old), np.zeros((1, 4, 12, 2))) if old else {}
    deeper = len(new) > len(old)
    state = growth.first_state(program, clips, 7, parent, deeper=deeper)
    inputs = np.zeros((1, 4, len(clips.graph.edges), 2), np.float32)
    whole = dict(quick(lambda key: module.init(key, inputs, train=False))(jax.random.key(7)))
    expected = leaves(grow(shed(parent, whole, deeper=deeper), whole))
    found = leaves(state.variables)
    assert found.keys() == expected.keys()
    for name, leaf in found.items():
        np.testing.assert_allclose(leaf, expected[name], rtol=1e-5, atol=1e-6, err_msg=name)
    reference = program.optimizer.init(jax.tree.map(jnp.asarray, whole["params"]))
    assert jax.tree.structure(state.opt_state) == jax.tree.structure(reference)
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(state.opt_state))  # at rest
    assert state.step == 0


def test_found_config_is_complete(tmp_path):
    config = pstbln_synthetic.get_config()
    config.name, config.model.widths = "grown", (10, 5)
    config.optimizer.learning_rate = 0.03125
    config.data.path = "some/'odd' place"
    file = tmp_path / "found.py"
    text = search_report.found_config(config, file)
    names = {}
    exec(compile(text, file, "exec"), names)  # noqa: S102
    found = names["get_config"]()
    assert f"python run.py --config {file}" in names["__doc__"] or "Run:" in text
    assert found.name == "grown_found" and not found.search.enabled
    assert found.method == f"{config.method} from scratch"
    found.name, found.method, found.search.enabled = "grown", config.method, True
    assert found == config


def test_compile_share_of_the_search():
    rows = [{"seconds": 6.0, "compile_seconds": 1.0}, {"seconds": 12.0, "compile_seconds": 1.0}]
    assert search_report.compile_share(rows) == pytest.approx(0.1)


@pytest.mark.parametrize("dataset", ["synthetic", "buhmap", "ckplus", "oulu", "afew"])
def test_pst_bln_config_differs_from_st_bln_in_the_search_only(dataset):
    grown, fixed = (
        importlib.import_module(f"configs.{kind}_{dataset}").get_config()
        for kind in ("pstbln", "stbln")
    )
    assert grown.search.enabled and not fixed.search.enabled
    if dataset in ("ckplus", "oulu", "afew"):  # as published: every stage as long as a training
        published = {"enabled": True, "epochs": fixed.train.epochs, "block_size": 5,
                     "width_threshold": 1e-4, "depth_threshold": 1e-4}  # fmt: skip
        assert published.items() <= grown.search.to_dict().items()
    assert (grown.method, fixed.method) == ("PST-BLN", "ST-BLN")
    with grown.unlocked():
        grown.name, grown.method, grown.search = fixed.name, fixed.method, fixed.search
    assert grown == fixed
