"""Predictions of action units: rows, labels, abstaining, windows, the terminal."""

import types

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_jax.commands import predict
from fer_jax.data.frame_selection import at_equal_steps, select_frames, window_frames
from fer_jax.experiments.bundle import InputSpec, Record
from fer_jax.faces.landmarks import MEAN_FACE
from fer_jax.plotting.timeline import borders
from fer_jax.predict import api
from fer_jax.predict.windows import (
    Face,
    Options,
    Source,
    at_rate,
    columns,
    predict_source,
)
from fer_jax.tasks import TASKS
from fer_jax.tasks.action_units.scores import present_units, summarise_units, unsure_units
from fer_jax.tasks.action_units.task import _fitting
from fer_jax.tasks.base import NO_FACE
from tests.official_trees import write_openface
from tests.trusting import trusting

UNITS = ("AU01", "AU06", "AU12")
KIND = TASKS["action_units"]
CERTAIN = (0.69, 0.69, 0.69)  # nats; ln 2, that of guessing, is 0.693


def summary(*chances, scatter=0.01, mc_samples=20):
    samples = np.array(chances) + scatter * np.linspace(-1, 1, mc_samples)[:, None]
    return summarise_units(samples[:, None])


def test_label_names_units_present_and_certain():
    row = KIND.row(summary(0.1, 0.95, 0.9), UNITS, CERTAIN)
    assert row["label"] == "AU06+AU12" and present_units(row) == ["AU06", "AU12"]
    assert KIND.row(summary(0.1, 0.2, 0.3), UNITS, CERTAIN)["label"] == "none"
    mixed = KIND.row(summary(0.1, 0.95, 0.6), UNITS, (0.5, 0.5, 0.5))
    assert mixed["label"] == "AU06" and unsure_units(mixed, UNITS) == ["AU12"]
    assert not mixed["abstained"]


def test_every_unit_has_its_own_threshold():
    said = summary(0.3, 0.3, 0.3)  # 0.61 nats each
    row = KIND.row(said, UNITS, (0.5, None, 0.65))
    assert [row[f"abstained_{unit}"] for unit in UNITS] == [True, False, False]
    nothing = KIND.row(said, UNITS, (0.1, 0.1, float("-inf")))
    assert nothing["abstained"] and nothing["label"] == "none"


def test_row_holds_the_figures_of_each_unit():
    said = summary(0.2, 0.5, 0.97, scatter=0.02)
    row = KIND.row(said, UNITS, (None,) * 3)
    for index, unit in enumerate(UNITS):
        p = row[unit]
        assert p == pytest.approx(said.mean[0, index])
        assert row[f"entropy_{unit}"] == pytest.approx(-p * np.log(p) - (1 - p) * np.log(1 - p))
        assert row[f"std_{unit}"] == pytest.approx(0.02 * np.linspace(-1, 1, 20).std())
    assert row["agreement_AU12"] == 1 and row["agreement_AU06"] == 0.5


def test_without_a_face_every_unit_is_unsure():
    row = KIND.blank_row(UNITS)
    assert unsure_units(row, UNITS) == [*UNITS] and present_units(row) == []
    assert all(np.isnan(row[name]) for name in ("AU01", "std_AU06", "entropy_AU12"))


def test_one_number_is_the_threshold_of_all_units():
    own = (0.4, None, 0.6)
    assert KIND.abstain_threshold(own, 0.0, UNITS) == (0.0,) * 3
    assert KIND.abstain_threshold(None, None, UNITS) == (None,) * 3
    assert "for AU06, so these are" in KIND.threshold_warning(own, UNITS)
    assert "no action unit is marked unsure" in KIND.threshold_warning((None,) * 3, UNITS)


# --- windows that end at the frame they describe - --------------------------------------------


def tenths(length):
    """Seconds at which frames begin, 10 a second."""
    return np.arange(length) / 10


@given(st.integers(1, 40), st.integers(1, 9))
def test_frames_follow_each_other_as_in_training(length, frames):
    chosen = at_equal_steps(tenths(length), 0.1, frames).tolist()
    assert chosen == window_frames(np.ones(length, bool), frames)[-1].tolist()
    fast = at_equal_steps(tenths(2 * length), 0.2, frames)
    assert [frame // 2 for frame in fast] == chosen and fast[-1] == 2 * length - 1


def test_slow_clip_repeats_frames():
    assert at_equal_steps(tenths(2), 0.05, 4).tolist() == [0, 0, 1, 1]
    assert at_equal_steps(tenths(1), 0.1, 3).tolist() == [0, 0, 0]


def test_frames_of_a_variable_rate_are_chosen_by_time():
    assert at_equal_steps([0, 0.1, 0.2, 0.6, 1.0], 0.4, 3).tolist() == [2, 3, 4]


def test_moment_of_a_window_is_its_last_frame():
    fps, ends = 10.0, np.arange(4, 9) / 10  # a window of four frames at every frame
    moments = KIND.moments(ends - 0.4, ends, fps)
    edges = borders(ends - 0.4, ends, moments)
    np.testing.assert_allclose(edges, [0, 0.4, 0.5, 0.6, 0.7, 0.8])
    centres = TASKS["classification"].moments([0, 1], [2, 3], fps)
    np.testing.assert_allclose(centres, [1, 2])


def unit_predictor(threshold=(0.6, 0.6, None), takes_crops=False, seconds=0.4):
    """Says AU12 where the last frame is right of x = 20 (or bright), AU06 where the first is."""

    def answer(clip, *, mc_samples, seed, frame_width):
        assert len(clip) == 1 and clip.shape[1] == 4
        values = (clip[..., 0].mean((0, 2)) / (frame_width or 640) - 20 / 640) * 20
        if takes_crops:
            assert clip.shape == (1, 4, 32, 32, 3) and clip.dtype == np.uint8
            values = clip.mean((0, 2, 3, 4)) / 255
        chances = np.clip([0.02, values[0], values[-1]], 0.02, 0.98)
        return summarise_units(chances + 0.01 * np.linspace(-1, 1, mc_samples)[:, None, None])

    return types.SimpleNamespace(
        familiarity=None, trust=trusting(units=len(UNITS)),
        task="action_units", classes=UNITS, threshold=threshold, predict=answer, record=Record(),
        spec=InputSpec(4, "windows", "position", None, seconds, prepared_size=32),
        takes_crops=takes_crops,
        module=types.SimpleNamespace(inputs="frames" if takes_crops else "edges"),
        is_compiled=lambda mc_samples: True,
        select=lambda detected, times: select_frames(detected, 4, "windows"),
    )  # fmt: skip


def face(x):
    return Face((MEAN_FACE * 40 + [x, 240]).astype(np.float32))


def said_of(positions, options=None, fps=10.0, predictor=None):
    faces = [{} if x is None else {0: face(x)} for x in positions]
    source = Source("clip.mp4", at_rate(faces, fps), lambda: iter(()), fps, 640, 0)
    options = options or Options(mc_samples=12)
    return predict_source(predictor or unit_predictor(), source, options, say=lambda text: None)


def test_table_row_for_every_window_of_action_units():
    table = said_of([20] * 8 + [620] * 4, Options(mc_samples=12, stride=0.1))
    assert list(table) == columns(UNITS, "action_units")
    np.testing.assert_allclose(table["end"], np.arange(4, 13) / 10)
    assert table["label"].tolist() == ["none"] * 5 + ["AU12"] * 3 + ["AU06+AU12"]
    assert not table["abstained"].any() and (table["frames"] == 4).all()
    assert table["abstained_AU06"].dtype == bool


def test_half_a_window_is_the_default_stride():
    np.testing.assert_allclose(said_of([20] * 10)["end"], [0.4, 0.6, 0.8, 1.0])


def test_faster_clip_is_seen_at_the_pace_of_training():
    at_training_rate = said_of([20, 180, 340, 500])
    faster = said_of([20, 20, 180, 180, 340, 340, 500, 500], fps=20.0)
    assert len(at_training_rate) == len(faster) == 1
    pd.testing.assert_frame_equal(at_training_rate, faster)


def test_longer_window_is_asked_for_and_spread_over():
    options = Options(mc_samples=12, window=1.2)
    table = said_of([20] * 2 + [35] + [20] * 8 + [50], options)
    assert table["AU06"].tolist() == pytest.approx([15 / 640 * 20], abs=0.01)  # frame 3 of 12
    assert table[["start", "end"]].to_numpy().tolist() == [[0.0, 1.2]]


def test_units_of_windows_without_a_face_keep_their_row():
    table = said_of([620] * 4 + [None] * 4, Options(mc_samples=12, stride=0.4))
    assert table["label"].tolist() == ["AU06+AU12", NO_FACE]
    assert table.loc[1, ["AU01", "std_AU06", "entropy_AU12"]].isna().all()
    assert table["abstained_AU12"].tolist() == table["abstained"].tolist() == [False, True]
    assert table["abstained_AU12"].dtype == table["abstained"].dtype == bool


def test_units_of_frames_as_they_come():
    image = np.full((240, 320, 3), 10, np.uint8)
    points = [face(x).landmarks * [0.5, 0.5] for x in (20, 20, 20, 20, 50)]  # no jump
    predictor = unit_predictor()
    rows = api.predict_frames(predictor, [image] * 5, points, fps=10, stride=0.1)
    first, second = rows
    assert list(first) == columns(UNITS, "action_units")[1:]
    assert (first["label"], second["label"]) == ("none", "AU12")
    (one,) = api.predict_frames(predictor, [image], points[-1:], fps=10)
    assert one["label"] == "AU06+AU12" and one["frames"] == 4  # the frame stands in for all


def test_units_of_crops_of_faces_as_they_come():
    images = [np.full((240, 320, 3), grey, np.uint8) for grey in (5, 5, 5, 250)]
    points = [MEAN_FACE * 40 + [160, 110]] * 4
    (row,) = api.predict_frames(unit_predictor(takes_crops=True), images, points, fps=10)
    assert row["label"] == "AU12" and row["AU06"] == pytest.approx(5 / 255, abs=0.01)


# --- the command line -----------------------------------------------------------------------


def write_faces(path, positions):
    points = np.stack([face(x).landmarks for x in positions])
    steps = np.arange(len(positions))
    return write_openface(path, points, frame=steps + 1, success=1, timestamp=steps / 10)


def run(monkeypatch, predictor, *arguments):
    monkeypatch.setattr("fer_jax.predict.load.load_model", lambda *_: predictor)
    return predict.main(["bundle", *map(str, arguments)])


def test_command_prints_and_saves_action_units(monkeypatch, tmp_path, capsys):
    clip = write_faces(tmp_path / "a.csv", [20] * 6 + [38.5] * 6)  # no jump
    out = tmp_path / "table.csv"
    assert run(monkeypatch, unit_predictor(), clip, "--out", out) == 0
    said = capsys.readouterr()
    assert "no threshold for AU12, so these are never marked unsure" in said.err
    assert "unsure, of 3" in said.out and "AU12? 0.58" in said.out and "1  AU06" in said.out
    table = pd.read_csv(out)
    assert list(table) == columns(UNITS, "action_units")
    assert table["label"].iloc[0] == "none" and table["abstained_AU06"].iloc[-1]
    assert run(monkeypatch, unit_predictor(), clip, "--threshold", 0) == 0
    said = capsys.readouterr()
    assert "no threshold" not in said.err and "3  AU01  AU06  AU12" in said.out


def test_units_that_do_not_fit_are_counted():
    units = [f"AU{index:02}" for index in range(1, 19)]
    for room in (20, 40, 160):
        text = _fitting(units, room)
        left = sum(int(word[1:]) for word in text.split() if word.startswith("+"))
        assert len(text) <= room and text.count("AU") >= 1 and text.count("AU") + left == 18
