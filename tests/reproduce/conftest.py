"""Experiments of finished runs, as `reproduce` finds them."""

import pytest

from fer_jax.experiments.workdir import Workdir
from fer_jax.papers.paper import Run
from fer_jax.reproduce.experiments import Experiment
from tests.finished_runs import CONFIGS


@pytest.fixture
def experiment(finished_run):
    def of(kind):
        done = finished_run(kind)
        config = CONFIGS[kind](done.prepared)
        run = Run(config.name, config.method, config.data.dataset, "")
        return Experiment(run, config, Workdir(done.workdir))

    return of
