"""The page without a browser: it builds, answers its own pages alone, and says what is wrong."""

import base64
import contextlib
import importlib.util
import io
import json
import socket
import sys

import cv2
import httpx
import numpy as np
import pandas as pd
import pytest

import fer_jax
from fer_jax import shipped
from fer_jax.installation import NotInstalledError
from fer_jax.predict.windows import columns
from tests.docs.pages import blocks

gr = pytest.importorskip("gradio", reason="the live page needs: pip install .[live]")

from fer_jax.live import camera_tab, page  # noqa: E402
from fer_jax.live.about import about  # noqa: E402
from fer_jax.live.visitors import Refused  # noqa: E402
from fer_jax.zoo import ZOO  # noqa: E402


@pytest.fixture(scope="module")
def faces():
    return fer_jax.load_model("faces")


@pytest.fixture(scope="module")
def served(faces):
    """The page, its address, and how to call its script's functions."""
    made = page.make_page(faces, mc_samples=4, visitors=2)
    url = page.launch(made, "127.0.0.1", None)
    (camera,) = [id for id, block in made.blocks.items() if block.elem_id == "camera"]

    def call(name, given, **headers):
        body = {"data": given, "component_id": camera, "fn_name": name, "session_hash": "hash"}
        answer = httpx.post(f"{url}gradio_api/component_server/", json=body, headers=headers)
        answer.raise_for_status()
        return answer.json()

    yield made, url, call
    made.close(verbose=False)
    made.visitors.close()


@pytest.fixture
def visitor(served):
    """The key of a page that was opened."""
    served[0].visitors.arrive("visitor")
    yield "visitor"
    served[0].visitors.leave("visitor")


def encoded(picture, suffix=".jpg", kind="jpeg"):
    data = cv2.imencode(suffix, picture[..., ::-1])[1].tobytes()
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def portrait():
    return cv2.imread(str(shipped.PORTRAIT))[..., ::-1]


def test_a_picture_is_answered_and_becomes_a_row(served, visitor, faces):
    call = served[2]
    for index in range(12):
        given = {"key": visitor, "picture": encoded(portrait()), "seconds": index / 25}
        answer = call("look", given)
    assert answer["status"] == "1 face."
    (person,) = answer["people"]
    assert person["number"] == 1 and person["said"] == "happiness"
    left, top, right, bottom = person["box"]
    assert 0 < left < right < 360 and 0 < top < bottom < 360
    csv = call("table", {"key": visitor})["csv"]
    table = pd.read_csv(io.StringIO(csv))
    assert list(table) == columns(faces.classes, faces.task)
    assert set(table["clip"]) == {"camera"} and set(table["person"]) == {1}
    assert set(table["label"]) == {"happiness"} and table["start"].is_monotonic_increasing


def test_a_picture_without_a_face(served, visitor):
    grey = np.full((240, 320, 3), 120, np.uint8)
    answer = served[2]("look", {"key": visitor, "picture": encoded(grey), "seconds": 0.0})
    assert answer == {"people": [], "status": "No face."}


def test_pages_that_were_not_opened_and_too_many_are_refused(served):
    made, _, call = served
    given = {"picture": encoded(portrait()), "seconds": 0.0}
    assert "reload the page" in call("look", {"key": "guessed", **given})["refused"]
    assert "reload the page" in call("table", {"key": "guessed"})["refused"]
    for key in "abc":
        made.visitors.arrive(key)
    try:
        assert "people" in call("look", {"key": "a", **given})
        assert "people" in call("look", {"key": "b", **given})
        assert "try again" in call("look", {"key": "c", **given})["refused"]
    finally:
        for key in "abc":
            made.visitors.leave(key)
    assert len(made.visitors) == 0


def test_other_sites_of_the_browser_get_no_answer_they_can_read(served, visitor):
    given = {"key": visitor, "picture": encoded(portrait()), "seconds": 0.0}
    _, url, _ = served
    asked = {"Origin": "http://elsewhere.example", "Access-Control-Request-Method": "POST"}
    answer = httpx.options(f"{url}gradio_api/component_server/", headers=asked)
    assert "access-control-allow-origin" not in answer.headers
    assert "people" in served[2]("look", given, Origin=url.rstrip("/"))


@pytest.mark.parametrize(
    ("picture", "problem"),
    [
        (None, "sent no picture"),
        ("http://elsewhere.example/a.jpg", "sent no picture"),
        ("data:image/jpeg;base64,&&", "cannot be decoded"),
        ("data:image/jpeg;base64,aGVsbG8=", "cannot be decoded"),
        (encoded(np.zeros((8, 8, 3), np.uint8), ".png"), "cannot be decoded"),
        (encoded(np.zeros((8, 1921, 3), np.uint8)), "larger than 1920 pixels"),
        ("data:image/jpeg;base64," + "A" * 4_000_000, "sent no picture"),
    ],
)
def test_what_is_no_picture_is_refused(picture, problem):
    with pytest.raises(Refused, match=problem):
        camera_tab.decode(picture)


def test_pictures_are_decoded_as_rgb():
    red = np.zeros((24, 32, 3), np.uint8)
    red[..., 0] = 200
    decoded = camera_tab.decode(encoded(red))
    assert decoded.shape == (24, 32, 3) and decoded.dtype == np.uint8
    assert np.abs(decoded.astype(int) - red).max() < 4


def test_page_names_the_model_its_terms_limits_and_card(served):
    config = json.dumps(httpx.get(f"{served[1]}config").json())
    assert ZOO["faces"].terms in config and "checked on no group of people" in config
    assert "Prediction sets" in config  # of the card


def test_nothing_is_asked_of_other_hosts(served):
    text = httpx.get(served[1]).text
    assert 'analytics_enabled":false' in text.replace(" ", "")
    config = httpx.get(f"{served[1]}config").json()
    assert not config["analytics_enabled"] and not config["is_space"]


def test_models_of_ones_own_name_their_data(faces):
    said = about(faces, "runs/mine/model")
    assert "Trained on ferplus, whose terms hold" in said.line and "no card" in said.card
    assert "dataset alone" in said.limits
    for name in shipped.names():
        own = about(fer_jax.load_model(name), name)
        assert ZOO[name].terms in own.line and own.card.startswith(f"# {name}")


def test_a_port_that_is_taken_is_named(faces, monkeypatch):
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=f"port {port} of 127.0.0.1.*give another --port"):
            page.serve(faces, port=port, say=lambda text: None)


def test_other_hosts_get_a_warning_first(faces, monkeypatch):
    said = []
    monkeypatch.setattr(page, "launch", lambda *arguments: said.append(arguments[1]) or "http://x/")
    monkeypatch.setattr(page.threading, "Event", lambda: pytest.fail("warned too late"), False)
    for host, count in (("0.0.0.0", 1), ("127.0.0.1", 0)):
        said.clear()
        with contextlib.suppress(KeyboardInterrupt):
            page.serve(faces, host=host, say=said.append)


def test_page_without_gradio_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "gradio", None)
    spec = importlib.util.spec_from_file_location("page_again", camera_tab.__file__)
    with pytest.raises(NotInstalledError, match=r"gradio .*extra 'live'.*\[live\]"):
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


def test_space_is_built_by_the_file_of_the_guide(monkeypatch):
    (app,) = [block for block in blocks("docs/live.md") if block.title == "app.py"]
    started = []
    monkeypatch.setattr(gr.Blocks, "launch", lambda self, **how: started.append((self, how)))
    exec(compile(app.text, "app.py", "exec"), {"__name__": "__main__"})
    ((made, how),) = started
    assert made.title == "fer_jax live" and not how["share"]
    made.visitors.close()
