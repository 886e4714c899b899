"""Protocols: folds share no subject and evaluate every clip once."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configs import base
from fer_jax.data.folds import (
    by_sequence,
    holdout,
    make_folds,
    random_subjects,
    subject_folds,
    subject_kfold,
)

PEOPLE = st.lists(
    st.integers(0, 15).map(lambda index: f"p{index}"), min_size=4, max_size=80
).filter(lambda people: len(set(people)) >= 2)


@settings(max_examples=80, deadline=None)
@given(PEOPLE, st.data())
def test_folds_share_no_subject_and_evaluate_every_clip_once(people, data):
    names = sorted(set(people))
    k = data.draw(st.sampled_from([0, *range(2, len(names) + 1)]))
    mode = data.draw(st.sampled_from(["strided", "balanced"]))
    folds = subject_kfold(people, k, mode, seed=1)
    assert len(folds) == (k or len(names))
    assert sorted(np.concatenate([fold.evaluation for fold in folds])) == list(range(len(people)))
    for fold in folds:
        assert not set(np.take(people, fold.train)) & set(np.take(people, fold.evaluation))
        assert sorted([*fold.train, *fold.evaluation]) == list(range(len(people)))
        assert len(fold.evaluation) and fold.validation is None
    assert len({fold.name for fold in folds}) == len(folds)


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 40), st.data())
def test_blocks_are_runs_of_subjects(count, data):
    names = [f"{index:03d}" for index in range(count)]
    k = data.draw(st.integers(2, count))
    try:
        groups = subject_folds(names, k, "block")
    except ValueError as error:
        assert "empty block" in str(error) and round(count / k) * (k - 1) >= count
        return
    assert sum(groups, []) == names
    assert {len(group) for group in groups[:-1]} == {round(count / k)}


def test_balanced_folds_have_equal_loads():
    people = sum(([f"p{index}"] * (index + 1) for index in range(12)), [])
    groups = subject_folds(people, 3, "balanced", seed=0)
    loads = [sum(people.count(name) for name in group) for group in groups]
    assert max(loads) - min(loads) <= 1
    assert groups == subject_folds(people, 3, "balanced", seed=0)


def test_order_of_the_clips_does_not_change_the_folds():
    people = ["b", "a", "c", "d", "a", "c"]
    assert subject_folds(people, 2) == subject_folds(people[::-1], 2)


@pytest.mark.parametrize("k", [1, 4, -1])
def test_wrong_number_of_folds_is_refused(k):
    with pytest.raises(ValueError, match=rf"{k} folds .*: set --config.protocol.folds"):
        subject_folds(["a", "b", "c"], k)


def test_single_subject_is_refused():
    with pytest.raises(ValueError, match="every clip shows the same subject"):
        subject_folds(["a", "a"], 0)


def test_unknown_mode_is_named():
    with pytest.raises(ValueError, match="'random' is unknown: use 'strided', 'block' or"):
        subject_folds(["a", "b"], 2, "random")


def test_holdout_evaluates_test_and_keeps_validation():
    (fold,) = holdout(["train", "test", "validation", "train"])
    assert (fold.train.tolist(), fold.evaluation.tolist()) == ([0, 3], [1])
    assert fold.validation.tolist() == [2]
    (fold,) = holdout(["train", "validation"])
    assert fold.evaluation.tolist() == [1] and fold.validation is None
    (fold,) = holdout(["train", "test"])
    assert fold.evaluation.tolist() == [1] and fold.validation is None


@pytest.mark.parametrize("splits", [["train", "train"], ["test"], []])
def test_holdout_without_parts_names_the_field(splits):
    with pytest.raises(ValueError, match="protocol.name=subject_kfold"):
        holdout(splits)


@pytest.mark.parametrize(
    ("people", "share", "held_out"),
    [(10, 0.2, 2), (7, 0.2, 1), (2, 0.2, 1), (3, 0.99, 2), (118, 0.2, 24)],
)
def test_random_subjects_hold_out_a_share(people, share, held_out):
    subjects = [f"p{n % people}" for n in range(3 * people)]
    first, second = random_subjects(subjects, share, 0, 2)
    names = np.array(subjects)
    for fold in (first, second):
        out, kept = set(names[fold.evaluation]), set(names[fold.train])
        assert len(out) == held_out and not out & kept and out | kept == set(subjects)
        assert len(fold.train) + len(fold.evaluation) == len(subjects)
    assert (first.name, second.name) == ("repeat0_random", "repeat1_random")
    assert (first.repeat, second.repeat) == (0, 1)
    (alone,) = random_subjects(subjects, share, 0, 1)
    assert alone.name == "random" and alone.evaluation.tolist() == first.evaluation.tolist()


def test_random_subjects_follow_the_seed():
    subjects = [str(n) for n in range(50)]
    drawn = {tuple(random_subjects(subjects, 0.2, seed, 1)[0].evaluation) for seed in range(5)}
    assert len(drawn) == 5 and all(len(each) == 10 for each in drawn)
    with pytest.raises(ValueError, match="every clip shows the same subject, so none can be held"):
        random_subjects(["a", "a"], 0.2, 0, 1)


def test_make_folds_reads_the_config():
    config = base.get_config().protocol
    config.folds = 3
    folds = make_folds(config, list("abcdefg"), ["train"] * 7)
    assert [fold.name for fold in folds] == ["fold00", "fold01", "fold02"]
    config.name = "holdout"
    assert make_folds(config, list("ab"), ["train", "test"])[0].name == "holdout"
    config.name, config.share = "random_subjects", 0.5
    (fold,) = make_folds(config, list("abcd"), ["train"] * 4)
    assert fold.name == "random" and len(fold.evaluation) == 2
    config.name = "bootstrap"
    with pytest.raises(ValueError, match="'bootstrap' is unknown"):
        make_folds(config, list("ab"), ["train", "test"])


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 9), st.integers(1, 4), st.sampled_from(["strided", "block", "balanced"]))
def test_repeats_evaluate_every_clip_equally_often(people, repeats, mode):
    subjects = [f"s{index}" for index in range(people) for _ in range(1 + index % 3)]
    folds = subject_kfold(subjects, 2, mode, 0, repeats)
    assert len({fold.name for fold in folds}) == len(folds) == 2 * repeats
    evaluated = np.concatenate([fold.evaluation for fold in folds])
    assert np.bincount(evaluated, minlength=len(subjects)).tolist() == [repeats] * len(subjects)
    for fold in folds:
        assert not {subjects[n] for n in fold.train} & {subjects[n] for n in fold.evaluation}
    first = subject_kfold(subjects, 2, mode)
    for once, again in zip(first, folds[:2], strict=True):
        np.testing.assert_array_equal(once.evaluation, again.evaluation)


def test_repeats_divide_differently_under_their_own_names():
    subjects = [f"s{index:02d}" for index in range(40)]
    folds = subject_kfold(subjects, 4, repeats=3)
    assert [fold.name for fold in folds[3:5]] == ["repeat0_fold03", "repeat1_fold00"]
    parts = {tuple(fold.evaluation) for fold in folds}
    assert len(parts) == 12
    assert [fold.repeat for fold in folds] == [0] * 4 + [1] * 4 + [2] * 4
    assert [fold.name for fold in subject_kfold(subjects, 4)][0] == "fold00"


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 90), st.integers(1, 4), st.integers(0, 5), st.data())
def test_by_sequence_evaluates_every_clip_once_per_repeat(count, repeats, seed, data):
    k = data.draw(st.sampled_from([0, *range(2, min(count, 12) + 1)]))
    folds = by_sequence(count, k, seed, repeats)
    assert len({fold.name for fold in folds}) == len(folds) == repeats * (k or count)
    for repeat in range(repeats):
        own = [fold for fold in folds if fold.repeat == repeat]
        assert sorted(np.concatenate([fold.evaluation for fold in own])) == list(range(count))
        assert np.ptp([len(fold.evaluation) for fold in own]) <= 1
    for fold in folds:
        assert sorted([*fold.train, *fold.evaluation]) == list(range(count))
        assert fold.validation is None


def test_by_sequence_divides_at_random_and_again_for_every_repeat():
    folds = by_sequence(60, 5, repeats=3)
    assert len({tuple(fold.evaluation) for fold in folds}) == 15
    assert [fold.name for fold in folds[4:6]] == ["repeat0_fold04", "repeat1_fold00"]
    assert any((np.diff(fold.evaluation) != 5).any() for fold in folds)
    again, other = by_sequence(60, 5, repeats=3), by_sequence(60, 5, seed=1)
    for first, second in zip(folds, again, strict=True):
        np.testing.assert_array_equal(first.evaluation, second.evaluation)
    assert (folds[0].evaluation != other[0].evaluation).any()
    assert other[0].name == "fold00"


@pytest.mark.parametrize("k", [1, 5, -1])
def test_wrong_number_of_sequence_folds_is_refused(k):
    with pytest.raises(ValueError, match=r"2 to 4 clips; .* set --config.protocol.folds"):
        by_sequence(4, k)


def test_make_folds_divides_by_sequence():
    config = base.get_config().protocol
    config.update(name="by_sequence", folds=2, repeats=2, seed=7)
    folds = make_folds(config, ["one"] * 6, ["train"] * 6)
    expected = by_sequence(6, 2, 7, 2)
    assert [fold.name for fold in folds] == [fold.name for fold in expected]
    assert [fold.evaluation.tolist() for fold in folds] == [
        fold.evaluation.tolist() for fold in expected
    ]


def test_repeated_holdout_is_refused():
    config = base.get_config().protocol
    config.update(name="holdout", repeats=2)
    with pytest.raises(ValueError, match="repeats=2: a holdout has one division"):
        make_folds(config, ["a", "b"], ["train", "test"])
