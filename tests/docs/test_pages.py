"""What the pages name is there: files, code, configs, columns, fields; the README is short."""

import dataclasses
import importlib
import pathlib
import re

import pytest

import fer_jax
from fer_jax.experiments import configs
from fer_jax.systems import SYSTEMS
from fer_jax.tasks import TASKS
from tests.docs.pages import PAGES, ROOT, prose, read

OWN = ("benchmarks/", "configs/", "docs/", "fer_jax/", "notebooks/", "preprocess/", "tests/")
# Names that stand for a system or a dataset to be added.
EXAMPLES = ("mean_motion", "meanmotion", "rooms")
PENDING = "<!-- pending -->"  # a row of docs/papers/ that the code does not follow yet


@pytest.mark.parametrize("page", PAGES)
def test_links_and_named_files_exist(page):
    text, folder = prose(page), (ROOT / page).parent
    links = re.findall(r"\]\((?!https?://)([^)#]+)", text)
    assert [link for link in links if not (folder / link).exists()] == []
    named = [name for name in re.findall(r"`([\w.-]+/[\w./-]*)`", text) if name.startswith(OWN)]
    named = [name for name in named if not any(example in name for example in EXAMPLES)]
    assert [name for name in named if not (ROOT / name).exists()] == []


def names_in_code() -> list[tuple[str, str, str]]:
    """(page, name, file) wherever a page says that something is in a file or a module."""
    found = []
    for page in PAGES:
        text = " ".join(read(page).split())
        for names, file in re.findall(
            r"((?:`[\w.]+`(?:,? and |, )?)+) in (?:`|\[`)((?:fer_jax|preprocess)[\w./]+)`", text
        ):
            path = file if file.endswith(".py") else f"{file.replace('.', '/')}.py"
            if not (ROOT / path).exists():
                path = f"{file.replace('.', '/')}/__init__.py"
            found += [(page, name, path) for name in re.findall(r"`([\w.]+)`", names)]
    return found


def test_code_is_where_the_pages_say():
    found = names_in_code()
    assert len(found) > 50
    for page, name, path in found:
        if pathlib.Path(path).name == "__init__.py":
            assert hasattr(importlib.import_module(path.split("/__")[0].replace("/", ".")), name)
            continue
        own = name.split(".")[-1]
        pattern = rf"^\s*(?:class|def) {own}\b|^{own}\b.*="
        assert re.search(pattern, read(path), re.MULTILINE), (page, name, path)


def test_code_names_only_pages_that_exist():
    for folder in ("fer_jax", "preprocess", "configs", "benchmarks", "tests"):
        for path in (ROOT / folder).rglob("*.py"):
            pages = re.findall(r"docs/[\w/]+\.md", path.read_text())
            assert [page for page in pages if not (ROOT / page).exists()] == [], path


def test_nothing_cites_a_document_that_users_do_not_have():
    """What the papers leave open is cited by their pages in docs/papers/."""
    cited = re.compile(r"\b[Ss]pecifications?,? (sections?|where|for|of|that)\b")
    for folder in OWN:
        for path in [*(ROOT / folder).rglob("*.py"), *(ROOT / folder).rglob("*.md")]:
            found = cited.search(" ".join(path.read_text(encoding="utf-8").split()))
            assert not found, f"{path}: {found[0]}"


def test_the_readme_is_short():
    assert len(read("README.md").splitlines()) <= 150


def test_training_lists_configs_that_exist():
    table = read("docs/training.md").partition("## Experiments")[2].partition("## The work")[0]
    rows = re.findall(r"^\| (`.*?`) \|", table, re.MULTILINE)
    listed = {name for row in rows for name in re.findall(r"`(\w+)[:`]", row)}
    assert listed and listed <= set(configs.names())  # `fer-jax configs` lists them all


def fields_of_configs() -> set[str]:
    """Fields as `--config.FIELD` names them: of every config, and of every network."""
    made = [importlib.import_module(f"configs.{name}").get_config() for name in configs.names()]
    networks = [system.network for system in SYSTEMS.values()]
    fields = {f"model.{field.name}" for each in networks for field in dataclasses.fields(each)}
    for config in made:
        fields |= set(config.keys())
        sections = {name: value for name, value in config.items() if hasattr(value, "keys")}
        fields |= {f"{name}.{key}" for name, section in sections.items() for key in section}
    return fields


def test_fields_that_the_pages_set_exist():
    known, found = fields_of_configs(), []
    for page in PAGES:
        lines = [line for line in read(page).splitlines() if PENDING not in line]
        found += re.findall(r"--config\.([a-z][a-z0-9_.]*[a-z0-9_])", "\n".join(lines))
    assert len(found) > 50 and set(found) <= known, set(found) - known


def test_every_column_of_a_prediction_is_explained():
    page = read("docs/predictions.md")
    for task, names in (
        ("classification", ["happiness"]),
        ("action_units", ["AU06"]),
        ("dimensional", ["valence"]),
    ):
        columns = TASKS[task].columns(names)
        assert [column for column in columns if f"`{column}`" not in page] == []


def test_the_page_of_the_format_names_every_field(prepared, prepared_crops):
    tfds = pytest.importorskip("tensorflow_datasets")
    page = read("docs/data/format.md")
    for folder in (prepared, prepared_crops):
        fields = tfds.builder_from_directory(folder).info.features
        assert [field for field in fields if f"`{field}`" not in page] == []
        files = [path.name for path in folder.iterdir() if "array_record" not in path.name]
        assert [name for name in files if f"`{name}" not in page] == []


def test_versions_agree():
    version = re.escape(fer_jax.__version__)
    assert re.search(rf"^version: {version}$", read("CITATION.cff"), re.MULTILINE)
    assert re.search(rf"^## {version}\b", read("CHANGELOG.md"), re.MULTILINE)
