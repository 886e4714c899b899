"""What the documentation promises is there: its code runs, its files and commands exist."""

import importlib.util
import itertools
import pathlib
import re

import numpy as np
import pytest

import fer_jax
from preprocess.datasets import DATASETS

ROOT = pathlib.Path(__file__).parents[2]
PAGES = (
    "README.md",
    "CONTRIBUTING.md",
    *(f"docs/{name}.md" for name in ("data", "results", "speed", "uncertainty")),
)
OWN = ("benchmarks/", "configs/", "docs/", "fer_jax/", "notebooks/", "preprocess/", "tests/")


def read(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def python_blocks(page: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", read(page), re.DOTALL | re.MULTILINE)


def test_uncertainty_of_any_flax_model(capsys):
    blocks = python_blocks("docs/uncertainty.md")
    assert len(blocks) >= 4
    names = {"__name__": "docs.uncertainty"}
    for block in blocks:
        exec(compile(block, "docs/uncertainty.md", "exec"), names)
    assert len(capsys.readouterr().out.splitlines()) == 4
    correct, entropy = names["correct"], names["summary"].entropy
    assert correct.mean() > 0.8
    assert entropy[~correct].mean() > entropy[correct].mean()
    assert np.isfinite(names["threshold"])
    assert names["accuracy"] > correct[names["checked"]].mean()


def test_reading_a_prepared_data_set(prepared, monkeypatch, tmp_path, capsys):
    (tmp_path / "data").symlink_to(prepared.parent)
    monkeypatch.chdir(tmp_path)
    (block,) = python_blocks("docs/data.md")
    exec(compile(block, "docs/data.md", "exec"), {})
    assert "anger" in capsys.readouterr().out


def test_the_schema_page_names_every_field(prepared):
    tfds = pytest.importorskip("tensorflow_datasets")
    page = read("docs/data.md")
    assert [
        f for f in tfds.builder_from_directory(prepared).info.features if f"`{f}`" not in page
    ] == []
    files = [path.name for path in prepared.iterdir() if "array_record" not in path.name]
    assert [name for name in files if f"`{name}" not in page] == []


@pytest.mark.parametrize("page", PAGES)
def test_links_and_named_files_exist(page):
    text = read(page)
    folder = (ROOT / page).parent
    links = re.findall(r"\]\((?!https?://)([^)#]+)\)", text)
    assert [link for link in links if not (folder / link).exists()] == []
    named = [name for name in re.findall(r"`([\w.-]+/[\w./-]*)`", text) if name.startswith(OWN)]
    missing = [name for name in named if not (ROOT / name).exists()]
    assert missing == []


@pytest.mark.parametrize("page", PAGES)
def test_commands_exist(page):
    text = read(page)
    configs = re.findall(r"run\.py --config (\S+)", text)
    configs = [name for name in configs if not name.startswith("runs/")]  # that a run writes
    assert [name for name in configs if not (ROOT / name.split(":")[0]).is_file()] == []
    modules = set(re.findall(r"python -m ([\w.]+)", text)) - {"pytest"}
    assert [name for name in modules if importlib.util.find_spec(name) is None] == []
    data_sets = set(re.findall(r"-m preprocess (\w+)", text)) - {"DATASET"}
    assert data_sets <= set(DATASETS)
    targets = re.findall(r"^(\w+):", read("Makefile"), re.MULTILINE)
    assert set(re.findall(r"^    make (\w+)", text, re.MULTILINE)) <= set(targets)


def test_readme_lists_configs_and_extras():
    text = read("README.md")
    table = "".join(re.findall(r"^\| `.*\.py.*", text, re.MULTILINE))
    listed = set(re.findall(r"`(\w+\.py)", table))
    for pattern in re.findall(r"`([\w{},]+\{[\w{},]+\}\.py)`", table):
        parts = [part.split(",") for part in re.split(r"[{}]", pattern)]
        listed |= {"".join(choice) for choice in itertools.product(*parts)}
    assert listed == {p.name for p in (ROOT / "configs").glob("*.py")} - {"base.py"}
    extras = re.findall(r'"\.\[(\w+)\]"', text)
    assert extras and all(f"\n{extra} = [" in read("pyproject.toml") for extra in extras)


def test_versions_agree():
    version = re.escape(fer_jax.__version__)
    assert re.search(rf"^version: {version}$", read("CITATION.cff"), re.MULTILINE)
    assert re.search(rf"^## {version}\b", read("CHANGELOG.md"), re.MULTILINE)
