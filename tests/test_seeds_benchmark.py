"""What benchmarks.seeds scores: of a search the networks of its folds, or its topology anew."""

import pytest
from rich.console import Console

from benchmarks import seeds
from fer_jax.experiments.configs import load


@pytest.mark.parametrize(("folds", "runs"), [("all", 1), ("first", 2)])
def test_a_search_in_all_folds_is_scored_itself(folds, runs, tmp_path, monkeypatch):
    started = []

    def run(config, workdir, console):
        started.append(workdir.name)
        return {"inference_modes": {"stored": len(started)}}

    def load_config(name):
        found = name.endswith("found.py")
        config = load("pstbln_synthetic", [f"search.folds={folds}"])
        config.name = "found" if found else config.name
        config.search.enabled = not found
        return config

    monkeypatch.setattr(seeds, "run", run)
    monkeypatch.setattr(seeds, "load_config", load_config)
    found = seeds.score("pstbln_synthetic", 3, tmp_path, Console())
    assert found == {"stored": runs}
    assert started == ["pstbln_synthetic_seed3", "found"][:runs]


def test_a_cell_has_mean_interval_and_range():
    score = {"accuracy_pooled": 0.8, "interval_95_subjects": (0.7, 0.9), "balanced_accuracy": 0.5,
             "balanced_accuracy_interval_95": (0.4, 0.6), "expected_calibration_error": 0.02,
             "area_under_generalised_risk": 0.1}  # fmt: skip
    other = score | {"accuracy_pooled": 0.9, "interval_95_subjects": (0.8, 1.0)}
    ((_, _, accuracy, balanced, *_),) = seeds.lines("x", [{"stored": score}, {"stored": other}])
    assert accuracy == "0.850 [0.750, 0.950] (0.800 to 0.900)"
    assert balanced == "0.500 [0.400, 0.600] (0.500 to 0.500)"
    ((_, _, accuracy, *_),) = seeds.lines("x", [{"stored": score}])
    assert accuracy == "0.800 [0.700, 0.900]"
