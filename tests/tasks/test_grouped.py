"""Tables by fold and by person: how many people a group has."""

import numpy as np

from fer_jax.tasks import grouped


def test_people_of_each_group_are_counted_once():
    folds = np.array(["fold10", "fold02", "fold02", "fold02", "fold10", "fold03"])
    people = np.array(["b", "a", "a", "c", "b", "a"])
    np.testing.assert_array_equal(grouped._people_of(folds, people), [2, 1, 1])
