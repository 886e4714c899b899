"""Rows, panels and figures of valence, arousal and dominance."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection
from matplotlib.patches import Ellipse

from fer_jax.plotting import images
from fer_jax.plotting.panel import SURE
from fer_jax.predict import annotate
from fer_jax.predict.windows import columns
from fer_jax.tasks import TASKS
from fer_jax.tasks.dimensions import figures
from fer_jax.tasks.dimensions.scores import summarise_dimensions
from fer_jax.tasks.dimensions.timeline import draw_timeline
from tests.legible import check_legible
from tests.tasks.drawn_clip import picture

NAMES = ("valence", "arousal", "dominance")
PLANE = NAMES[:2]
KIND = TASKS["dimensional"]
TASK = "dimensional"


def row(*values, names=PLANE, scatter=0.2, threshold=None, start=0.0, frames=5, residual=0.25):
    values = np.array(values or [5.0] * len(names))
    mc_samples = values + scatter * np.linspace(-1, 1, 11)[:, None]
    spread = summarise_dimensions(mc_samples[:, None], [residual] * len(names))
    said = KIND.row(spread, names, threshold)
    return {"clip": "clip.mp4", "start": start, "end": start + 0.2, "frames": frames} | said


def faceless(start=0.0, names=PLANE):
    return row(names=names, start=start, frames=0) | KIND.blank_row(names)


def table_of(rows, names=PLANE):
    return pd.DataFrame(rows, columns=columns(names, TASK))


def test_row_holds_values_intervals_and_the_nearest_word():
    said = row(8.0, 6.4, 6.6, names=NAMES, threshold=0.2)
    deviation = 0.2 * np.linspace(-1, 1, 11).std()
    assert said["label"] == "happy" and said["valence"] == pytest.approx(8)
    assert [said["std_arousal"], said["uncertainty"]] == pytest.approx([deviation] * 2)
    half = 1.6449 * np.sqrt(deviation**2 + 0.25)
    assert said["low_dominance"] == pytest.approx(6.6 - half, abs=1e-3)
    assert said["high_dominance"] == pytest.approx(6.6 + half, abs=1e-3)
    assert not said["abstained"]
    assert row(threshold=0.1)["abstained"] and not row()["abstained"]


def test_terminal_shows_intervals_where_they_fit():
    one = row(8.2, 6.5, 6.6, names=NAMES)
    texts = {room: [c.text(one) for c in KIND.terminal_columns(NAMES, room)] for room in (75, 155)}
    assert texts[75] == ["happy", "8.20", "6.50", "6.60"]
    assert texts[155][:2] == ["happy", "8.20 (7.4–9.0)"]


# --- the video ------------------------------------------------------------------------------


def panel(one, names=PLANE, **size):
    image = annotate.draw_frame(picture(**size), None, one, names, None, TASK)
    return image[:, picture(**size).shape[1] if not size else 0 :]


def centre_of(image, colour):
    """Middle of the pixels of a colour: column, row."""
    rows, across = np.nonzero(np.abs(image.astype(int) - colour).max(-1) < 12)
    return across.mean(), rows.mean()


def plane_of(image):
    """Without the heading, and the lines of the dimensions."""
    return image[64:280]


def test_point_lies_where_the_values_are():
    calm = {"scatter": 0.0, "residual": 0.0}
    low, right, up = (
        centre_of(plane_of(panel(row(*values, **calm))), SURE)
        for values in ((4, 4), (6, 4), (4, 6))
    )
    assert right[0] - low[0] > 40 and abs(right[1] - low[1]) < 1
    assert low[1] - up[1] > 40 and abs(up[0] - low[0]) < 1
    assert right[0] - low[0] == pytest.approx(low[1] - up[1], abs=2)  # one scale


def test_ellipse_grows_with_the_interval():
    def drawn(residual):
        image = plane_of(panel(row(5, 5, residual=residual))).astype(int)
        tinted = (image[..., 1] - image[..., 0] > 40) & (image[..., 1] > 90)
        return np.ptp(np.nonzero(tinted)[1])

    assert drawn(1.0) / drawn(0.25) == pytest.approx(2, rel=0.15)


def test_trail_fades_into_the_past():
    one = row(7, 3, start=1.0, scatter=0.0, residual=0.0)
    trail = [row(2 + 0.4 * n, 3, start=0.1 * n) for n in range(10)]
    bare = plane_of(panel(one)).astype(int)
    drawn = plane_of(panel(one | {"before": trail})).astype(int)
    change = np.abs(drawn - bare).max(-1)
    assert change.any()
    middle = np.median(np.nonzero(change)[1])
    old, fresh = change[:, : int(middle)], change[:, int(middle) :]
    assert 0 < old.max() < 0.7 * fresh.max()
    gap = panel(one | {"before": [*trail[:5], faceless(0.5), *trail[6:]]})
    assert gap.shape == panel(one).shape  # a moment without a face leaves a gap


def test_row_knows_the_seconds_before_it():
    seen: list = []
    rows = [annotate._with_trail(row(start=0.5 * n), seen) for n in range(12)]
    before = [len(one["before"]) for one in rows]
    assert before == [0, 1, 2, 3, 4, 5, 6, 6, 6, 6, 6, 6]  # three seconds
    assert rows[8]["before"][0]["start"] == 1.0


def test_panel_of_one_dimension_fits():
    names = ("valence",)
    image = annotate.draw_frame(picture(256, 256), None, row(names=names), names, None, TASK)
    assert image.shape[0] % 2 == 0 and image.shape[1] % 2 == 0
    assert (image[:, -6:] == image[0, -1]).all()  # the margin stays free


# --- figures --------------------------------------------------------------------------------


def way(count=30, names=PLANE, gap=()):
    rng = np.random.default_rng(0)
    return table_of(
        [
            faceless(0.1 * n, names)
            if n in gap
            else row(*rng.uniform(2, 8, len(names)), names=names, start=0.1 * n)
            for n in range(count)
        ],
        names,
    )


@pytest.mark.parametrize("names", [PLANE, ("arousal",)])
def test_timeline_of_some_dimensions_is_legible(names):
    pictures = [np.full((60, 60, 3), 30 * n, np.uint8) for n in range(8)]
    texts = check_legible(draw_timeline(way(30, names), names, None, pictures, "a.mp4"))
    assert "a.mp4" in texts and set(names) <= set(texts)


def test_way_stops_where_there_is_no_face():
    table = way(12, gap=(4, 5))
    figure = draw_timeline(table, PLANE)
    axes = figure.axes[0]
    (line,) = (part for part in axes.collections if isinstance(part, LineCollection))
    parts = np.array(line.get_segments())
    assert len(parts) == 3 + 5  # 4 and 6 points
    np.testing.assert_allclose(parts[0], table.loc[:1, [*PLANE]])
    np.testing.assert_allclose(parts[3], table.loc[6:7, [*PLANE]])
    ellipses = [part for part in axes.patches if isinstance(part, Ellipse)]
    widths = (table["high_valence"] - table["low_valence"])[[0, 11]]
    np.testing.assert_allclose(sorted(e.width for e in ellipses), sorted(widths))


def test_lane_shows_value_and_interval():
    table = way(6, gap=(4,))
    lane = draw_timeline(table, PLANE).axes[2]  # behind the plane and the scale of time
    interval, mc_samples, value = (patch.get_data() for patch in lane.patches[:3])
    np.testing.assert_allclose(interval.values, table["high_valence"])
    np.testing.assert_allclose(interval.baseline, table["low_valence"])
    np.testing.assert_allclose(mc_samples.values, table["valence"] + table["std_valence"])
    np.testing.assert_allclose(value.values, table["valence"])


@pytest.mark.parametrize("count", [3, 2000])
def test_points_or_their_density_in_the_plane(count):
    values = np.random.default_rng(0).uniform(2, 8, (count, 2))
    figure = figures.plane({"labels": values, "predictions": values[::-1]})
    assert {"happy", "contempt", "labels", "predictions"} <= set(check_legible(figure))
    figure = figures.scatter(PLANE, values, values, ["RMSE 0.1", "RMSE 0.2"])
    assert "RMSE 0.2" in check_legible(figure)


def test_accuracy_at_every_threshold_is_drawn():
    thresholds = np.linspace(0, 2, 21)
    curves = {"stored": thresholds / 2, "MC dropout": np.sqrt(thresholds / 2)}
    figure = figures.threshold_accuracy(thresholds, curves, 1.0, 0.7116)
    assert "71.16%, the best classifier of the Kaggle challenge" in check_legible(figure)
    drawn = [line.get_ydata() for line in figure.axes[0].lines[:2]]
    np.testing.assert_allclose(drawn, list(curves.values()))


def test_calibration_of_intervals_is_drawn():
    levels = np.arange(1, 10) / 10
    kinds = {
        "mc_samples": {name: levels / 2 for name in NAMES},
        "predictive": {name: levels for name in NAMES},
    }
    figure = figures.interval_calibration(levels, kinds)
    assert {*NAMES, "mc_samples", "predictive"} <= set(check_legible(figure))
    np.testing.assert_allclose(figure.axes[2].lines[1].get_ydata(), levels / 2)


def test_faces_stand_above_their_maps():
    face = np.full((48, 48, 3), 90, np.uint8)
    maps = [np.eye(3), np.ones((6, 6))]
    shown = [images.Shown(face, "V 8.2 → 7.9\nA 6.5 → 6.6", maps)] * 5
    figure = images.face_rows({"Best predictions": shown, "Worst": shown[:2]}, ("mean", "largest"))
    texts = check_legible(figure)
    assert texts.count("V 8.2 → 7.9\nA 6.5 → 6.6") == 7
    assert figure.axes[5].images[1].get_array().shape == (3, 3)
    assert tuple(figure.axes[5].images[1].get_extent()) == (-0.5, 47.5, 47.5, -0.5)


def test_no_face_is_both_best_and_worst():
    assert images.best_and_worst(list(range(50))) == ([*range(10)], [*range(49, 39, -1)])
    assert images.best_and_worst([3, 1, 2, 0, 4]) == ([3, 1], [4, 0])
    assert images.best_and_worst([7]) == ([7], [7])
