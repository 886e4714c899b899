"""The small dataset, run and bundle that are damaged; made once by the commands themselves."""

from __future__ import annotations

import dataclasses
import pathlib

import numpy as np

from fer_jax import commands
from fer_jax.faces import landmarks

_MARK = "made"


@dataclasses.dataclass(frozen=True)
class Material:
    """What is damaged.

    Attributes:
      folder: everything lies in it.
      prepared: a dataset of 42 clips.
      crops: one of 21 clips with face crops.
      workdir: a finished run of ST-BLN on the first.
      csv: a landmark file to predict.
    """

    folder: pathlib.Path

    @property
    def prepared(self) -> pathlib.Path:
        return self.folder / "prepared"

    @property
    def crops(self) -> pathlib.Path:
        return self.folder / "prepared_crops"

    @property
    def workdir(self) -> pathlib.Path:
        return self.folder / "run"

    @property
    def bundle(self) -> pathlib.Path:
        return self.workdir / "model"

    @property
    def csv(self) -> pathlib.Path:
        return self.folder / "smile.csv"

    def train_arguments(self, workdir: pathlib.Path, epochs: int = 2) -> list[str]:
        """Arguments of `fer-jax train` for the small run, in a work directory of its own."""
        fields = {"data.path": self.prepared, "model.widths": "(4, 4)", "train.epochs": epochs}
        return _train("stbln_synthetic", workdir, fields)

    def search_arguments(self, workdir: pathlib.Path) -> list[str]:
        """The same for a search of PST-BLN, of four stages."""
        fields = {
            "data.path": self.prepared, "model.subsets": 1, "model.kernel_size": 3,
            "train.epochs": 4, "search.epochs": 4, "search.block_size": 2, "search.max_layers": 2,
            "search.max_blocks": 2,
        }  # fmt: skip
        return _train("pstbln_synthetic", workdir, fields)

    def crops_arguments(self, workdir: pathlib.Path) -> list[str]:
        """The same for FER-GCN on face crops, which are decoded while it trains."""
        fields = {
            "data.path": self.crops, "data.crop_size": 28, "data.in_memory_gb": 0.0,
            "model.stages": "((4, 1), (6, 1))", "model.features": 8, "train.epochs": 4,
        }  # fmt: skip
        return _train("fergcn_synthetic", workdir, fields)


def _train(config: str, workdir: pathlib.Path, fields: dict) -> list[str]:
    fields |= {
        "data.frames": 4, "train.batch_size": 8, "evaluation.mc_samples": 8,
        "train.checkpoint_every_epochs": 1,
    }  # fmt: skip
    overrides = [f"--config.{name}={value}" for name, value in fields.items()]
    return ["train", "--config", config, "--workdir", str(workdir), *overrides]


def make(folder: pathlib.Path) -> Material:
    """Makes the material unless it is there; raises SystemExit if a command fails."""
    made = Material(folder)
    if (folder / _MARK).exists():
        return made
    folder.mkdir(parents=True, exist_ok=True)
    sizes = ["--subjects", "6", "--clips-per-subject", "7", "--difficulty", "0.1"]
    _call(["prepare", "synthetic", "--out", str(made.prepared), *sizes])
    few = ["--subjects", "3", "--clips-per-subject", "7", "--render", "--crops", "32"]
    _call(["prepare", "synthetic", "--out", str(made.crops), *few])
    _call(made.train_arguments(made.workdir))
    write_csv(made.csv)
    (folder / _MARK).touch()
    return made


def write_csv(path: pathlib.Path, frames: int = 30) -> None:
    """Writes a landmark file of OpenFace's columns: a mouth that opens, 25 frames a second."""
    faces = np.tile(60 * landmarks.MEAN_FACE + 250, (frames, 1, 1))
    faces[:, 55:60, 1] += np.linspace(0, 8, frames)[:, None]
    names = [f"{axis}_{point}" for axis in "xy" for point in range(68)]
    rows = [",".join(["frame", "timestamp", "success", *names])]
    for index, face in enumerate(faces):
        values = [f"{value:.2f}" for value in face.T.ravel()]
        rows.append(",".join([str(index + 1), f"{index / 25:.3f}", "1", *values]))
    path.write_text("\n".join(rows) + "\n")


def _call(arguments: list[str]) -> None:
    if code := commands.main(arguments):
        raise SystemExit(f"error: fer-jax {' '.join(arguments)} ended with exit code {code}")
