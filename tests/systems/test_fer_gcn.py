"""FER-GCN: its frames, its adjacency, the parts that figures look at."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fer_jax.layers.lstm import BiLSTM
from fer_jax.systems.fer_gcn.network import GraphModule
from tests.quick import quick
from tests.systems.toys import CLIPS, draw, make, outputs, variables

FRAMES, FEATURES = 5, 6


def test_lstm_runs_both_ways_as_pytorch_does():
    torch = pytest.importorskip("torch", reason="compares with PyTorch: pip install torch")
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


def test_frame_order_matters_with_a_graph_only():
    order, inputs = np.array([3, 0, 4, 1, 2]), draw("fer_gcn")
    for name in ("fer_gcn", "fer_gcn cnn"):
        changed = np.abs(outputs(name, inputs) - outputs(name, inputs[:, order])).max()
        assert changed > 1e-3 if name == "fer_gcn" else changed < 1e-5


def test_adjacency_row_is_what_a_frame_takes_in():
    """Frame 0 takes in frame 2 alone: only a change in frame 2 reaches it."""
    module = GraphModule(FEATURES)
    adjacency = jnp.zeros((FRAMES, FRAMES)).at[0, 2].set(1.0)
    x = np.random.default_rng(0).normal(size=(1, FRAMES, FEATURES)).astype(np.float32)
    own = quick(module.init)(jax.random.key(0), adjacency, x)

    def first(x):
        return module.apply(own, adjacency, x, method=module.graph)[0, 0].sum()

    touched = np.abs(quick(jax.grad(first))(x)[0]).sum(-1) > 0
    assert touched.tolist() == [False, False, True, False, False]


def test_parts_for_figures_make_the_network():
    inputs = draw("fer_gcn")

    @quick
    def parts(inputs):
        bound = make("fer_gcn").bind(variables("fer_gcn"))
        maps = bound.maps(inputs)
        features = bound.embed(maps)
        signed = make("fer_gcn", feature_relu=False).bind(variables("fer_gcn")).embed(maps)
        r = bound.before_dropout(inputs)
        return maps, features, bound.graph(features), signed, r, bound.after_dropout(r)

    maps, features, graph, signed, r, logits = parts(inputs)
    assert maps.shape == (CLIPS, FRAMES, 3, 3, 6) and r.shape == (CLIPS, FEATURES)
    assert features.shape == graph.shape == (CLIPS, FRAMES, FEATURES)
    assert (features >= 0).all() and (signed < 0).any()
    np.testing.assert_allclose(logits, outputs("fer_gcn", inputs), rtol=1e-4, atol=1e-5)
