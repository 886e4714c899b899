"""Who counts as a person of a clip, and the numbers."""

import pytest

from fer_jax.faces.people import lasting, person_numbers


@pytest.mark.parametrize(
    ("seen", "frames", "people", "numbers"),
    [
        ({}, 9, [], {}),
        ({0: 9}, 9, [0], {0: 1}),
        ({1: 5, 0: 9}, 9, [0, 1], {0: 1, 1: 2}),  # by the frame in which they begin
        ({0: 9, 1: 2, 2: 3}, 9, [0, 2], {0: 1, 2: 2, 1: 3}),  # a blink has no number before people
        ({0: 1, 1: 1}, 1, [0, 1], {0: 1, 1: 2}),  # a picture
        ({0: 2}, 9, [], {0: 1}),
    ],
)
def test_people_are_numbered_as_they_begin(seen, frames, people, numbers):
    assert lasting(seen, frames) == people
    assert person_numbers(seen, frames) == numbers
