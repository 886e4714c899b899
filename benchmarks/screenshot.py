"""Takes the picture of the live page for the documentation: the portrait as it becomes clear.

    python -m benchmarks.screenshot docs/live.png

It needs the extra `live`, playwright and chromium.
"""

from __future__ import annotations

import argparse
import io
import pathlib
import tempfile

import cv2
from PIL import Image

from benchmarks import chromium
from fer_jax.machine import whole_file
from fer_jax.synthetic import demo

_BLURRED, _REPEATS, _CLEAR = 90, 5, 400  # frames of the camera; each blurred one comes so often
_SIZE, _TOP = (640, 480), 20  # pixels: of the camera; rows of the portrait above its picture
_VIEW = {"width": 1100, "height": 800}
_AFTER = 7000  # milliseconds from the first clear picture to the screenshot


def main(arguments: list[str] | None = None) -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=pathlib.Path, metavar="PNG")
    options = parser.parse_args(arguments)
    import fer_jax
    from fer_jax.live import page
    from fer_jax.live.warm_up import warm_up

    model = fer_jax.load_model("faces")
    warm_up(model)
    made = page.make_page(model)
    url = page.launch(made, page.LOOPBACK[0], None)
    try:
        with tempfile.TemporaryDirectory() as folder:
            camera = chromium.camera_of(_camera_file(pathlib.Path(folder)))
            with chromium.chromium(chromium.ALLOWED, *camera) as browser:
                _shoot(browser, url, options.out)
    finally:
        made.close(verbose=False)
        made.visitors.close()


def _camera_file(folder: pathlib.Path) -> pathlib.Path:
    """The portrait from blurred to clear, as Chromium takes it for a camera."""
    video = cv2.VideoCapture(demo.write_portrait(folder, _BLURRED))
    blurring = [video.read()[1] for _ in range(_BLURRED)]
    video.release()
    clear = [blurring[0]] * _CLEAR
    file = folder / "camera.mjpeg"
    with file.open("wb") as out:
        for frame in [each for one in blurring[::-1] for each in [one] * _REPEATS] + clear:
            rows = frame.shape[1] * _SIZE[1] // _SIZE[0]
            picture = cv2.resize(frame[_TOP : _TOP + rows], _SIZE, interpolation=cv2.INTER_CUBIC)
            out.write(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes())
    return file


def _shoot(browser, url: str, out: pathlib.Path) -> None:
    tab = browser.new_page(viewport=_VIEW)
    tab.goto(url)
    tab.get_by_role("button", name="Start camera").click()
    tab.get_by_text("Person 1: blurred").wait_for()
    tab.get_by_text("Person 1: happiness").wait_for()
    tab.wait_for_timeout(_AFTER)
    shot = Image.open(io.BytesIO(tab.screenshot(full_page=True))).convert("RGB")
    with whole_file(out) as partial:
        shot.save(partial, "PNG", optimize=True)


if __name__ == "__main__":
    main()
