"""`python -m benchmarks.trust.rules`: the ways in which a calibrator could be chosen."""

import sys

import numpy as np
import pandas as pd

from benchmarks.trust import rules
from fer_jax import uncertainty


def printed(monkeypatch, capsys, *arguments):
    """Numbers by run and rule."""
    monkeypatch.setattr(sys, "argv", ["rules", *map(str, arguments)])
    rules.main()
    rows = [line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines()]
    return {tuple(row[:2]): np.array(row[2:], float) for row in rows[2:]}


def test_rules_are_judged_on_the_predictions_of_a_run(tmp_path, monkeypatch, capsys):
    p, labels, people = rules.draw(np.random.default_rng(3), 5, 1.3, 0.3)
    names = list("abcdef")
    table = pd.DataFrame({f"p_{name}": p[:, index] for index, name in enumerate(names)})
    table["label"] = [names[label] for label in labels]
    table["subject"] = table["fold"] = [f"person{number}" for number in people]
    table.to_csv(tmp_path / "predictions.csv", index=False)
    found = printed(monkeypatch, capsys, tmp_path)
    assert [rule for _, rule in found] == list(rules.RULES)
    assert [run for run, _ in found] == [tmp_path.name] * len(rules.RULES)
    right = p.argmax(-1) == labels
    expected = (
        uncertainty.expected_calibration_error(p, labels),
        uncertainty.area_under_risk_coverage(uncertainty.entropy(p), right),
    )
    np.testing.assert_allclose(found[tmp_path.name, "none"][1:3], expected, atol=1e-4)
    once = uncertainty.calibrate_across(p, labels, people, people)
    own = rules.measured(once, labels, people)
    np.testing.assert_allclose(found[tmp_path.name, "once, 1 SE"], own, atol=1e-4)


def test_drawn_people_have_the_loss_of_the_bundle_as_well(monkeypatch, capsys):
    monkeypatch.setattr(rules, "KINDS", {"too careful": (0.4, 0.0)})
    found = printed(monkeypatch, capsys, "--people", 4, "--draws", 1)
    assert [rule for _, rule in found] == list(rules.RULES)
    kind = "4 people"
    assert found[kind, "temperature"][-1] < found[kind, "none"][-1] - 0.05
    assert found[kind, "fold, 1 SE"][-1] == found[kind, "once, 1 SE"][-1]
