"""Training in several processes: the numbers of one, resumed after a kill, ended together."""

import json
import pathlib
import signal

import numpy as np
import pandas as pd
import pytest

from tests.finished_runs import (
    crops_config,
    epochs_of,
    landmarks_config,
    write_config,
)
from tests.integration.test_search import small_config
from tests.processes import Group

FOLDS = {
    "protocol.name": "subject_kfold", "protocol.folds": 2, "model.widths": (4,), "train.epochs": 2,
    "optimizer.learning_rate": 0.02, "evaluation.mc_samples": 4,
}  # fmt: skip


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    return tmp_path_factory.mktemp("distributed")


def arguments(folder: pathlib.Path, config, workdir: str) -> list[str]:
    return ["--config", write_config(folder, config), "--workdir", str(folder / workdir)]


def trained(folder, config, processes: int, devices: int, **options) -> pathlib.Path:
    """Trains to the end: the work directory."""
    name = f"{processes}x{devices}"
    own = arguments(folder, config, name)
    with Group(*[own] * processes, devices=devices, **options) as group:
        codes, shown = group.wait()
    assert codes == [0] * processes, "\n".join(shown)
    assert all(text == "" for text in shown[1:])  # process 0 speaks for all
    return folder / name


def assert_same(ours: pathlib.Path, theirs: pathlib.Path) -> None:
    """The same losses, and the same probabilities in every inference mode, to 1e-5."""
    rows = [pd.DataFrame(epochs_of(each)) for each in (ours, theirs)]
    pd.testing.assert_frame_equal(*rows, rtol=0, atol=1e-5)
    files = sorted(path.name for path in (theirs / "folds").glob("*.npz"))
    assert files == sorted(path.name for path in (ours / "folds").glob("*.npz"))
    for file in files:
        with np.load(ours / "folds" / file) as mine, np.load(theirs / "folds" / file) as other:
            names = {name for name in other if name not in ("sha256", "train_memory_bytes")}
            assert names <= set(mine)
            for name in names:
                np.testing.assert_allclose(mine[name], other[name], atol=1e-5, err_msg=name)


def test_landmarks_any_processes_and_devices_make_the_same_run(prepared, kept):
    config = landmarks_config(prepared, **FOLDS)
    several, eight, one = (
        trained(kept, config, processes, devices) for processes, devices in ((2, 4), (1, 8), (1, 1))
    )
    assert_same(several, eight)
    assert_same(several, one)
    samples = np.load(several / "folds" / "fold00.npz")["evaluation_samples"]
    assert np.ptp(samples, axis=0).max() > 1e-3  # dropout was on
