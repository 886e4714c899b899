"""The site builds without a warning and takes nothing from the network."""

import os
import re
import subprocess
import sys

import pytest

from tests.docs.pages import ROOT

pytest.importorskip("mkdocs", reason="needs the extra: pip install .[docs]")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir"]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(
        [*command, str(folder)], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout + done.stderr == ""
    return folder


def test_nothing_is_fetched(site):
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        fetched = re.findall(r'<(?:script|img|source|iframe)[^>]+src="?(https?://[^">\s]+)', text)
        fetched += re.findall(r'<link[^>]+rel="?stylesheet"?[^>]+href="?(https?:[^">\s]+)', text)
        fetched += re.findall(r'<link[^>]+href="?(https?:[^">\s]+)"?[^>]+rel="?stylesheet', text)
        assert fetched == [], page


def test_equations_and_code_are_on_the_page_of_a_system(site):
    text = (site / "systems/st_bln.html").read_text(encoding="utf-8")
    assert text.count("<math") > 10 and "```" not in text and "$`" not in text
    assert "<mi>&" not in text.replace("<mi>&#x", "")  # an environment that is not known
    assert 'id="fer_jax.systems.st_bln.network.BilinearMap"' in text
    assert 'id="fer_jax.systems.st_bln.growth.decide"' in text


def test_every_page_is_in_the_navigation(site):
    home = (site / "index.html").read_text(encoding="utf-8")
    for page in site.rglob("*.html"):
        if page.name not in ("404.html", "index.html"):
            assert page.relative_to(site).as_posix() in home, page
