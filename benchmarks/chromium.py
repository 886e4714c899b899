"""A Chromium whose camera is a file, for tests and benchmarks of the page."""

import contextlib
import pathlib
import shutil

import cv2
import numpy as np

from fer_jax.synthetic.clips import DEFAULT_DIFFICULTY, make_clip, render

PROGRAM = shutil.which("chromium")
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
ALLOWED = "--use-fake-ui-for-media-stream"  # nobody has to press a button
_SIZE = 640, 480


def camera_of(file) -> tuple[str, str]:
    """Flags of a camera that shows a file of `write_camera`, again and again."""
    return "--use-fake-device-for-media-stream", f"--use-file-for-fake-video-capture={file}"


@contextlib.contextmanager
def chromium(*flags: str):
    """Starts Chromium without a window; yields the browser of playwright."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        browser = _launch(started.chromium, flags)
        yield browser
        browser.close()


def another(browser, *flags: str):
    """Starts a further one beside a browser of `chromium`; whoever asks closes it."""
    return _launch(browser.browser_type, flags)


def _launch(kind, flags):
    return kind.launch(executable_path=PROGRAM, headless=True, args=[*FLAGS, *flags])


def drawn_people(count: int, frames: int) -> list[list[np.ndarray]]:
    """Frames `[256, 256, 3]` of drawn people, who go through an expression and back."""
    people = []
    for index in range(count):
        clip = make_clip(0, 3 + 2 * index, 1, difficulty=DEFAULT_DIFFICULTY)
        drawn = list(render(clip.true_landmarks, clip.identity, seed=index))
        there_and_back = drawn + drawn[::-1]
        people.append([there_and_back[i % len(there_and_back)] for i in range(frames)])
    return people


def write_camera(file: pathlib.Path, counts, frames: int) -> pathlib.Path:
    """Writes a video of JPEGs that Chromium takes for a camera, 30 frames a second.

    Args:
      file: NAME.mjpeg.
      counts: so many people are seen, one stretch after the other; at most two.
      frames: of each stretch.
    """
    people = drawn_people(max(counts), frames)
    with file.open("wb") as out:
        for count in counts:
            for index in range(frames):
                picture = np.full((_SIZE[1], _SIZE[0], 3), 150, np.uint8)
                for place in range(count):
                    left = round(_SIZE[0] * (place + 0.5) / max(count, 1)) - 128
                    picture[112:368, left : left + 256] = people[place][index]
                coded = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])
                out.write(coded[1].tobytes())
    return file
