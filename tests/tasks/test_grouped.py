"""Tables by fold and by person, and intervals over people."""

import tracemalloc

import numpy as np
import pytest

from fer_jax import metrics
from fer_jax.tasks import grouped
from fer_jax.tasks.classification import measures

NAMES = ("anger", "joy", "rest")


def counts_of(clips: int, classes: int = 3) -> np.ndarray:
    labels, predicted = np.random.default_rng(0).integers(0, classes, (2, clips))
    return measures.count(range(classes), labels, predicted)


def test_people_of_each_group_are_counted_once():
    folds = np.array(["fold10", "fold02", "fold02", "fold02", "fold10", "fold03"])
    people = np.array(["b", "a", "a", "c", "b", "a"])
    np.testing.assert_array_equal(grouped._people_of(folds, people), [2, 1, 1])


@pytest.mark.parametrize("folds", [3, 12])
def test_intervals_over_folds_are_those_of_resampled_people(folds):
    people = np.arange(96) % 12
    # of three folds, repeated with other people in each
    fold = people % folds if folds == 12 else np.where(np.arange(96) < 48, people, people + 1) % 3
    counts = counts_of(96)

    def scores(weight):
        drawn = np.stack([
            np.stack([np.tensordot(row[fold == own], counts[fold == own], 1)
                      for own in range(folds)])
            for row in weight
        ])  # fmt: skip
        found = metrics.confusion_scores(drawn).values()
        return np.stack([metrics.mean_known(each) for each in found], -1)

    low, high = metrics.bootstrap_interval(scores, groups=people)
    names = [f"p{person:02d}" for person in people]  # whose order is that of the numbers
    found = grouped.intervals_over_folds(measures, NAMES, counts, names, fold)
    assert list(found) == ["accuracy", "balanced accuracy", "macro F1"]
    np.testing.assert_allclose(list(found.values()), np.stack([low, high], -1), rtol=1e-9)
    assert (high > low).all()


def test_intervals_with_one_person_left_out_at_a_time_need_memory_in_proportion_to_people():
    peaks = []
    for number in (100, 400):
        people = np.arange(2 * number) % number
        counts = counts_of(2 * number, classes=7)
        tracemalloc.start()
        grouped.intervals_over_folds(measures, range(7), counts, people, people)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 5 * peaks[0]
