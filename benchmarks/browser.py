"""The page of `fer-jax live` in Chromium, whose camera is a video: how fast, how late."""

from __future__ import annotations

import pathlib
import tempfile

import cv2
import numpy as np

from benchmarks import chromium


def measure(model, clip: pathlib.Path, mc_samples: int, seconds: float) -> list[str]:
    """Cells of a row of the table: pictures answered a second, those of the camera, the delay.

    The delay is from the time that the browser gives to a picture of its camera to the moment at
    which the boxes in it are drawn.

    Args:
      model: of `load_model`.
      clip: a video at 30 frames a second.
      mc_samples: per window.
      seconds: to measure, after two seconds to get going.
    """
    from fer_jax.live import page
    from fer_jax.live.warm_up import warm_up

    warm_up(model, mc_samples)
    made = page.make_page(model, mc_samples=mc_samples)
    url = page.launch(made, page.LOOPBACK[0], None)
    try:
        with tempfile.TemporaryDirectory() as folder:
            camera = chromium.camera_of(_camera_file(clip, pathlib.Path(folder) / "camera.mjpeg"))
            with chromium.chromium(chromium.ALLOWED, *camera) as browser:
                pictures, shown = _watch(browser, url, seconds)
    finally:
        made.close(verbose=False)
        made.visitors.close()
    taken, drawn = np.array(pictures).T
    span = (drawn[-1] - drawn[0]) / 1000
    late = np.percentile(drawn - taken, [50, 95, 100])
    rates = (len(drawn) - 1) / span, shown / span
    return [*(f"{rate:.1f}" for rate in rates), *(f"{delay:.0f}" for delay in late)]


def _watch(browser, url: str, seconds: float) -> tuple[list, int]:
    """When each answered picture was taken and drawn, ms, and how many the browser showed."""
    tab = browser.new_page()
    tab.goto(url)
    tab.get_by_role("button", name="Start camera").click()
    tab.wait_for_function("ferLive.pictures.length > 20", timeout=60_000)
    tab.wait_for_timeout(2000)
    count = "document.querySelector('[data-part=video]').getVideoPlaybackQuality().totalVideoFrames"
    before, first = tab.evaluate(f"[{count}, ferLive.pictures.at(-1)[1]]")
    tab.wait_for_timeout(1000 * seconds)
    after, pictures = tab.evaluate(f"[{count}, ferLive.pictures]")
    return [each for each in pictures if each[1] > first], after - before


def _camera_file(clip: pathlib.Path, file: pathlib.Path) -> pathlib.Path:
    """Rewrites a video as Chromium takes it for a camera."""
    video = cv2.VideoCapture(str(clip))
    with file.open("wb") as out:
        while (read := video.read())[0]:
            out.write(cv2.imencode(".jpg", read[1], [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes())
    video.release()
    return file
