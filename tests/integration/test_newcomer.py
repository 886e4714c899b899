"""A system and a dataset are added as the tutorials say, and `make test` asks for nothing else."""

import os
import pathlib
import re
import shutil
import subprocess
import sys

import flax.linen as nn
import pytest

import fer_jax
from fer_jax import systems
from fer_jax.compare.compare import load_config
from preprocess.datasets import DATASETS
from tests.docs.pages import ROOT, blocks
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


# The clone with both tutorials applied

COPIED = ("benchmarks", "configs", "docs", "fer_jax", "preprocess", "tests", "run.py")
COPIED += ("CONTRIBUTING.md", "README.md", "pyproject.toml")
# What `make test` runs that asks something of a system, a dataset, a config or a page.
ASKING = (
    "tests/docs/test_commands.py", "tests/docs/test_pages.py", "tests/experiments/test_configs.py",
    "tests/preprocess/test_datasets_contract.py", "tests/systems/test_contract.py",
    "tests/systems/test_fields.py", "tests/test_house.py",
)  # fmt: skip
NEW = ("mean_motion", "meanmotion", "rooms", "forgotten")
# Tests of all that there is, which have no parameter with the new names.
OF_ALL = (
    "configs_that_exist", "datasets_of", "every_toy", "every_case", "rematerialised", "are_small",
    "chains_are_short", "imports_itself", "networks_know",
)  # fmt: skip


def add_rows(file: pathlib.Path, table: str, imports: str, rows: str) -> None:
    """Writes rows into a table of a file, and the imports in front of it."""
    before, head, after = file.read_text().partition(f"\n{table} = {{\n")
    assert head, f"{file} has no table {table}"
    imports = imports and f"{imports}\n"
    file.write_text(f"{before}{imports}{head}{rows}{after}")


def apply(page: str, clone: pathlib.Path) -> None:
    """Does what a tutorial says: titled blocks become files, or rows of the tables they name."""
    for block in blocks(page):
        if block.table:
            file, table = block.table
            add_rows(clone / file, table, *block.imports_and_rows)
        elif block.language == "python" and block.title:
            put(clone / block.title, block.text)


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> pathlib.Path:
    """A copy of the sources with both tutorials applied."""
    clone = tmp_path_factory.mktemp("newcomer") / "fer_jax"
    clone.mkdir()
    for name in COPIED:
        if (ROOT / name).is_dir():  # with what is compiled already, but for files half-written
            shutil.copytree(ROOT / name, clone / name, ignore=shutil.ignore_patterns("*.pyc.*"))
        else:
            shutil.copy2(ROOT / name, clone / name)
    for page in ("docs/tutorials/new_system.md", "docs/tutorials/new_dataset.md"):
        apply(page, clone)
    for command in (["check", "--fix"], ["format", "--check"]):  # sorts the import
        ruff = [sys.executable, "-m", "ruff", *command, "--quiet", str(clone)]
        done = subprocess.run(ruff, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout
    return clone


def test_tutorials_are_all_that_the_tests_ask_for(clone):
    """Without its row in a table of tests a system or a dataset fails one test, which says so."""
    system = '    "forgotten": System("mean_motion.network.MeanMotion"),\n'
    add_rows(clone / "fer_jax/systems/__init__.py", "SYSTEMS", "", system)
    add_rows(clone / "preprocess/datasets/__init__.py", "DATASETS", "", '    "forgotten": rooms,\n')
    chosen = " or ".join(NEW + OF_ALL)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:xdist", "-rA", "-k", chosen, *ASKING],
        cwd=clone, env={**os.environ, "PYTHONPATH": str(clone)}, capture_output=True, text=True,
    )  # fmt: skip
    shown = done.stdout + done.stderr
    tests = re.findall(r"^(PASSED|FAILED|ERROR) \S+?::(\S+)", shown, re.MULTILINE)
    failed = {test for result, test in tests if result != "PASSED"}
    wanted = {"test_system_has_a_toy[forgotten]", "test_dataset_has_a_case[forgotten]"}
    assert failed == wanted and done.returncode == 1, shown
    for words in (
        "add a row 'forgotten' to TOYS in tests/systems/toys.py",
        "add a row 'forgotten' to CASES in tests/preprocess/cases.py",
        "mean_motion has no mirror in benchmarks/torch_mirrors",
    ):
        assert words in shown
    passed = {test for result, test in tests if result == "PASSED"}
    for test in (
        "test_gradient_reaches_every_parameter[mean_motion]",
        "test_dropout_follows_its_switch[mean_motion]",
        "test_published_network_passes_its_own_checks[mean_motion]",
        "test_config_is_complete_and_names_its_command[meanmotion_synthetic]",
        "test_clip_without_label_is_listed_with_the_reason[rooms]",
        "test_missing_source_shows_the_layout[rooms]",
        "test_every_file_says_what_it_is_for[rooms]",
    ):
        assert test in passed, shown
