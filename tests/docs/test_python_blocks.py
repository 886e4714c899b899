"""Every Python block of the documentation runs, page by page, and prints what the page says."""

import contextlib
import importlib
import io
import pathlib
import sys
import types

import jax
import numpy as np
import pytest

from fer_jax.systems import SYSTEMS
from preprocess.datasets import DATASETS
from tests.docs.pages import PAGES, blocks

WITH_PYTHON = [page for page in PAGES if any(block.language == "python" for block in blocks(page))]
LANGUAGES = {"python", "bash", "csv", "text", "math"}


@pytest.fixture
def run_page(workspace, monkeypatch):
    """Function that runs the Python blocks of a page and returns their namespace."""
    monkeypatch.chdir(workspace)
    tables = [(table, dict(table)) for table in (SYSTEMS, DATASETS)]

    def make_module(path: str, text: str) -> None:
        """Makes a block that is a file importable under the file's name."""
        *packages, name = pathlib.PurePath(path).with_suffix("").parts
        for depth in range(1, len(packages) + 1):
            package = ".".join(packages[:depth])
            try:
                importlib.import_module(package)
            except ModuleNotFoundError:
                made = types.ModuleType(package)
                made.__path__ = []
                monkeypatch.setitem(sys.modules, package, made)
        full = ".".join([*packages, name])
        module = types.ModuleType(full)
        monkeypatch.setitem(sys.modules, full, module)
        monkeypatch.setattr(sys.modules[".".join(packages)], name, module, raising=False)
        exec(compile(text, path, "exec"), module.__dict__)

    def run(page: str) -> dict:
        names, said = {"__name__": page}, None
        for block in blocks(page):
            if block.title == "Output":
                assert said is not None, "an output without a Python block in front of it"
                assert [line.rstrip() for line in said.splitlines()] == [
                    line.rstrip() for line in block.text.splitlines()
                ]
            said = None
            if block.language == "python" and block.title:
                make_module(block.title, block.text)
            elif block.language == "python":
                with contextlib.redirect_stdout(io.StringIO()) as out:
                    exec(compile(block.text, page, "exec"), names)
                said = out.getvalue()
        return names

    yield run
    for table, before in tables:
        table.clear()
        table.update(before)


@pytest.mark.parametrize("page", [page for page in WITH_PYTHON if "your_flax_model" not in page])
def test_blocks_run_and_print_what_the_page_says(page, run_page):
    run_page(page)


def test_uncertainty_of_any_flax_model(run_page):
    names = run_page("docs/tutorials/your_flax_model.md")
    correct, entropy = names["correct"], names["summary"].entropy
    assert correct.mean() > 0.8
    assert entropy[~correct].mean() > entropy[correct].mean()
    assert np.isfinite(names["threshold"])
    assert names["accuracy"] > correct[names["checked"]].mean()


def test_the_system_of_the_tutorial_passes_the_contract_of_dropout(run_page):
    names = run_page("docs/tutorials/new_system.md")
    network = names["build"]({"name": "mean_motion"}, classes=3, graph=None)
    clips = np.random.default_rng(0).normal(size=(2, 4, 12, 2)).astype(np.float32)
    variables = network.init(jax.random.key(0), clips, train=False)
    plain = network.apply(variables, clips, train=False)
    rngs = {"dropout": jax.random.key(1)}
    dropped = network.apply(variables, clips, train=False, dropout=True, rngs=rngs)
    assert np.abs(plain - dropped).max() > 0


@pytest.mark.parametrize("page", PAGES)
def test_every_block_says_what_it_is(page):
    assert {block.language for block in blocks(page)} <= LANGUAGES
    for block in blocks(page):
        assert block.title or block.language != "csv"
