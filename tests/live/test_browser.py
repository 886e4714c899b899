"""The page in Chromium with a recorded camera: it starts, answers, and lets go of its visitors."""

import importlib.util
import re
import time

import pandas as pd
import pytest

import fer_jax
from benchmarks import chromium
from fer_jax.predict.windows import columns
from fer_jax.synthetic import demo
from tests.live.remote import Remote

MISSING = [name for name in ("gradio", "playwright") if not importlib.util.find_spec(name)]
pytestmark = [
    pytest.mark.skipif(chromium.PROGRAM is None, reason="needs chromium: apt install chromium"),
    pytest.mark.skipif(bool(MISSING), reason=f"needs pip install {' '.join(MISSING)}"),
]
PATIENCE = 20_000  # milliseconds; compiling counts


@pytest.fixture(scope="module")
def server():
    with Remote("faces") as remote:
        yield remote


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """Its camera shows one face, then nobody, then two faces, three seconds each."""
    file = tmp_path_factory.mktemp("camera") / "camera.mjpeg"
    chromium.write_camera(file, (1, 0, 2), 90)
    with chromium.chromium(chromium.ALLOWED, *chromium.camera_of(file)) as browser:
        yield browser


@pytest.fixture
def visit(server, browser):
    """Function that opens the page; afterwards nothing was asked of another host."""
    contexts, asked = [], set()

    def visit(browser=browser, **how):
        contexts.append(browser.new_context(**how))
        page = contexts[-1].new_page()
        page.set_default_timeout(PATIENCE)
        page.on("request", lambda request: asked.add(request.url))
        page.goto(server.url)
        page.get_by_role("button", name="Start camera").wait_for()
        return page

    yield visit
    for context in contexts:
        context.close()
    wait_for(lambda: server.ask("len(made.visitors)") == 0)
    assert asked
    others = [url for url in asked if not url.startswith((server.url, "data:", "blob:"))]
    assert not others


def wait_for(holds, seconds=20):
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "in vain"
        time.sleep(0.1)


def part(page, name):
    return page.locator(f'[data-part="{name}"]')


def start(page):
    page.get_by_role("button", name="Start camera").click()


def wait_for_status(page, text):
    page.wait_for_function(
        "text => document.querySelector('[data-part=status]').textContent === text", arg=text,
        polling=50,
    )  # fmt: skip


def drawn_pixels(page):
    """Pixels of the canvas over the camera's picture that are not transparent."""
    return page.evaluate(
        """() => {
          const canvas = document.querySelector('[data-part=boxes]');
          const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
          return pixels.data.filter((value, index) => index % 4 === 3 && value > 0).length;
        }"""
    )


def test_faces_are_boxed_and_nobody_is_said(visit):
    page = visit()
    start(page)
    wait_for_status(page, "1 face.")
    assert drawn_pixels(page) > 500
    wait_for_status(page, "No face.")
    page.wait_for_timeout(100)
    assert drawn_pixels(page) == 0
    page.wait_for_function(
        "() => document.querySelector('[data-part=said]').textContent === 'No face'"
    )
    wait_for_status(page, "2 faces.")
    page.wait_for_function(
        "() => document.querySelector('[data-part=boxes]').ariaLabel.split('Person').length === 3"
    )
    assert page.evaluate("ferLive.pictures.length") > 20


def test_keyboard_chooses_whose_details_are_shown(visit):
    page = visit()
    start(page)
    wait_for_status(page, "2 faces.")
    chosen = part(page, "chosen")
    page.wait_for_function(
        "() => document.querySelector('[data-part=chosen]').options.length === 3"
    )
    chosen.focus()
    page.keyboard.press("End")
    number = chosen.input_value()
    page.wait_for_function(
        "start => document.querySelector('[data-part=said]').textContent.startsWith(start)",
        arg=f"Person {number}: ",
    )
    page.keyboard.press("ArrowUp")
    other = chosen.input_value()
    assert other and other != number
    page.wait_for_function(
        "start => document.querySelector('[data-part=said]').textContent.startsWith(start)",
        arg=f"Person {other}: ",
    )


def test_bars_rows_and_the_table_to_download(visit, tmp_path):
    page, model = visit(), fer_jax.load_model("faces")
    start(page)
    part(page, "bars").locator("tr").first.wait_for()
    bars = part(page, "bars").locator("tr")
    assert bars.locator("th").all_text_contents() == list(model.classes)
    assert all("±" in text for text in bars.locator("td:last-child").all_text_contents())
    assert "entropy" in part(page, "doubt").text_content()
    assert part(page, "timeline").get_attribute("aria-label").startswith("Lately: ")
    cells = part(page, "rows").locator("tr").first.locator("td").all_text_contents()
    assert len(cells) == 5 and cells[1] == "1"
    part(page, "rows").locator("tr").nth(1).wait_for()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download table (CSV)").first.click()
    assert download.value.suggested_filename == "camera.csv"
    download.value.save_as(tmp_path / "camera.csv")
    table = pd.read_csv(tmp_path / "camera.csv")
    assert list(table) == columns(model.classes, model.task)
    assert len(table) > 2 and set(table["clip"]) == {"camera"}


def test_keyboard_starts_and_stops(visit):
    page = visit()
    page.get_by_role("button", name="Start camera").focus()
    page.keyboard.press("Enter")
    wait_for_status(page, "1 face.")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Stop"
    page.keyboard.press("Space")
    wait_for_status(page, "Camera off.")
    page.wait_for_timeout(300)
    assert part(page, "status").text_content() == "Camera off." and drawn_pixels(page) == 0
    page.get_by_role("button", name="Start camera").focus()
    page.keyboard.press("Space")
    wait_for_status(page, "1 face.")


def test_a_reload_begins_a_new_session_and_ends_the_old_one(visit, server):
    page = visit()
    start(page)
    wait_for_status(page, "1 face.")
    (old,) = server.ask("list(made.visitors._sessions)")
    page.reload()
    wait_for(lambda: server.ask("list(made.visitors._sessions)") == [])
    start(page)
    wait_for_status(page, "1 face.")
    (new,) = server.ask("list(made.visitors._sessions)")
    assert new != old


def test_a_program_that_has_ended_is_said(browser):
    with Remote("faces") as remote, browser.new_context() as context:
        page = context.new_page()
        page.goto(remote.url)
        start(page)
        wait_for_status(page, "1 face.")
        remote.kill()
        page.get_by_text("The server does not answer").wait_for()
        assert page.get_by_role("button", name="Start camera").is_enabled()


def test_more_visitors_than_places_are_told_so(visit):
    for _ in range(2):
        page = visit()
        start(page)
        part(page, "bars").locator("tr").first.wait_for()
    page = visit()
    start(page)
    page.get_by_text("2 people use this page already").wait_for()
    assert page.get_by_role("button", name="Start camera").is_enabled()


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ((chromium.ALLOWED,), "No camera found: connect one, then press Start."),
        (("--use-fake-device-for-media-stream",), "Camera refused: allow it"),
    ],
    ids=("none", "refused"),
)
def test_without_a_camera_the_page_says_why(visit, browser, flags, said):
    other = chromium.another(browser, *flags)
    page = visit(other)
    start(page)
    page.get_by_text(said).wait_for()
    assert page.get_by_role("button", name="Start camera").is_enabled()
    page.context.close()
    other.close()


def upload(page, file):
    page.get_by_role("tab", name="Video or picture").click()
    page.locator("input[type=file]").first.set_input_files(file)


def test_an_uploaded_video_is_predicted_and_deleted(visit, server, tmp_path):
    (clip,) = demo.write_clips(tmp_path, 1)
    page = visit()
    upload(page, clip)
    page.get_by_text(re.compile(r"\.mp4: \d+ rows")).first.wait_for()
    assert page.get_by_role("img", name="Predictions for 1 person: ").is_visible()
    table = page.get_by_role("region", name="Rows of the file").locator("tbody tr")
    assert table.count() > 5
    page.wait_for_function(
        "() => document.querySelector('video[aria-label=\"Annotated video\"]')?.videoWidth > 600"
    )
    assert page.evaluate(NAMELESS) == []
    assert page.evaluate(PALE) == []
    with page.expect_download() as download:
        page.get_by_text("Download table (CSV)").filter(visible=True).click()
    download.value.save_as(tmp_path / "saved.csv")
    assert len(pd.read_csv(tmp_path / "saved.csv")) == table.count()
    # Gradio leaves an empty file of every upload
    files = "[str(f) for f in made.visitors.files() if f.exists() and f.stat().st_size]"
    assert server.ask(files)
    assert not [file for file in server.ask(files) if file.endswith(clip.rpartition("/")[2])]
    page.context.close()
    wait_for(lambda: server.ask(files) == [])


def test_an_upload_that_is_no_video_says_so(visit, tmp_path):
    page = visit()
    (tmp_path / "notes.mp4").write_text("no video")
    upload(page, tmp_path / "notes.mp4")
    said = page.get_by_text("Not predicted: ")
    said.wait_for()
    assert "notes.mp4" in said.text_content() and str(tmp_path) not in said.text_content()


NAMELESS = """() => {
  const fields = ['SELECT', 'INPUT', 'TEXTAREA']; // whose text is their value
  const named = e => (e.ariaLabel || e.alt || e.title || '').trim()
    || (!fields.includes(e.tagName) && (e.innerText || '').trim())
    || [...(e.labels || [])].some(label => label.textContent.replace(e.textContent, '').trim())
    || document.getElementById(e.getAttribute('aria-labelledby'))?.innerText.trim();
  const controls = 'button, select, input, textarea, img, video, canvas, [role], a[href]';
  const quiet = ['presentation', 'none', 'status', 'tablist', 'tabpanel'];
  return [...document.querySelectorAll(controls)]
    .filter(e => e.checkVisibility() && !e.closest('[aria-hidden=true]'))
    .filter(e => !quiet.includes(e.getAttribute('role')) && !named(e))
    .map(e => e.outerHTML.slice(0, 200));
}"""
PALE = """() => {
  const numbers = text => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = e => {
    for (; e; e = e.parentElement) {
      const found = numbers(getComputedStyle(e).backgroundColor);
      if (found.length === 3 || found[3] === 1) return found;
    }
    return [255, 255, 255];
  };
  const found = [];
  const check = (name, one, other) => {
    const [low, high] = [light(one), light(other)].sort((a, b) => a - b);
    const contrast = (high + 0.05) / (low + 0.05);
    if (contrast < 4.5) found.push([name, contrast]);
  };
  const text = e => [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim());
  for (const e of document.querySelectorAll('body *'))
    if (e.checkVisibility() && text(e))
      check(e.textContent, numbers(getComputedStyle(e).color), ground(e));
  const looks = getComputedStyle(document.querySelector('#camera .live'));
  const hex = name => looks.getPropertyValue(`--${name}`).trim().slice(1)
    .match(/../g).map(two => parseInt(two, 16));
  for (const [ink, under] of [['ink', 'rail'], ['ink', 'ground'], ['faint', 'ground'],
      ['sure', 'ground'], ['unsure', 'ground'], ['night', 'sure-fill'], ['night', 'unsure-fill']])
    check(`${ink} on ${under}`, hex(ink), hex(under));
  return found;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_controls_have_names_and_text_has_contrast(visit, scheme):
    page = visit(color_scheme=scheme)
    start(page)
    part(page, "bars").locator("tr").first.wait_for()
    assert page.evaluate(NAMELESS) == []
    assert page.evaluate(PALE) == []
    page.get_by_role("tab", name="Video or picture").click()
    page.get_by_text("Choose a file").wait_for()
    assert page.evaluate(NAMELESS) == []
    assert page.evaluate(PALE) == []


def test_nothing_is_wider_than_a_phone(visit):
    page = visit(viewport={"width": 390, "height": 844})
    start(page)
    part(page, "bars").locator("tr").first.wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_on_a_phone_what_is_drawn_of_a_file_has_its_width(visit, tmp_path):
    (clip,) = demo.write_clips(tmp_path, 1)
    page = visit(viewport={"width": 390, "height": 844})
    upload(page, clip)
    for drawn in ("video[aria-label='Annotated video']", "img[alt^=Predictions]"):
        page.locator(drawn).wait_for()
        assert page.locator(drawn).bounding_box()["width"] > 250
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
