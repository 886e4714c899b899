"""Models of still images over video: rows smoothed for each person, with their uncertainty."""

import dataclasses
import functools

import numpy as np
import pandas as pd
import pytest

import fer_jax
from fer_jax.faces.landmarks import MEAN_FACE
from fer_jax.predict.options import SMOOTHING, Options
from fer_jax.predict.people import COLUMNS
from fer_jax.predict.windows import Face, at_rate, predict_windows
from fer_jax.tasks import TASKS
from fer_jax.uncertainty import Smoother, bhattacharyya
from tests.bundles import CROPS, write_bundle
from tests.predict.fakes import run
from tests.written_runs import labels_of, outputs_of

FPS, POINTS = 25.0, MEAN_FACE * 40 + 100


@pytest.fixture(scope="module")
def model():
    """The shipped model of single faces, to which no face is unfamiliar."""
    return dataclasses.replace(fer_jax.load_model("faces"), familiarity=None)


@functools.cache
def pictures(seed):
    """One face, `[30, 48, 48, 3]`, drawn with some noise in every frame."""
    rng = np.random.default_rng(seed)
    small = np.kron(rng.uniform(0, 255, (6, 6, 1)), np.ones((8, 8, 3)))
    return np.clip(small + rng.normal(0, 60, (30, 48, 48, 3)), 0, 255).astype(np.uint8)


def stream(*tracks, seed=0):
    """Frames of which each shows some tracks; a dict gives fields of their faces."""
    for index, shown in enumerate(tracks):
        fields = shown if isinstance(shown, dict) else dict.fromkeys(shown, {})
        yield {
            track: Face(POINTS, pictures(seed + track)[index], **own)
            for track, own in fields.items()
        }


def rows_of(model, frames, **options):
    options = Options(mc_samples=6, people="all", **options)
    rows = list(predict_windows(model, at_rate(frames, FPS), options, fps=FPS, width=0))
    table = pd.DataFrame([row | {"track": track} for row, track in rows])
    return table.drop(columns="inputs")


def test_rows_are_means_of_those_frame_by_frame(model):
    alone = rows_of(model, stream(*[[0]] * 30), smoothing=0)
    table = rows_of(model, stream(*[[0]] * 30))
    smoother, classes = Smoother(SMOOTHING, bhattacharyya), list(model.classes)
    ends = zip(table["end"], alone[classes].to_numpy(), strict=True)
    wanted = np.stack([smoother.update(0, *each) for each in ends])
    np.testing.assert_allclose(table[classes], wanted, atol=1e-9)
    np.testing.assert_allclose(table["entropy"], -(wanted * np.log(wanted)).sum(-1))
    assert (table["label"] == np.array(classes)[wanted.argmax(-1)]).all()
    steps = [np.abs(np.diff(each[classes], axis=0)).sum() for each in (alone, table)]
    assert steps[1] < 0.6 * steps[0]
    pd.testing.assert_frame_equal(table[["start", *COLUMNS]], alone[["start", *COLUMNS]])


def test_uncertainty_is_that_of_each_network_over_time(model):
    """MC samples are smoothed with the same masks: averaging noise makes no network surer."""
    first, second = (pictures(0)[index][None, None] for index in (2, 4))
    alike = dataclasses.replace(model, trust=dataclasses.replace(model.trust, calibration=None))
    samples = [alike.samples(each, mc_samples=6) for each in (first, second)]
    table = rows_of(alike, stream(*[[0]] * 7))  # of five frames the middle one is predicted
    smoother = Smoother(SMOOTHING, lambda now, past: bhattacharyya(now.mean(0), past.mean(0)))
    for time, own in zip(table["end"], samples, strict=True):
        mean = smoother.update(0, time, own)
    summary = alike.summarise(mean)
    for name, value in zip(model.classes, np.sqrt(summary.variance[0]), strict=True):
        assert table[f"std_{name}"].iloc[1] == pytest.approx(value, rel=1e-5)
    own = table["mutual_information"].iloc[1]
    assert own == pytest.approx(summary.mutual_information[0], rel=1e-5)


def test_each_person_has_a_past_of_its_own(model):
    both = rows_of(model, stream(*[[0, 1]] * 30))
    for track in (0, 1):
        own = both[both["track"] == track].drop(columns="person").reset_index(drop=True)
        alone = rows_of(model, stream(*[[track]] * 30)).drop(columns="person")
        pd.testing.assert_frame_equal(own, alone)
    cut = rows_of(model, stream(*[[0]] * 15, *[[1]] * 15))
    begun = cut[cut["track"] == 1].iloc[0]  # somebody else: nothing of the past
    single = rows_of(model, stream(*[[0]] * 15, *[[1]] * 15), smoothing=0)
    single = single[single["track"] == 1].iloc[0]
    assert begun[list(model.classes)].tolist() == single[list(model.classes)].tolist()


@pytest.mark.parametrize("reason", ["unreadable: blurred", "unfamiliar"])
def test_withheld_rows_weigh_nothing_and_keep_their_numbers(model, reason):
    blurred = [reason != "unfamiliar" and 10 <= index < 20 for index in range(30)]
    frames = list(stream(*({0: {"sharpness": 1.0 if each else 90.0}} for each in blurred)))
    known, distances = dataclasses.replace(model), iter([0.5, 0.5, 1.5, 1.5, 0.5, 0.5])
    if reason == "unfamiliar":
        known = dataclasses.replace(model, familiarity=fer_jax.load_model("faces").familiarity)
        vars(known)["unfamiliarity"] = lambda inputs, frame_width: [next(distances)]
    table = rows_of(known, frames, stride=0.2)
    withheld = (table["reason"] == reason).to_numpy()
    assert 1 <= withheld.sum() < len(table) - 1 and table["abstained"][withheld].all()
    classes, ends = list(model.classes), table["end"]
    alone = rows_of(model, frames, smoothing=0, stride=0.2)[classes].to_numpy()
    assert (table[classes][withheld] == alone[withheld]).all(axis=None)
    smoother = Smoother(SMOOTHING, bhattacharyya)
    kept = zip(ends[~withheld], alone[~withheld], strict=True)
    wanted = [smoother.update(0, *each) for each in kept]
    np.testing.assert_allclose(table[classes][~withheld], wanted, atol=1e-9)


def test_gap_of_some_seconds_begins_anew(model):
    frames = [*stream(*[[0]] * 10), *[{}] * 75, *list(stream(*[[0]] * 30))[10:20]]
    table = rows_of(model, frames, stride=0.2)
    alone = rows_of(model, frames, stride=0.2, smoothing=0)
    first = table.index[table["start"] > 3.3][0]
    shares = [each.loc[first, list(model.classes)].tolist() for each in (table, alone)]
    assert table["frames"][first] and shares[0] == shares[1]


def test_rows_do_not_depend_on_later_frames(model):
    images = list(np.kron(pictures(0), np.ones((1, 5, 5, 1), np.uint8)))
    landmarks = [MEAN_FACE * 50 + 120] * 30

    def rows(count):
        given = images[:count], landmarks[:count]
        return list(fer_jax.predict_frames(model, *given, fps=FPS, mc_samples=4))

    whole, begun = rows(30), rows(17)
    before = [row for row in begun if row["end"] <= 17 / FPS][:-1]  # the last ends with the stream
    assert len(before) > 3 and str(before) == str(whole[: len(before)])  # NaN is not itself
    one = [
        next(fer_jax.predict_frames(model, images[:1], landmarks[:1], mc_samples=4, **options))
        for options in ({}, {"smoothing": 0})
    ]
    assert str(one[0]) == str(one[1])  # a single image, to the bit


def test_models_of_clips_are_smoothed_only_if_asked(tmp_path):
    write_bundle(tmp_path, CROPS, ("anger", "joy", "calm"), 1.9, rule="middles", seconds=0.2)
    clip_model = fer_jax.load_model(tmp_path)

    def shown(**options):
        frames = [{0: one[0]._replace(crop=one[0].crop[8:40, 8:40])} for one in stream(*[[0]] * 20)]
        return rows_of(clip_model, frames, **options)["joy"].to_numpy()

    assert (shown() == shown(smoothing=0)).all()
    assert np.abs(np.diff(shown(smoothing=1.0))).sum() < np.abs(np.diff(shown())).sum()


@pytest.mark.parametrize("name", TASKS)
def test_distance_of_a_task_is_that_of_its_outputs(name):
    rng, task = np.random.default_rng(0), TASKS[name]
    one, other = (outputs_of(name, labels_of(name, 6, rng), 0.2, rng) for _ in range(2))
    assert task.distance(one, one) == pytest.approx(0, abs=1e-12)
    assert (task.distance(one, other) > 0).all()
    assert np.broadcast_shapes(task.distance(one, other).shape, one.shape) == one.shape


def test_command_smooths_a_video(model, monkeypatch, face_video, tmp_path):
    pytest.importorskip("dlib", reason="finding faces needs the extra: pip install .[preprocess]")
    varied, out = [], tmp_path / "table.csv"
    for more in ((), ("--smoothing", 0)):
        assert run(monkeypatch, model, face_video, "--mc-samples", 6, "--out", out, *more) == 0
        shares = pd.read_csv(out)[list(model.classes)]
        np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-5)
        varied.append(np.abs(np.diff(shares, axis=0)).sum())
    assert 0 < varied[0] < varied[1]
