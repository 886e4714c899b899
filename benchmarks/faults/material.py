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
      prepared: a dataset of 12 clips.
      workdir: a finished run of ST-BLN on it.
      csv: a landmark file to predict.
    """

    folder: pathlib.Path

    @property
    def prepared(self) -> pathlib.Path:
        return self.folder / "prepared"

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
        fields = {
            "data.path": self.prepared, "data.frames": 4, "model.widths": "(4, 4)",
            "train.epochs": epochs, "train.batch_size": 8, "evaluation.mc_samples": 8,
            "train.checkpoint_every_epochs": 1,
        }  # fmt: skip
        overrides = [f"--config.{name}={value}" for name, value in fields.items()]
        return ["train", "--config", "stbln_synthetic", "--workdir", str(workdir), *overrides]


def make(folder: pathlib.Path) -> Material:
    """Makes the material unless it is there; raises SystemExit if a command fails."""
    made = Material(folder)
    if (folder / _MARK).exists():
        return made
    folder.mkdir(parents=True, exist_ok=True)
    sizes = ["--subjects", "6", "--clips-per-subject", "7", "--difficulty", "0.1"]
    _call(["prepare", "synthetic", "--out", str(made.prepared), *sizes])
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
