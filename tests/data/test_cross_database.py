"""Joined datasets: classes, clips left out, folds, rows of the report."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configs import base
from fer_jax.data import crops, cross_database
from fer_jax.data import folds as data_folds
from fer_jax.data.clips import Crops
from fer_jax.faces import labels
from fer_jax.faces.landmarks import ALIGNED, EYES, FER2013
from fer_jax.tasks import evaluation, trust
from fer_jax.tasks.classification import cross_database_report
from fer_jax.tasks.classification.figures import uncertainty_curves
from fer_jax.uncertainty import summarise

NAMES = ("anger", "contempt", "fear", "joy", "relief", "happy", "Sadness", "neutral")


def named(clips, *classes):
    return dataclasses.replace(clips, classes=classes)


def recorded(clips, path, size=32, framing=ALIGNED):
    records = tuple((path, "train", index) for index in range(len(clips)))
    frames = crops.Recorded(records, tuple(np.arange(4) for _ in records), size)
    return dataclasses.replace(clips, crops=Crops(frames, clips.landmarks / 10, framing))


def test_join_takes_the_training_classes_under_common_names(make_clips):
    clips = make_clips()
    joined = cross_database.join(
        {
            "first": named(clips, "anger", "happy", "contempt"),
            "second": named(make_clips(classes=2), "Joy", "angry"),
        },
        ("third", named(clips, "relief", "happiness", "anger")),
    )
    assert joined.classes == ("anger", "contempt", "happiness")
    assert joined.left_out.classes == {"relief": 8}
    test = np.array(joined.splits) == "test"
    assert test.sum() == len(clips) - 8
    assert {joined.classes[label] for label in joined.labels[test]} == {"happiness", "anger"}
    assert joined.clip_ids[0] == "first/clip000" and joined.subjects[-1].startswith("third/")


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(st.sampled_from(NAMES), min_size=3, max_size=3, unique=True),
                min_size=2, max_size=4))  # fmt: skip
def test_join_trains_evaluates_or_counts_every_clip(make_clips, vocabularies):
    *trained, tested = [named(make_clips(), *names) for names in vocabularies]
    trained = {f"set{index}": clips for index, clips in enumerate(trained)}
    shown = {labels.canonical(name) for clips in trained.values() for name in clips.classes}
    try:
        joined = cross_database.join(trained, ("other", tested))
    except ValueError as error:
        assert "none of which" in str(error)
        assert not shown & {labels.canonical(name) for name in tested.classes}
        return
    assert joined.classes == tuple(sorted(shown))
    counted = sum(joined.left_out.classes.values())
    assert len(joined) + counted == sum(map(len, trained.values())) + len(tested)
    assert not set(joined.left_out.classes) & shown
    (fold,) = data_folds.cross_database(joined.subjects, joined.splits, 4)
    parts = [fold.train, fold.validation, fold.evaluation]
    assert sorted(np.concatenate(parts)) == list(range(len(joined)))
    people = [set(np.take(joined.subjects, part)) for part in parts]
    assert not people[0] & people[1] and not people[0] & people[2]
    validated = cross_database.dataset_names(np.take(joined.clip_ids, fold.validation))
    assert set(validated) == set(trained)  # subjects of every training dataset


def test_cross_database_without_groups_trains_on_everyone(make_clips):
    joined = cross_database.join({"a": make_clips()}, ("b", make_clips()))
    (fold,) = data_folds.cross_database(joined.subjects, joined.splits, 0)
    assert fold.validation is None and len(fold.train) == len(fold.evaluation) == 24


def test_crops_stay_with_their_clips(make_clips):
    first, second = recorded(make_clips(), "one"), recorded(make_clips(), "two")
    second = named(second, "brows", "chin", "eyes")
    joined = cross_database.join({"a": first}, ("b", second))
    assert joined.crops.frames.shape == (40, 4, 32, 32, 3)
    kept = np.flatnonzero(second.labels != 1)
    assert joined.crops.frames.records[24:] == tuple(("two", "train", index) for index in kept)
    np.testing.assert_array_equal(joined.crops.landmarks[24:], second.crops.landmarks[kept])
    with pytest.raises(ValueError, match="a 4 frames of 32 pixels, b 4 frames of 64 pixels"):
        cross_database.join({"a": first}, ("b", recorded(make_clips(), "two", 64)))


def test_crops_of_other_framings_are_refused(make_clips):
    first, second = (recorded(make_clips(), name, framing=FER2013) for name in ("one", "two"))
    assert cross_database.join({"a": first}, ("b", second)).crops.framing == FER2013
    eyes = recorded(make_clips(), "two", framing=EYES)
    with pytest.raises(
        ValueError, match=r"a aligned, 2\.74 eye .* 0\.593 .*; b eyes, 2\.5 .* 0\.3 of"
    ):
        cross_database.join({"a": first}, ("b", eyes))


def evaluated_run(config, make_clips, confidence_unseen):
    """A run that is confident on known datasets, not on the unseen one; nothing is calibrated."""
    config.data.train_on = (("a", "x", "last"), ("b", "y", "last"))
    config.uncertainty.calibration = "none"
    clips = cross_database.join({"a": make_clips(), "b": make_clips()}, ("c", make_clips()))
    (fold,) = data_folds.cross_database(clips.subjects, clips.splits, 4)

    def samples(indices, confidence):
        truth = np.eye(3)[clips.labels[indices]]
        return np.stack([truth * confidence + (1 - confidence) / 3] * 2)

    result = {}
    for part, indices, confidence in (
        ("evaluation", fold.evaluation, confidence_unseen), ("validation", fold.validation, 0.99)
    ):  # fmt: skip
        drawn = samples(indices, confidence)
        result |= {f"{part}_samples": drawn, f"{part}_stored": drawn[0]}
        result[f"{part}_recalibrated"] = drawn[0]
    names = ["stored", "recalibrated", "mc_dropout"]
    evaluated = evaluation.join_folds(clips, [fold], [result], names, summarise)
    own = trust.of_classes(config, evaluated)
    return clips, [fold], dataclasses.replace(evaluated, trust=own)


def test_report_compares_uncertainty_of_known_and_unseen_datasets(make_clips):
    config = base.get_config()
    clips, folds, evaluated = evaluated_run(config, make_clips, 0.5)
    content = cross_database_report.content(config, clips, folds, evaluated, threshold=0.3)
    rows = content["rows"]
    assert list(rows) == ["a", "b", "c"] and [rows[n]["known"] for n in rows] == [True, True, False]
    assert rows["a"]["clips"] == 6 and rows["c"]["clips"] == 24
    assert rows["c"]["entropy"] == pytest.approx(0.8676, abs=1e-4)  # of (2/3, 1/6, 1/6), nats
    assert rows["a"]["coverage"] == 1 and rows["c"]["coverage"] == 0
    assert content["separation"]["entropy"] == 1.0
    text = "\n".join(cross_database_report.lines(content))
    assert "| c (unseen) | 24 | 1.0000 |" in text
    assert "0.8676 on the unseen one, ranking an unseen clip above a known one" in text
    assert len(uncertainty_curves(rows).axes) == 2


def test_equal_uncertainty_separates_nothing(make_clips):
    config = base.get_config()
    clips, folds, evaluated = evaluated_run(config, make_clips, 0.99)
    content = cross_database_report.content(config, clips, folds, evaluated, threshold=None)
    assert content["separation"]["entropy"] == pytest.approx(0.5)
    assert content["rows"]["c"]["coverage"] is None
