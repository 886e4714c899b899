"""Every shell command of the documentation: run on tiny data, or parsed where a run takes long."""

import functools
import importlib.util
import pathlib
import re
import shlex
import tomllib
import warnings

import pytest

import fer_jax.commands
import fer_jax.commands.compare
import fer_jax.commands.export
import fer_jax.commands.live
import fer_jax.commands.models
import fer_jax.commands.predict
import fer_jax.commands.reproduce
import fer_jax.commands.train
import preprocess.__main__
from fer_jax import shipped
from fer_jax.experiments import configs
from fer_jax.systems import SYSTEMS
from preprocess.datasets import DATASETS
from tests.docs.pages import PAGES, ROOT, commands, read

SAME = {  # in a clone, and installed
    "preprocess": "prepare", "run.py": "train", "fer_jax.predict": "predict",
    "fer_jax.compare": "compare",
}  # fmt: skip
ALL = sorted({line for page in PAGES for line in commands(page)})


def words_of(line: str) -> list[str]:
    """A command in the form `fer-jax ...` if it has one, else as it stands."""
    words = shlex.split(line, comments=True)
    while words and re.fullmatch(r"\w+=.*", words[0]):  # variables of the environment
        words = words[1:]
    if words[:1] == ["python"] and words[1:2] == ["-m"] and words[2] in SAME:
        return ["fer-jax", SAME[words[2]], *words[3:]]
    if words[:1] == ["python"] and words[1] in SAME:
        return ["fer-jax", SAME[words[1]], *words[2:]]
    return words


def of(*start: str) -> list[list[str]]:
    """Commands that begin with these words, without them; each once."""
    found = {
        tuple(words[len(start) :])
        for line in ALL
        if (words := words_of(line))[: len(start)] == list(start)
    }
    return sorted(map(list, found))


@pytest.fixture
def at_workspace(workspace, monkeypatch):
    monkeypatch.chdir(workspace)
    return workspace


@pytest.mark.parametrize("arguments", of("fer-jax", "prepare"), ids=" ".join)
def test_prepare_lists_what_it_would_read(arguments, at_workspace, official, capsys):
    name = arguments[0]
    source = str(official.get(name, ""))
    arguments = [source if word == "DIR" else word for word in arguments]
    assert preprocess.__main__.main([*arguments, "--dry-run"]) == 0
    assert re.search(r"[1-9]\d* clips?", capsys.readouterr().out)


@functools.cache
def parsed(name: str, overrides: tuple[str, ...] = ()):
    """Loads a config with fields of the command line, as `fer-jax train` does."""
    arguments = ["train", f"--config={configs.find(name)}", *overrides]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # how ml_collections loads a file
        values = fer_jax.commands.train._flags(arguments)
        values(arguments)
        fer_jax.commands.train._is_distributed(values)
    return values["config"].value


@pytest.mark.parametrize("arguments", of("fer-jax", "train"), ids=" ".join)
def test_train_knows_config_and_fields(arguments):
    (place,) = (n for n, word in enumerate(arguments) if word.split("=")[0] == "--config")
    name, rest = arguments[place + 1], arguments[:place] + arguments[place + 2 :]
    if name.startswith("runs/"):  # a search writes it
        assert name.endswith("/found.py") and not rest
        return
    assert parsed(name, tuple(rest)).model.name in SYSTEMS


@pytest.mark.parametrize("arguments", of("fer-jax", "compare"), ids=" ".join)
def test_compare_knows_the_configs(arguments, monkeypatch):
    methods = []
    monkeypatch.setattr(
        "fer_jax.compare.compare.compare", lambda options: methods.extend(options.methods)
    )
    fer_jax.commands.compare.main(list(arguments))
    assert len(methods) >= 2
    for name, overrides in methods:
        if "runs/" not in name:  # the folder of a finished run
            configs.load(name, overrides)


@pytest.mark.parametrize("arguments", of("fer-jax", "reproduce"), ids=" ".join)
def test_reproduce_knows_tables_and_fields(arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    dry = ["--dry-run"] * (bool(arguments) and "--dry-run" not in arguments)
    assert fer_jax.commands.reproduce.main([*arguments, *dry]) == 0


@pytest.mark.parametrize("arguments", of("fer-jax", "models"), ids=" ".join)
def test_models_are_shown(arguments, capsys):
    assert fer_jax.commands.models.main(arguments) == 0
    assert "faces" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", of("fer-jax", "predict"), ids=" ".join)
def test_predict_predicts(arguments, at_workspace, tmp_path, monkeypatch, capsys):
    (tmp_path / "data").symlink_to(at_workspace / "data")
    if arguments[0] not in shipped.names():
        (tmp_path / arguments[0]).parent.mkdir(parents=True)
        (tmp_path / arguments[0]).symlink_to(at_workspace / "runs/stbln_synthetic/model")
    for name in ("CLIP", "NEW.mp4"):
        (tmp_path / name).symlink_to(at_workspace / "clip.mp4")
    monkeypatch.chdir(tmp_path)
    expanded = []
    for word in arguments:
        word = word.removesuffix("...")
        expanded += map(str, sorted(pathlib.Path().glob(word))) if "*" in word else [word]
    assert fer_jax.commands.predict.main(expanded) == 0
    for option, word in zip(arguments, arguments[1:], strict=False):
        if option in ("--out", "--annotate", "--figure"):
            assert pathlib.Path(word).exists()


@pytest.mark.parametrize("arguments", of("fer-jax", "live"), ids=" ".join)
def test_live_knows_its_options(arguments, monkeypatch):
    given = []
    monkeypatch.setattr("fer_jax.commands.live._run", given.append)
    fer_jax.commands.live.main(list(arguments))
    assert given[0].bundle in shipped.names()


def assert_flags(words: list[str], *places: pathlib.Path) -> None:
    """Every option among the words is added by a parser in these files or folders."""
    files = [
        file for place in places for file in (place.rglob("*.py") if place.is_dir() else [place])
    ]
    known = set(re.findall(r'"(--[\w-]+)"', "".join(file.read_text() for file in files)))
    assert {word.split("=")[0] for word in words if word.startswith("--")} <= known


def modules() -> list[list[str]]:
    return [words for words in of("python", "-m") if words[0] != "pytest"]


@pytest.mark.parametrize("words", modules(), ids=" ".join)
def test_modules_exist_and_know_their_options(words):
    specification = importlib.util.find_spec(words[0])
    assert specification, words[0]
    folder = ROOT / "benchmarks" if words[0].startswith("benchmarks") else specification.origin
    assert_flags(words[1:], pathlib.Path(folder))
    if words[0] == "benchmarks.speed" and len(words) > 1:
        assert re.search(rf'"{words[1]}": ', read("benchmarks/rows.py"))


def test_no_other_commands():
    targets = re.findall(r"^(\w+):", read("Makefile"), re.MULTILINE)
    extras = re.findall(r"^(\w+) = \[", read("pyproject.toml").partition("optional-dep")[2], re.M)
    for line in ALL:
        match words_of(line):
            case []:
                pass
            case [
                "fer-jax",
                "prepare"
                | "train"
                | "predict"
                | "live"
                | "compare"
                | "reproduce"
                | "models"
                | "export",
                *_,
            ]:
                pass
            case ["fer-jax", "configs"] | ["python", "-m", *_] | ["mkdocs", "serve" | "build"]:
                pass
            case ["make", target]:
                assert target in targets
            case ["pip", "install", "-e", what]:
                assert set(re.findall(r"\w+", what)) <= set(extras)
            case ["dask", "scheduler" | "worker", *_]:
                pass  # of the extra `cluster`
            case [".venv-onnx/bin/pip" | ".venv-onnx/bin/fer-jax", *_]:
                pass  # tests/export and make onnx run them
            case [program, *rest] if program.startswith(".venv-test/bin/"):
                files = [word for word in rest if word.startswith("tests/")]
                assert all((ROOT / file).exists() for file in files)
            case _:
                raise AssertionError(f"no test knows the command: {line}")


def test_fer_jax_has_the_commands_of_the_page():
    script = tomllib.loads(read("pyproject.toml"))["project"]["scripts"]["fer-jax"]
    assert script == f"{fer_jax.commands.__name__}:{fer_jax.commands.program.__name__}"
    page, known = read("docs/commands.md"), list(fer_jax.commands.COMMANDS)
    assert re.findall(r"^## ([\w]+)$", page, re.MULTILINE) == known
    assert re.findall(r"^\| `fer-jax (\w+)` \|", page, re.MULTILINE) == known


def test_datasets_of_the_page_of_commands():
    page = read("docs/commands.md")
    listed = page[page.index("The first argument is") : page.index("## train")]
    # `fer-jax prepare --help` lists them all
    named = set(re.findall(r"`(\w+)`", listed.partition("| option")[0]))
    assert named and named <= set(DATASETS)


def test_options_of_the_page_of_commands(capsys):
    page = read("docs/commands.md")
    for main, arguments, start, end in (
        (preprocess.__main__.main, ["manifest"], "## prepare", "## train"),
        (fer_jax.commands.predict.main, [], "## predict", "## live"),
        (fer_jax.commands.live.main, [], "## live", "## compare"),
        (fer_jax.commands.compare.main, [], "## compare", "## reproduce"),
        (fer_jax.commands.reproduce.main, [], "## reproduce", "## models"),
        (fer_jax.commands.export.main, [], "## export", "## configs"),
    ):
        with pytest.raises(SystemExit):
            main([*arguments, "--help"])
        known = set(re.findall(r"^  (--[\w-]+)", capsys.readouterr().out, re.MULTILINE))
        part = page[page.index(start) : page.index(end)]
        told = set(re.findall(r"^\| `(--[\w-]+)`", part, re.MULTILINE))
        assert told == known


def test_options_of_train_on_the_page_of_commands(capsys):
    assert fer_jax.commands.train.main(["--help"]) == 0
    known = re.findall(r"^  (--\w+) ", capsys.readouterr().out, re.MULTILINE)
    page = read("docs/commands.md")
    part = page[page.index("## train") : page.index("## predict")]
    assert len(known) == 7 and [name for name in known if f"`{name}`" not in part] == []
