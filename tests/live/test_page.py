"""The page without a browser: it builds, answers its own visitors alone, says what is wrong."""

import importlib.util
import io
import json
import os
import pathlib
import re
import socket
import subprocess
import sys

import cv2
import httpx
import numpy as np
import pandas as pd
import pytest

import fer_jax.live
from fer_jax import shipped
from fer_jax.installation import NotInstalledError
from fer_jax.predict.windows import columns
from fer_jax.zoo import ZOO
from tests.docs.pages import blocks
from tests.live.remote import ROOT, Remote
from tests.live.test_pictures import encoded

installed = pytest.mark.skipif(
    not importlib.util.find_spec("gradio"), reason="needs Gradio: pip install .[live]"
)
LIVE = pathlib.Path(fer_jax.live.__file__).parent
OWN = r"127\.0\.0\.1|localhost|0\.0\.0\.0|::1"  # names and addresses of this machine


@pytest.fixture(scope="module")
def server():
    with Remote("faces") as remote:
        yield remote


@pytest.fixture(scope="module")
def call(server):
    """Calls a function of the page's script, as the browser does."""
    camera = server.ask("[i for i, block in made.blocks.items() if block.elem_id == 'camera'][0]")

    def call(name, key, headers=None, **given):
        data = {"key": key, **given}
        body = {"data": data, "component_id": camera, "fn_name": name, "session_hash": key}
        url = f"{server.url}gradio_api/component_server/"
        answer = httpx.post(url, json=body, headers=headers, timeout=60)
        answer.raise_for_status()
        return answer.json()

    return call


@pytest.fixture
def visitors(server):
    """Keys of three pages that are open."""
    server.ask("[made.visitors.arrive(key) for key in 'abc']")
    yield "abc"
    server.ask("[made.visitors.leave(key) for key in 'abc']")


def portrait():
    return encoded(cv2.imread(str(shipped.PORTRAIT))[..., ::-1])


@installed
def test_pictures_are_answered_and_become_rows(call, visitors):
    for index in range(12):
        answer = call("look", "a", picture=portrait(), seconds=index / 25)
    assert answer["status"] == "1 face."
    (person,) = answer["people"]
    assert person["number"] == 1 and person["said"] == "happiness"
    left, top, right, bottom = person["box"]
    assert 0 < left < right < 360 and 0 < top < bottom < 360
    table = pd.read_csv(io.StringIO(call("table", "a")["csv"]))
    model = fer_jax.load_model("faces")
    assert list(table) == columns(model.classes, model.task)
    assert set(table["clip"]) == {"camera"} and set(table["person"]) == {1}
    assert set(table["label"]) == {"happiness"} and table["start"].is_monotonic_increasing
    assert "no rows" in call("table", "b")["refused"]  # those of others are not given


@installed
def test_a_picture_without_a_face(call, visitors):
    grey = encoded(np.full((240, 320, 3), 120, np.uint8))
    answer = call("look", "a", picture=grey, seconds=0.0)
    assert answer == {"people": [], "status": "No face."}


@installed
def test_who_did_not_open_the_page_and_too_many_are_refused(server, call, visitors):
    assert "reload the page" in call("look", "guessed", picture=portrait(), seconds=0)["refused"]
    assert "reload the page" in call("table", "guessed")["refused"]
    answers = [call("look", key, picture=portrait(), seconds=0.0) for key in visitors]
    assert ["people" in answer for answer in answers] == [True, True, False]
    assert "try again" in answers[2]["refused"]
    assert server.ask("len(made.visitors)") == 2


@installed
def test_bad_pictures_are_refused_and_the_next_is_answered(call, visitors):
    assert (
        "cannot be decoded"
        in call("look", "a", picture="data:image/jpeg;base64,AAAA", seconds=0.0)["refused"]
    )
    assert "people" in call("look", "a", picture=portrait(), seconds=0.0)


@installed
def test_requests_that_no_page_makes_are_refused_and_the_next_is_answered(call, visitors):
    for index, seconds in enumerate((0.0, -1.0, "later", None, 1e300, [7])):
        assert "people" in call("look", "a", picture=portrait(), seconds=float(index))
        answer = call("look", "a", picture=portrait(), seconds=seconds)
        assert "later than the last: reload" in answer["refused"], seconds
    assert "refused" in call("look", "a", picture=portrait())  # without a moment
    assert "people" in call("look", "a", picture=portrait(), seconds=9.0)


@installed
def test_other_sites_in_the_browser_may_not_ask(server):
    asked = {"Access-Control-Request-Method": "POST"}
    allowed = "access-control-allow-origin"
    url = f"{server.url}gradio_api/component_server/"
    other = httpx.options(url, headers={**asked, "Origin": "http://elsewhere.example"})
    own = httpx.options(url, headers={**asked, "Origin": server.url.rstrip("/")})
    assert allowed not in other.headers and own.headers[allowed] == server.url.rstrip("/")


@installed
def test_page_names_terms_limits_and_card_and_counts_nobody(server):
    config = httpx.get(f"{server.url}config").json()
    said = json.dumps(config)
    assert ZOO["faces"].terms in said and "checked on no group of people" in said
    assert "**Prediction sets** at a level" in said  # of the card
    assert not config["analytics_enabled"] and not config.get("share")


@installed
def test_a_port_that_is_taken_is_named(server):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = server.ask(f"error_of(page.serve, model, port={port}, say=str)")
    assert said.startswith(f"port {port} of 127.0.0.1 cannot be used") and "--port" in said


@installed
def test_an_address_of_version_6_is_served(server):
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("needs IPv6")
    server.ask("names.update(six=page.make_page(model, mc_samples=4))")
    url = server.ask("page.launch(six, '::1', None)")
    try:
        assert url.startswith("http://[::1]:") and httpx.get(url).status_code == 200
    finally:
        server.ask("[six.close(verbose=False), six.visitors.close()] and None")


@installed
@pytest.mark.parametrize(("host", "warned"), [("0.0.0.0", True), ("127.0.0.1", False)])
def test_other_hosts_get_a_warning_before_anything_starts(server, host, warned):
    server.ask("said.clear()")
    with socket.create_server((host, 0)) as taken:
        port = taken.getsockname()[1]
        server.ask(f"error_of(page.serve, model, host={host!r}, port={port}, say=said.append)")
    said = server.ask("said")
    assert len(said) == warned
    assert not warned or "everybody" in said[0] and "unencrypted" in said[0] and "https" in said[0]


@installed
def test_files_are_gone_before_the_server_ends_which_a_second_signal_may_cut_short(tmp_path):
    script = """if True:
        import os, sys, gradio as gr, fer_jax
        from fer_jax.live import page
        def close(*_, **how):
            print(os.listdir(sys.argv[1]), flush=True)
            os._exit(0)
        gr.Blocks.launch = lambda *_, **how: (None, "", None)
        gr.Blocks.close = close
        def say(line):  # where it waits for Ctrl-C
            print(os.listdir(sys.argv[1]))
            raise KeyboardInterrupt
        page.serve(fer_jax.load_model("faces"), say=say)
    """
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path], cwd=ROOT, capture_output=True, text=True,
        check=True, env={**os.environ, "TMPDIR": str(tmp_path)},
    )  # fmt: skip
    served, closed = done.stdout.splitlines()
    assert "fer_jax_live_" in served and "fer_jax_live_" not in closed


@installed
def test_the_program_asks_nothing_of_other_hosts(server, call, visitors):
    call("look", "a", picture=portrait(), seconds=0.0)
    asked = server.ask("asked")
    assert asked  # Gradio asks the page itself whether it is there
    assert not [host for host in asked if not re.search(OWN, host)]


def test_page_without_gradio_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "gradio", None)
    spec = importlib.util.spec_from_file_location("camera_tab", LIVE / "camera_tab.py")
    with pytest.raises(NotInstalledError, match=r"gradio .*extra 'live'.*\[live\]"):
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


@installed
def test_space_is_built_by_the_file_of_the_guide(tmp_path):
    (app,) = [block.text for block in blocks("docs/live.md") if block.title == "app.py"]
    ended = "import gradio as gr\ngr.Blocks.launch = lambda self, **how: print(self.title, how)\n"
    (tmp_path / "app.py").write_text(ended + app)
    done = subprocess.run(
        [sys.executable, tmp_path / "app.py"], cwd=ROOT, capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.stdout.startswith("fer_jax live {'share': False")
