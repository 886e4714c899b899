"""Every Python block of the documentation runs, page by page, and prints what the page says."""

import contextlib
import importlib
import io
import pathlib
import sys
import types

import numpy as np
import pytest

from tests.docs.pages import PAGES, Block, blocks

WITH_PYTHON = [page for page in PAGES if any(block.language == "python" for block in blocks(page))]
LANGUAGES = {"python", "bash", "csv", "text", "math", "yaml"}


@pytest.fixture
def run_page(workspace, monkeypatch):
    """Function that runs the Python blocks of a page and returns their namespace."""
    monkeypatch.chdir(workspace)

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
        module.__package__ = ".".join(packages)
        monkeypatch.setitem(sys.modules, full, module)
        monkeypatch.setattr(sys.modules[".".join(packages)], name, module, raising=False)
        exec(compile(text, path, "exec"), module.__dict__)

    def add_rows(block: Block) -> None:
        (file, table), (lines, rows) = block.table, block.imports_and_rows
        path = pathlib.PurePath(file).with_suffix("")
        module = ".".join(path.parts[: -1 if path.name == "__init__" else None])
        names = dict(vars(importlib.import_module(module)))
        exec(lines, names)
        for key, row in eval(f"{{{rows}}}", names).items():
            monkeypatch.setitem(names[table], key, row)

    def run(page: str) -> dict:
        names, said = {"__name__": page}, None
        for block in blocks(page):
            if block.title == "Output":
                assert said is not None, "an output without a Python block in front of it"
                assert [line.rstrip() for line in said.splitlines()] == [
                    line.rstrip() for line in block.text.splitlines()
                ]
            said = None
            if block.table:
                add_rows(block)
            elif block.language == "python" and block.title:
                make_module(block.title, block.text)
            elif block.language == "python":
                with contextlib.redirect_stdout(io.StringIO()) as out:
                    exec(compile(block.text, page, "exec"), names)
                said = out.getvalue()
        return names

    return run


# With tests of their own.
APART = (
    "docs/tutorials/your_flax_model.md", "docs/training.md", "docs/export.md", "docs/live.md",
)  # fmt: skip


@pytest.mark.parametrize("page", [page for page in WITH_PYTHON if page not in APART])
def test_blocks_run_and_print_what_the_page_says(page, run_page):
    run_page(page)


def test_uncertainty_of_any_flax_model(run_page):
    names = run_page("docs/tutorials/your_flax_model.md")
    correct, entropy = names["correct"], names["summary"].entropy
    assert correct.mean() > 0.8
    assert entropy[~correct].mean() > entropy[correct].mean()
    assert np.isfinite(names["threshold"])
    assert names["accuracy"] > correct[names["checked"]].mean()


class Tracked:
    """A run of W&B, with the signature of its `log`."""

    def __init__(self):
        self.rows, self.entered, self.finished = [], False, False

    def __enter__(self):
        self.entered = True
        return self

    def __exit__(self, *error):
        self.finished = True

    def log(self, data: dict, step: int | None = None, commit: bool | None = None) -> None:
        assert self.entered and not self.finished
        assert all(isinstance(name, str) for name in data)
        assert all(isinstance(value, (int, float)) for value in data.values())
        self.rows.append(dict(data))


def test_wandb_gets_every_epoch(run_page, monkeypatch):
    tracked, asked = Tracked(), {}

    def init(*, project=None, name=None, config=None, **options):
        asked.update(project=project, name=name, config=config, options=options)
        return tracked

    wandb = types.ModuleType("wandb")
    wandb.init = init
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    run_page("docs/training.md")
    assert tracked.finished and asked["config"]["train"]["epochs"] == 2 and not asked["options"]
    assert [row["holdout/epoch"] for row in tracked.rows] == [1, 2]
    assert {"holdout/train_loss", "holdout/evaluation_accuracy"} <= set(tracked.rows[1])


@pytest.mark.parametrize("page", PAGES)
def test_every_block_says_what_it_is(page):
    assert {block.language for block in blocks(page)} <= LANGUAGES
    for block in blocks(page):
        assert block.title or block.language not in ("csv", "yaml")
