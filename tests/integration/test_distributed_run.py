"""Training in several processes: the numbers of one, resumed after a kill, ended together."""

import pathlib
import re
import shutil
import signal
import time

import numpy as np
import pandas as pd
import pytest

from tests.finished_runs import (
    crops_config,
    epochs_of,
    landmarks_config,
    train,
    write_config,
)
from tests.integration.test_search import small_config, stages_of
from tests.processes import Group

pytestmark = pytest.mark.usefixtures("no_figures")
FOLDS = {
    "protocol.name": "subject_kfold", "protocol.folds": 2, "model.widths": (4,), "train.epochs": 2,
    "optimizer.learning_rate": 0.02, "evaluation.mc_samples": 4,
    "uncertainty.members": 2, "uncertainty.posterior": "laplace",
}  # fmt: skip
LONG = {
    "model.widths": (4,), "train.epochs": 10, "train.batch_size": 14, "evaluation.mc_samples": 2,
    "train.checkpoint_every_epochs": 1,
}  # fmt: skip
STREAMED = {
    "data.in_memory_gb": 0.0, "train.epochs": 1, "train.batch_size": 4,
    "model.stages": ((4, 1),), "model.modules": 1, "evaluation.mc_samples": 2,
}  # fmt: skip
SEARCH = {
    "search.max_layers": 1, "search.max_blocks": 2, "search.epochs": 2, "search.folds": "first",
    "train.epochs": 1, "train.batch_size": 14, "evaluation.mc_samples": 2,
}  # fmt: skip


def commands(folder: pathlib.Path, config, workdirs) -> list[list[str]]:
    """What each process is given: the same config, and a work directory of its own."""
    file = write_config(folder, config)
    return [["--config", file, "--workdir", str(folder / each)] for each in workdirs]


def trained(folder, config, processes: int, devices: int, **options) -> pathlib.Path:
    """Trains to the end: the work directory, which is that of process 0."""
    names = [f"{processes}x{devices}_{index}" for index in range(processes)]
    with Group(*commands(folder, config, names), devices=devices, **options) as group:
        codes, shown = group.wait()
    assert codes == [0] * processes, "\n".join(shown)
    assert_only_first_wrote(folder, names, shown)
    assert f"{processes * devices} x cpu" in shown[0]
    return folder / names[0]


def assert_only_first_wrote(folder, names, shown) -> None:
    """The others were given folders of their own to write into."""
    assert (folder / names[0] / "config.json").exists()
    assert not any((folder / name).exists() for name in names[1:])
    lines = "".join(shown[1:]).splitlines()
    assert [line for line in lines if not line.startswith("waiting for ")] == []


def assert_same(ours: pathlib.Path, theirs: pathlib.Path) -> None:
    """The same losses, and the same probabilities in every inference mode, to 1e-5."""
    rows = [pd.DataFrame(epochs_of(each)) for each in (ours, theirs)]
    pd.testing.assert_frame_equal(*rows, rtol=0, atol=1e-5)
    files = sorted(path.name for path in (theirs / "folds").glob("*.npz"))
    assert files and files == sorted(path.name for path in (ours / "folds").glob("*.npz"))
    for file in files:
        with np.load(ours / "folds" / file) as mine, np.load(theirs / "folds" / file) as other:
            assert set(mine) == set(other)
            for name in set(other) - {"sha256", "train_memory_bytes"}:
                np.testing.assert_allclose(
                    mine[name], other[name], rtol=0, atol=1e-5, err_msg=f"{file} {name}"
                )


def test_landmarks_any_processes_and_devices_make_the_same_run(prepared, tmp_path):
    config = landmarks_config(prepared, **FOLDS)
    several, eight = trained(tmp_path, config, 2, 4), trained(tmp_path, config, 1, 8)
    train(config, tmp_path / "one")
    assert_same(several, eight)
    assert_same(several, tmp_path / "one")
    samples = np.load(several / "folds" / "fold00.npz")["evaluation_samples"]
    assert np.ptp(samples, axis=0).max() > 1e-3  # dropout was on
    assert list((several / "folds").glob("*posterior*"))
    assert [path.name for path in (several / "model").iterdir()]


def test_streamed_crops_make_the_same_run(prepared_crops, tmp_path):
    """Each process decodes its own part of every batch."""
    config = crops_config(prepared_crops, **STREAMED)
    several = trained(tmp_path, config, 2, 1)
    train(config, tmp_path / "one")
    assert_same(several, tmp_path / "one")


def test_search_takes_the_same_decisions(prepared, tmp_path):
    config = small_config(prepared, **SEARCH)
    several = trained(tmp_path, config, 2, 1, slurm=True)
    train(config, tmp_path / "one")
    ours, theirs = (
        [(row["topology"], row["decision"], row["kept"]) for row in stages_of(each)]
        for each in (several, tmp_path / "one")
    )
    assert ours == theirs
    assert_same(several, tmp_path / "one")


def wait_for_epochs(group: Group, workdir: pathlib.Path, count: int) -> None:
    for _ in range(6000):
        if len(epochs_of(workdir)) >= count:
            return
        assert group.processes[0].poll() is None, group.shown
        time.sleep(0.02)


def test_killed_and_interrupted_run_resumes_to_the_same_numbers(prepared, tmp_path):
    config = landmarks_config(prepared, **LONG)
    names = ["2x1_0", "2x1_1"]
    both, workdir = commands(tmp_path, config, names), tmp_path / names[0]
    with Group(*both, devices=1) as group:
        wait_for_epochs(group, workdir, 2)
        group.processes[1].send_signal(signal.SIGKILL)
        codes, shown = group.wait()
    assert codes == [1, -signal.SIGKILL]
    assert "error: another process " in shown[0] and "which resumes from" in shown[0]
    assert "Traceback" not in shown[0]
    done = len(epochs_of(workdir))
    with Group(*both, devices=1) as group:
        wait_for_epochs(group, workdir, done + 2)
        group.processes[1].send_signal(signal.SIGINT)  # one of them is enough
        codes, shown = group.wait()
    assert codes == [130, 130], shown
    for text in shown:
        assert "interrupted: the same command resumes from the last checkpoint" in text
        assert "Traceback" not in text
    assert done + 2 <= len(epochs_of(workdir)) < LONG["train.epochs"]
    resumed = trained(tmp_path, config, 2, 1)
    train(config, tmp_path / "one")
    assert_same(resumed, tmp_path / "one")


def test_killed_first_process_ends_the_others(prepared, tmp_path):
    both = commands(tmp_path, landmarks_config(prepared, **LONG), ["a", "b"])
    with Group(*both, devices=1) as group:
        wait_for_epochs(group, tmp_path / "a", 1)
        group.processes[0].kill()
        codes, shown = group.wait()
    assert codes == [-signal.SIGKILL, 1]
    assert shown[1].splitlines()[-1].startswith("error: another process ")


def test_failure_of_the_first_process_ends_the_others(prepared, tmp_path):
    (tmp_path / "file").touch()
    both = commands(tmp_path, landmarks_config(prepared), ["file/run", "b"])
    with Group(*both, devices=1) as group:
        codes, shown = group.wait()
    assert codes == [1, 1], shown
    assert "error: " in shown[0] and "Not a directory" in shown[0]
    assert "error: process 0 on " in shown[1] and "Not a directory" in shown[1]
    assert not any("Traceback" in text for text in shown)


def test_damaged_data_are_found_together(prepared, tmp_path):
    """The file is in the share of one of them; both say the same."""
    data = tmp_path / "data"
    shutil.copytree(prepared, data, ignore=shutil.ignore_patterns(".*"))
    file = min(data.glob("*.array_record-*"))
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    both = commands(tmp_path, landmarks_config(data), ["a", "b"])
    with Group(*both, devices=1) as group:
        codes, shown = group.wait()
    assert codes == [1, 1], shown
    said = re.compile(
        f"error: {re.escape(str(file))} is damaged .* \\(process [01] on .*\\): prepare"
    )
    assert said.search(shown[0]) and not any("Traceback" in text for text in shown)
    assert f"{file} is damaged" in (shown[1] or shown[0])  # whoever ends first speaks for both


def test_processes_with_other_configs_are_refused(prepared, tmp_path):
    (first, second) = commands(tmp_path, landmarks_config(prepared), ["a", "b"])
    second += ["--config.optimizer.momentum=0.5"]
    with Group(first, second, devices=1) as group:
        codes, shown = group.wait()
    assert codes == [1, 1], shown
    said = "has another config or dataset than process 0"
    assert "(optimizer.momentum: 0.9 there, 0.5 here): start all with" in shown[0]
    assert said in shown[0] and not (tmp_path / "a").exists()
