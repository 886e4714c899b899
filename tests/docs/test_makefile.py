"""`make demo` runs what the first tutorial says, `make pictures` makes all that the pages show."""

import importlib.util
import pathlib
import re
import shlex
import shutil
import subprocess
import sys

import cv2
import matplotlib
import numpy as np
import pytest

from benchmarks import chromium
from fer_jax import shipped
from fer_jax.commands import main
from fer_jax.faces.boxes.network import network
from fer_jax.synthetic import demo
from tests.docs.pages import PAGES, ROOT, commands, prose

pytestmark = pytest.mark.skipif(not shutil.which("make"), reason="make is not installed")
SCREENSHOT = "benchmarks.screenshot"
GROWTH = ROOT / "docs" / "growth.png"  # measured: every run of the benchmark has its own
PICTURES = [
    path for kind in ("png", "jpg", "jpeg", "gif", "svg", "webp")
    for path in (ROOT / "docs").rglob(f"*.{kind}") if path != GROWTH
]  # fmt: skip


def recipe(target: str) -> list[str]:
    """Lines that a target runs, with its environment called VENV."""
    make = ["make", "--dry-run", "--no-print-directory", target, "DEMO=VENV"]
    done = subprocess.run(make, cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def run_by(lines: list[str]) -> list[list[str]]:
    """Commands of the package among the lines, as a user writes them."""
    start = ("VENV/bin/fer-jax ", "VENV/bin/python -m fer_jax", "VENV/bin/python -m benchmarks")
    return [shlex.split(line.removeprefix("VENV/bin/")) for line in lines if line.startswith(start)]


def without_outputs(words: list[str]) -> list[str]:
    """A command without the names of what it writes, which `predict` is free to choose."""
    if words[1] != "predict":
        return words
    outputs = ("--out", "--figure")
    return [w for before, w in zip(["", *words], words, strict=False)
            if w not in outputs and before not in outputs]  # fmt: skip


def test_demo_does_what_the_first_tutorial_says():
    told = [shlex.split(line) for line in commands("docs/tutorials/first_prediction.md")]
    told = [without_outputs(words) for words in told if words[0] != "pip"]
    done = [without_outputs(words) for words in run_by(recipe("demo"))]
    assert len(done) == 5 and done[0] == ["fer-jax", "predict", "faces", "portrait"]
    assert done == [words for words in told if words in done]


def test_demo_says_first_how_long_it_takes_and_last_where_the_files_are():
    lines = recipe("demo")
    assert "minutes on 2 CPU cores" in lines[0]
    work = [number for number, line in enumerate(lines) if line.startswith("VENV/bin/")]
    written = {word for words in run_by(lines) for word in words if word.startswith("runs/")}
    named = re.findall(r'echo "(runs/[\w/.]+)', "\n".join(lines[work[-1] :]))
    assert len(named) == 4
    for name in named:
        assert any(name.rstrip("/") in each or each in name for each in written), name


def test_every_picture_is_made_by_the_makefile_from_a_model_that_ships_and_is_shown():
    run = run_by(recipe("pictures"))
    made = [words for words in run if words[0] == "fer-jax"]
    assert all(words[1] == "predict" and words[2] in shipped.names() for words in made)
    written = {words[words.index("--figure") + 1] for words in made}
    written |= {words[-1] for words in run if words[2] == SCREENSHOT}
    assert written == {path.relative_to(ROOT).as_posix() for path in PICTURES}
    shown = set()
    for page in PAGES:
        for alt, name in re.findall(r"!\[([^\]]*)\]\(([^)]+)\)", prose(page)):
            assert len(alt) > 20, f"{page}: {name} is not described"
            path = ((ROOT / page).parent / name).resolve()
            shown.add(path.relative_to(ROOT).as_posix())
    assert shown == written | {"docs/growth.png"}
    assert "python -m benchmarks.growth" in (ROOT / "docs" / "speed.md").read_text()


def test_pictures_are_those_of_today(tmp_path, monkeypatch):
    """Run `make pictures` where this fails, and look at them."""
    if network() is None:
        pytest.skip("dlib finds other faces: needs the extra: pip install .[detect]")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(matplotlib.rcParams, "savefig.dpi", "figure")  # not as small as in tests
    (tmp_path / "docs").mkdir()
    for words in run_by(recipe("pictures")):
        if words[0] == "fer-jax":
            assert main(words[1:]) == 0
        elif words[2] != SCREENSHOT:
            monkeypatch.setattr("sys.argv", words[2:])
            demo.main()
    for path in PICTURES:
        if path.name != "live.png":
            # another release of OpenCV may move a border by a window; another detector gives 12
            assert_alike(tmp_path / "docs" / path.name, path, 4)


def assert_alike(new: pathlib.Path, old: pathlib.Path, most: float) -> None:
    new, old = cv2.imread(str(new)), cv2.imread(str(old))
    assert new.shape == old.shape
    assert np.abs(new.astype(int) - old).mean() < most


@pytest.mark.skipif(
    chromium.PROGRAM is None or not all(map(importlib.util.find_spec, ("playwright", "gradio"))),
    reason="needs chromium and pip install playwright gradio",
)
def test_screenshot_is_that_of_today(tmp_path):
    """Run `make pictures` where this fails, and look at it."""
    if network() is None:
        pytest.skip("dlib finds other faces: needs the extra: pip install .[detect]")
    (words,) = (words for words in run_by(recipe("pictures")) if words[2] == SCREENSHOT)
    new = tmp_path / "live.png"
    subprocess.run([sys.executable, *words[1:-1], new], cwd=ROOT, check=True)
    # how fast it is, and how far the picture had cleared, differ
    assert_alike(new, ROOT / words[-1], 4)
