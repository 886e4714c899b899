"""Posteriors over the weights by config: trained, evaluated, reported."""

import numpy as np
import pandas as pd
import pytest

from fer_jax.experiments import report
from fer_jax.experiments.workdir import Workdir
from tests.finished_runs import landmarks_config, train

EPOCHS = 8  # of which the last two are averaged
OPTIONS = {
    "protocol.name": "random_subjects", "train.epochs": EPOCHS, "optimizer.schedule": "constant",
    "optimizer.learning_rate": 0.02,
}  # fmt: skip
KINDS = ("mc_dropout", "swa", "swag", "laplace")


@pytest.fixture(scope="module")
def runs(tmp_path_factory, prepared):
    """Work directory and metrics of a run of each posterior."""
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report, "_figures", lambda *arguments: iter(()))  # other tests draw
        for kind in KINDS:
            workdir = tmp_path_factory.mktemp(kind)
            config = landmarks_config(prepared, **OPTIONS, **{"uncertainty.posterior": kind})
            found[kind] = workdir, train(config, workdir)[0]
    return found


@pytest.mark.parametrize("kind", KINDS[1:])
def test_posterior_is_reported_beside_the_three_readings(runs, kind):
    workdir, metrics = runs[kind]
    modes, without = (runs[each][1]["inference_modes"] for each in (kind, "mc_dropout"))
    assert list(modes) == [*without, kind]
    assert {name: modes[name] for name in without} == without  # the training is the same
    samples = Workdir(workdir).load_result("random")["evaluation_posterior_samples"]
    assert len(samples) == 8
    assert np.ptp(samples, 0).max() > 1e-3
    table = pd.read_csv(workdir / "predictions.csv")
    classes = [name for name in table if name.startswith("p_")]
    np.testing.assert_allclose(table[classes], samples.mean(0), atol=1e-5)
    assert metrics["single_samples"]["mc_samples"] == 8
