"""FER-GCN: its frames, the parts that figures look at."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from fer_jax.systems.fer_gcn.network import Equation6
from tests.quick import quick
from tests.systems.toys import CLIPS, draw, make, outputs, variables

FRAMES, FEATURES = 5, 6


def test_frame_order_matters_with_a_graph_only():
    order, inputs = np.array([3, 0, 4, 1, 2]), draw("fer_gcn")
    for name in ("fer_gcn", "fer_gcn cnn"):
        changed = np.abs(outputs(name, inputs) - outputs(name, inputs[:, order])).max()
        assert changed > 1e-3 if name == "fer_gcn" else changed < 1e-5


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


def test_equation_6_sees_the_frames_on_both_sides():
    """U_f reads only the frames before, U_b only those behind; the sizes are the paper's."""
    module, d = Equation6(8), 8
    x = np.random.default_rng(0).normal(size=(1, 4, d)).astype(np.float32)
    own = quick(module.init)(jax.random.key(0), x)["params"]
    shapes = {name: own[name]["kernel"].shape for name in ("U_f", "U_b", "V_f", "V_b")}
    assert shapes == {"U_f": (16, 4), "U_b": (16, 4), "V_f": (4, 8), "V_b": (4, 8)}
    assert own["bias"].shape == (8,) and own["forward"]["recurrent"].shape == (8, 32)

    @functools.partial(quick)
    def influence(own):
        """Which frame [columns] changes which output [rows]."""
        slope = jax.jacobian(lambda x: module.apply({"params": own}, x[None])[0])(x[0])
        return jnp.abs(slope).sum((1, 3))

    for silent, seen in (("V_b", np.tril), ("V_f", np.triu)):
        one_way = {**own, silent: {"kernel": np.zeros((4, 8), np.float32)}}
        found = np.asarray(influence(one_way))
        np.testing.assert_array_equal(found > 0, seen(np.ones((4, 4))) > 0)


def test_dense_layers_begin_as_in_pytorch():
    """Uniform within 1 / sqrt(inputs), biases too, behind the trunk (torch.nn.Linear)."""
    module = make("fer_gcn", features=64, stages=[[16, 1]], modules=1, recurrence="eq6")
    inputs = np.zeros((1, FRAMES, 4, 4, 3), np.float32)
    params = quick(functools.partial(module.init, train=False))(jax.random.key(0), inputs)["params"]
    equation = params["graph_modules_0"]["equation6"]
    for layer, fan_in in (
        (params["reduce"], 16), (params["head"], 64), (equation["U_f"], 128),
        (equation["V_b"], 32), ({"bias": equation["bias"]}, 32),
    ):  # fmt: skip
        for leaf in layer.values():
            assert np.abs(leaf).max() <= fan_in**-0.5 + 1e-6
            if leaf.size > 200:
                np.testing.assert_allclose(np.std(leaf), (3 * fan_in) ** -0.5, rtol=0.1)
    assert all(np.abs(params[name]["bias"]).max() > 0 for name in ("reduce", "head"))
