"""Action units drawn beside the picture and over time."""

import cv2
import numpy as np
import pandas as pd
import pytest

from fer_jax.faces.labels import BP4D_ACTION_UNITS as UNITS
from fer_jax.faces.labels import said_of
from fer_jax.plotting.panel import SURE, TEXT
from fer_jax.predict import annotate
from fer_jax.predict.windows import columns
from fer_jax.tasks import TASKS
from fer_jax.tasks.action_units import panel
from fer_jax.tasks.action_units.scores import summarise_units
from tests.legible import check_legible
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


def undecided(one, *units):
    return one | {f"set_{unit}": "present|absent" for unit in units}


def test_undecided_unit_looks_neither_present_nor_absent():
    one = row([0.9, 0.1, *[0.02] * 9])
    plain, likely, unlikely = (drawn(each) for each in (
        one, undecided(one, UNITS[0]), undecided(one, UNITS[1])
    ))  # fmt: skip
    lanes = [slice(72, 96), slice(96, 120)]  # of the two units, beside their names
    lit, faint = (share(plain[lane, 690:860], tone) for lane, tone in
                  zip(lanes, (SURE, panel.PALE), strict=True))  # fmt: skip
    assert lit > 0.3 and faint > 0.03
    assert share(likely[lanes[0], 690:860], SURE) == 0
    assert share(unlikely[lanes[1], 690:860], panel.PALE) < faint / 2
    unsure = undecided(row([0.6] * len(UNITS), threshold=0.5), UNITS[0])
    assert share(drawn(unsure)[lanes[0], 690:860], panel.FADED) > 0.02


def test_heading_marks_undecided_units():
    one = row([0.9, 0.9, *[0.02] * 9])
    images = [drawn(each)[:44, 640:] for each in (
        one, undecided(one, UNITS[0]), undecided(one, *UNITS[:2])
    )]  # fmt: skip
    assert share(images[1], SURE) > share(images[0], SURE) > 0  # a question mark more
    assert share(images[2], SURE) == 0 and share(images[2], TEXT) > 0  # nothing is decided
    assert said_of(undecided(one, UNITS[0])) == "AU01?+AU02"
    assert said_of(one) == "AU01+AU02" and said_of({"label": "a+b", "set_level": 0.9}) == "a+b"


def test_terminal_marks_undecided_units():
    one = undecided(row([0.9, 0.8, *[0.02] * 9]), UNITS[1])
    present, _ = (column.text(one) for column in KIND.terminal_columns(UNITS, 100))
    assert present == "AU01 0.90  AU02? 0.80"


def test_timeline_hatches_undecided_windows():
    rows = [row([0.6] * len(UNITS), start=0.4 * n, end=0.4 * n + 0.4) for n in range(3)]
    rows.append(faceless(start=1.2, end=1.6))
    without = KIND.draw_timeline(pd.DataFrame(rows), UNITS, (None,) * 11, None, "clip.mp4")
    assert not any("undecided" in text for text in check_legible(without))
    rows[1] = undecided(rows[1], UNITS[0])
    figure = KIND.draw_timeline(pd.DataFrame(rows), UNITS, (None,) * 11, None, "clip.mp4")
    assert any("undecided" in text for text in check_legible(figure))
    patches = figure.axes[0].patches
    first, *others = (patch.get_data() for patch in patches if patch.get_hatch())
    assert np.flatnonzero(first.values > first.baseline).tolist() == [1]
    assert not any((each.values > each.baseline).any() for each in others)
    present = patches[0].get_data()
    assert np.flatnonzero(present.values > present.baseline).tolist() == [0, 2]


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
