"""A worked example of how far PST-BLN grows (docs/papers/st_bln.md)."""

import pytest

from fer_jax.systems.st_bln.growth import Rule, decide

LOSSES = {
    (5,): 1.2000,
    (10,): 0.9000,
    (15,): 0.89995,
    (10, 5): 0.8500,
    (10, 10): 0.8600,
    (10, 5, 5): 0.8600,
    (10, 5, 10): 0.84999,
    (10, 5, 15): 0.84995,
}


def test_worked_example_of_the_stopping_rule():
    asked = []

    def loss(topology, parent):
        asked.append((topology, parent))
        return LOSSES[topology]

    decisions = list(decide(loss, Rule()))
    assert asked == [
        ((5,), ()),
        ((10,), (5,)),
        ((15,), (10,)),
        ((10, 5), (10,)),  # 15 was taken back
        ((10, 10), (10, 5)),
        ((10, 5, 5), (10, 5)),
        ((10, 5, 10), (10, 5, 5)),
        ((10, 5, 15), (10, 5, 10)),
    ]
    rows = [(d.decision, d.alpha, d.alpha_depth, d.layer, d.kept) for d in decisions]
    near = lambda value, digits: pytest.approx(value, abs=10**-digits)  # noqa: E731
    assert rows == [
        ("new layer", None, None, "", (5,)),
        ("accepted", near(0.25, 12), None, "", (10,)),
        ("rejected", near(5.6e-5, 6), None, "kept", (10,)),
        ("new layer", None, None, "", (10, 5)),
        ("rejected", near(-0.0118, 4), near(0.0556, 4), "kept", (10, 5)),
        ("new layer", None, None, "", (10, 5, 5)),
        ("accepted", near(0.0116, 4), None, "", (10, 5, 10)),
        ("rejected", near(4.7e-5, 6), near(1.2e-5, 6), "dropped", (10, 5)),
    ]
    assert decisions[-1].kept == (10, 5)
