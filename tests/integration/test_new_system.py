"""A new system is a class that keeps the contract, a row and a config: the whole command runs."""

import io

import flax.linen as nn
from ml_collections import ConfigDict
from rich.console import Console

import fer_jax
from fer_jax import systems
from fer_jax.systems import SYSTEMS, System
from tests.finished_runs import landmarks_config


class Newcomer(nn.Module):
    """The least that a network is: no dropout, no BatchNorm, no checks of its own."""

    classes: int
    axis_name: str | None = None

    inputs = "edges"

    @nn.compact
    def __call__(self, inputs, *, train, dropout=None):
        return nn.Dense(self.classes)(inputs.mean((1, 2)))


def test_least_system_trains_and_predicts(prepared, tmp_path, monkeypatch):
    monkeypatch.setitem(SYSTEMS, "newcomer", System(Newcomer))
    config = landmarks_config(prepared, **{"train.epochs": 1})
    with config.unlocked():
        config.model = ConfigDict({"name": "newcomer"})
        del config.search
    metrics = systems.run(config, tmp_path, Console(file=io.StringIO()))
    assert "mc_dropout" not in metrics["inference_modes"]
    model = fer_jax.load_model(tmp_path / "model")
    assert isinstance(model.module, Newcomer) and len(model.classes) == model.module.classes
