"""A system and a dataset, added as CONTRIBUTING says: one file, one table row, one config."""

import sys

import flax.linen as nn
import pytest

import fer_jax
from fer_jax import systems
from fer_jax.compare.compare import load_config
from preprocess.datasets import DATASETS
from tests.finished_runs import FinishedRun, train
from tests.official_trees import examples, options_of, prepare, put, write_landmarks

CONFIG = """
from ml_collections import ConfigDict

from configs import base


def get_config():
    config = base.get_config()
    config.name = config.data.dataset = "mine"
    config.data.frames = 4
    config.train.batch_size, config.train.epochs = 8, 1
    config.protocol.name = "holdout"
    config.evaluation.mc_samples = 4
    with config.unlocked():
        config.model = ConfigDict({})
    return config
"""


class MyNetwork(nn.Module):
    """A network as a reader of CONTRIBUTING writes it."""

    classes: int
    width: int = 8
    dropout: float = 0.2
    axis_name: str | None = None
    inputs = "edges"

    @nn.compact
    def __call__(self, inputs, *, train, dropout=None):
        active = train if dropout is None else dropout
        x = nn.relu(nn.Dense(self.width)(inputs.mean(axis=1).reshape(len(inputs), -1)))
        x = nn.BatchNorm(use_running_average=not train, axis_name=self.axis_name)(x)
        return nn.Dense(self.classes)(nn.Dropout(self.dropout, deterministic=not active)(x))


class Least(nn.Module):
    """The least that a network is: no dropout, no BatchNorm, no fields of its own."""

    classes: int
    axis_name: str | None = None
    inputs = "edges"

    @nn.compact
    def __call__(self, inputs, *, train, dropout=None):
        return nn.Dense(self.classes)(inputs.mean((1, 2)))


@pytest.mark.parametrize(
    ("network", "fields", "mc_samples"),
    # the first: its own rate of dropout, which the config does not state
    [(MyNetwork, {"width": 4}, 4), (Least, {}, 0)],
)
def test_new_system_trains_and_predicts(
    network, fields, mc_samples, prepared, tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, "fer_jax.systems.mine", sys.modules[__name__])
    monkeypatch.setitem(systems.SYSTEMS, "mine", systems.System(f"mine.{network.__name__}"))
    text = CONFIG.replace("{}", str({"name": "mine", **fields}))
    put(tmp_path / "mine_synthetic.py", text)
    config = load_config(str(tmp_path / "mine_synthetic.py"))
    config.data.path = str(prepared)
    run = FinishedRun(tmp_path / "run", prepared, train(config, tmp_path / "run")[1])
    single = run.metrics["single_samples"]
    assert (single["mc_samples"] if single else 0) == mc_samples and "Model mine" in run.report
    assert ("mc_dropout" in run.metrics["inference_modes"]) == bool(mc_samples)
    model = fer_jax.load_model(run.bundle)
    assert isinstance(model.module, network) and len(model.classes) == model.module.classes
    assert all(getattr(model.module, name) == value for name, value in fields.items())


class MyDataset:
    """Smiles of my own study: one landmark file each, named SUBJECT_LABEL.csv."""

    CLASSES = ("rest", "smile")

    @staticmethod
    def clips(source, options):
        from preprocess.clip import Clip, SourceError

        files = sorted(source.glob("*_*.csv")) if source else []
        if not files:
            raise SourceError(f"{source} holds no SUBJECT_LABEL.csv")
        for path in files:
            subject, label = path.stem.split("_")
            yield Clip(path.stem, subject, label, path)


def test_new_dataset_is_prepared(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(DATASETS, "mine", MyDataset)
    (tmp_path / "source").mkdir()
    for name in ("p1_rest", "p1_smile", "p2_smile"):
        write_landmarks(tmp_path / "source" / f"{name}.csv", range(4))
    put(tmp_path / "source" / "p2_rest.csv", "a,b\n1,2\n")
    report = prepare("mine", tmp_path / "source", tmp_path / "out")
    assert report["classes"] == {"rest": 1, "smile": 2} and report["counts"]["dropped"] == 1
    assert set(examples(tmp_path / "out")) == {"p1_rest", "p1_smile", "p2_smile"}
    assert "stbln_manifest:out" in capsys.readouterr().out
    with pytest.raises(Exception, match="holds no SUBJECT_LABEL.csv"):
        list(MyDataset.clips(None, options_of(MyDataset)))
