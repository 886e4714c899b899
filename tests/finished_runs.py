"""Tiny runs of five kinds, each trained once per test session by `finished_run` of conftest.

`CONFIGS` has the config of each kind, `PREPARED` the fixture of its dataset.
"""

import contextlib
import dataclasses
import io
import json
import pathlib

import numpy as np
import pandas as pd
import pytest
from ml_collections import ConfigDict
from rich.console import Console

from configs import base, fergcn_synthetic, stbln_synthetic, stcnlstm_synthetic_units
from fer_jax import systems
from fer_jax.data import load

EPOCHS = 30  # of the landmark run: enough to stop it before it ends
TIMED = ("seconds", "compile_seconds", "clips_per_second", "waited_for_clips", "sha256")


@dataclasses.dataclass(frozen=True)
class FinishedRun:
    """A finished run.

    Attributes:
      workdir, prepared: its work directory and its dataset.
      shown: its output on the terminal.
    """

    workdir: pathlib.Path
    prepared: pathlib.Path
    shown: str

    @property
    def bundle(self) -> pathlib.Path:
        return self.workdir / "model"

    @property
    def metrics(self) -> dict:
        return metrics_of(self.workdir)

    @property
    def table(self) -> pd.DataFrame:
        return pd.read_csv(self.workdir / "predictions.csv")

    @property
    def report(self) -> str:
        return (self.workdir / "report.md").read_text()

    @property
    def figures(self) -> set[str]:
        return {path.stem for path in (self.workdir / "figures").glob("*.png")}


def with_fields(config: ConfigDict, prepared, fields: dict) -> ConfigDict:
    config.update_from_flattened_dict({"data.path": str(prepared)} | fields)
    return config


def landmarks_config(prepared, **fields) -> ConfigDict:
    """ST-BLN on landmarks, in memory."""
    small = {
        "data.frames": 4, "model.widths": (4, 4), "train.epochs": 2, "train.batch_size": 8,
        "evaluation.mc_samples": 8,
    }  # fmt: skip
    return with_fields(stbln_synthetic.get_config(), prepared, small | fields)


def crops_config(prepared, variant="full", **fields) -> ConfigDict:
    """FER-GCN on face crops."""
    small = {
        "data.frames": 4, "data.crop_size": 28, "model.stages": ((4, 1), (6, 1)),
        "model.features": 8, "train.epochs": 2, "train.batch_size": 4, "evaluation.mc_samples": 8,
    }  # fmt: skip
    return with_fields(fergcn_synthetic.get_config(variant), prepared, small | fields)


_WINDOWS = {
    "task": "action_units", "data.frame_rule": "windows", "data.frames": 3,
    "data.window_strides": (12, 6), "train.batch_size": 8, "train.epochs": 1,
    "evaluation.mc_samples": 3, "protocol.name": "holdout",
}  # fmt: skip
UNIT_MODELS = {
    "stc_nlstm": (stcnlstm_synthetic_units, {
        "model.channels": (2, 2), "model.hidden": 3, "data.crop_size": 0, "train.epochs": 2,
        "optimizer.lr_milestones": (1,), "train.eval_every_epochs": 2,
    }),
    "fer_gcn": (fergcn_synthetic, {
        "model.stages": ((2, 1), (2, 1)), "model.features": 4, "model.modules": 1,
        "data.crop_size": 28,
    }),
    "st_bln": (stbln_synthetic, {"data.features": "position", "model.widths": (4,)}),
}  # fmt: skip


def units_config(prepared, model="stc_nlstm", **fields) -> ConfigDict:
    """Action units of windows."""
    module, own = UNIT_MODELS[model]
    return with_fields(module.get_config(), prepared, _WINDOWS | own | fields)


def dimensions_config(prepared, **fields) -> ConfigDict:
    """A small network with bilinear pooling: valence and arousal of still images."""
    model = {"name": "bilinear_cnn", "stages": ((4, 1), (6, 1)), "features": 5, "dropout": 0.3,
             "pixels": "symmetric", "pooling": "bilinear"}  # fmt: skip
    config = base.get_config(model=model, augment=base.CROP_AUGMENT | {"enabled": True})
    small = {
        "name": "tiny", "method": "VGG16 bilinear", "task": "dimensional",
        "data.dataset": "ferplus", "data.frames": 1, "data.frame_rule": "middles",
        "data.classes": ("valence", "arousal"), "train.batch_size": 8, "train.epochs": 6,
        "optimizer.learning_rate": 0.02, "protocol.name": "holdout", "evaluation.mc_samples": 4,
    }  # fmt: skip
    return with_fields(config, prepared, small | fields)


def distribution_config(prepared, **fields) -> ConfigDict:
    """The same network with global pooling: the distribution of votes for a still image."""
    own = {"task": "distribution", "data.classes": (), "model.pooling": "global"}
    return dimensions_config(prepared, **own | fields)


_LANDMARK_RUN = {
    "train.epochs": EPOCHS, "train.checkpoint_every_epochs": 1, "optimizer.learning_rate": 0.02,
}  # fmt: skip
CONFIGS = {
    "landmarks": lambda prepared: landmarks_config(prepared, **_LANDMARK_RUN),
    "crops": lambda prepared: crops_config(
        prepared, **{"data.in_memory_gb": 0.0, "train.batch_size": 2}
    ),
    "action_units": units_config,
    "dimensions": dimensions_config,
    "distribution": distribution_config,
}
PREPARED = {
    "landmarks": "prepared", "crops": "prepared_crops", "action_units": "prepared_crops",
    "dimensions": "prepared_ferplus", "distribution": "prepared_ferplus",
}  # fmt: skip


def write_config(folder, config):
    """Writes a config as a file of its own."""
    lines = ["from ml_collections import ConfigDict", "def get_config():"]
    file = folder / f"{config.name}.py"
    file.write_text("\n".join([*lines, f"    return ConfigDict({config.to_dict()})"]))
    return str(file)


def train(config: ConfigDict, workdir) -> tuple[dict, str]:
    """Runs an experiment: its metrics, and its output on the terminal."""
    console = Console(file=io.StringIO(), width=200)
    return systems.run(config, workdir, console), console.file.getvalue()


def train_kind(kind: str, prepared, workdir) -> None:
    """Trains the run of a kind and saves its output on the terminal beside it."""
    unknown = some_units_unknown() if kind == "action_units" else contextlib.nullcontext()
    with unknown:
        _, shown = train(CONFIGS[kind](prepared), workdir)
    (workdir / "shown.txt").write_text(shown)


@contextlib.contextmanager
def some_units_unknown():
    """Hides AU01 in every third window and AU02 everywhere, as code 9 does in BP4D."""
    original = load.load_clips

    def load_clips(*arguments, **options):
        clips = original(*arguments, **options)
        labels = clips.labels.copy()
        labels[::3, 0] = labels[:, 1] = np.nan
        return dataclasses.replace(clips, labels=labels)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(load, "load_clips", load_clips)
        yield


def epochs_of(workdir, file="metrics.jsonl") -> list[dict]:
    """The complete rows of a log, without times."""
    path = pathlib.Path(workdir) / file
    lines = path.read_text().splitlines() if path.exists() else []
    rows = [json.loads(line) for line in lines if line.endswith("}")]
    return [{name: value for name, value in row.items() if name not in TIMED} for row in rows]


def assert_same_metrics(found: dict, expected: dict) -> None:
    """Programs that two processes compiled may round the last bit differently."""
    ours, theirs = map(pd.json_normalize, (found, expected))
    pd.testing.assert_frame_equal(ours, theirs, rtol=1e-5)


def assert_same_run(workdir, metrics, expected):
    """Programs that two processes compiled may differ in the last bit."""
    mine, theirs = (pd.DataFrame(epochs_of(each)) for each in (workdir, expected.workdir))
    pd.testing.assert_frame_equal(mine, theirs, rtol=1e-5)
    mine, theirs = (
        pd.json_normalize(each["inference_modes"]) for each in (metrics, expected.metrics)
    )
    pd.testing.assert_frame_equal(mine, theirs, rtol=1e-5)


def metrics_of(workdir) -> dict:
    """The metrics without those of speed."""
    metrics = json.loads((pathlib.Path(workdir) / "metrics.json").read_text())
    assert metrics.pop("train_seconds") > 0 and metrics.pop("train_memory_bytes") > 0
    if search := metrics.get("search"):
        search.pop("stages_compiled_before")
        assert all(fold.pop("seconds") > 0 for fold in search["folds"].values())
    return metrics
