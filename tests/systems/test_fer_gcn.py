"""FER-GCN: its frames, the parts that figures look at."""

import numpy as np

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
