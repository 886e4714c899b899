"""Action units drawn beside the picture and over time."""

import cv2
import numpy as np
import pandas as pd
import pytest

from fer_jax.faces.labels import BP4D_ACTION_UNITS as UNITS
from fer_jax.plotting.panel import TEXT
from fer_jax.predict import annotate
from fer_jax.predict.windows import columns
from fer_jax.tasks import TASKS
from fer_jax.tasks.action_units import panel
from fer_jax.tasks.action_units.scores import summarise_units
from tests.tasks.drawn_clip import clip, picture, share

KIND = TASKS["action_units"]


def row(chances=None, threshold=None, start=0.0, end=0.4, scatter=0.0, units=UNITS):
    chances = np.full(len(units), 0.1) if chances is None else np.asarray(chances, float)
    mc_samples = np.clip(chances + scatter * np.linspace(-1, 1, 10)[:, None], 0, 1)[:, None]
    said = KIND.row(summarise_units(mc_samples), units, (threshold,) * len(units))
    return {"clip": "clip.mp4", "start": start, "end": end, "frames": 4} | said


def faceless(start=0.0, end=0.4):
    return row() | KIND.blank_row(UNITS) | {"start": start, "end": end, "frames": 0}


def drawn(one, units=UNITS, **size):
    return annotate.draw_frame(picture(**size), None, one, units, (None,), "action_units")


def bars(image):
    return image[72:330, 690:]  # below the heading, above the key


def test_bars_grow_with_the_probability_and_fade_where_unsure():
    low, high = (bars(drawn(row([chance] * len(UNITS)))) for chance in (0.55, 0.95))
    assert 1.5 < share(high, annotate.SURE) / share(low, annotate.SURE) < 1.9
    assert share(low, panel.FADED) == share(high, panel.FADED) == 0
    half = bars(drawn(row([0.95] * 5 + [0.55] * 6, threshold=0.5)))
    assert share(half, annotate.SURE) == pytest.approx(5 / 11 * share(high, annotate.SURE), rel=0.1)
    assert share(half, panel.FADED) == pytest.approx(6 / 11 * share(low, annotate.SURE), rel=0.15)
    absent = bars(drawn(row([0.3] * len(UNITS))))
    assert share(absent, annotate.SURE) == 0 and share(absent, panel.FADED) == 0
    assert share(absent, panel.PALE) > 0.05


def test_whiskers_are_the_deviation_over_the_samples():
    def bright(scatter):
        image = drawn(row([0.7] * len(UNITS), scatter=scatter))
        return share(bars(image)[:, :150], TEXT)

    assert bright(0.25) > bright(0.1) > bright(0.0)


def test_many_units_and_many_present_ones_fit():
    units = tuple(f"AU{index:02}" for index in range(1, 42))
    image = drawn(row([0.9] * 41, units=units), units, width=320, height=240)
    assert image.shape[0] == 360
    assert (image[:, -6:] == image[0, -1]).all()  # the margin stays free


def test_video_shows_the_window_about_each_frame(tmp_path):
    source, spool = clip()
    present = [0.95] * len(UNITS)
    rows = [row(start=0.0, end=0.4), row(start=0.1, end=0.5), row(present, start=0.2, end=0.6)]
    table = pd.DataFrame(rows, columns=columns(UNITS, "action_units"))
    table.attrs["faces"] = [0, 0, 0]
    video = tmp_path / "out.mp4"
    annotate.draw_clip(
        source, table, UNITS, (None,) * 11, spool, task="action_units", annotate=video
    )
    capture = cv2.VideoCapture(str(video))
    frames = []
    while (read := capture.read())[0]:
        frames.append(cv2.cvtColor(read[1], cv2.COLOR_BGR2RGB)[:, 640:])
    shown = [(np.abs(frame.astype(int) - annotate.SURE).max(-1) < 40).mean() for frame in frames]
    assert len(shown) == 6 and shown[5] > 0.05 > 0.01 > max(shown[:5])
