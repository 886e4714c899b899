"""Batches of clips in memory: gathered, shuffled, padded."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_jax.data.clips import epoch_indices, padded_parts, take


def test_take_gathers_any_shape(make_clips):
    clips = make_clips()
    batch = take(clips, np.array([[3, 1], [0, 2]]))
    assert batch["landmarks"].shape == (2, 2, 4, 68, 2)
    np.testing.assert_array_equal(batch["label"], clips.labels[[[3, 1], [0, 2]]])
    assert batch["weight"].tolist() == [[1, 1], [1, 1]]


def test_epoch_numbers_shuffle_without_repeats():
    train = np.arange(100, 123)
    first = epoch_indices(train, 4, 5, (0, 1))
    assert first.shape == (4, 5) and len(set(first.flat)) == 20 and set(first.flat) <= set(train)
    np.testing.assert_array_equal(first, epoch_indices(train, 4, 5, (0, 1)))
    other = epoch_indices(train, 4, 5, (0, 2))
    assert (first != other).any() and set(first.flat) != set(other.flat)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 50), min_size=1, max_size=4), st.integers(1, 16))
def test_padded_parts_keep_the_order_and_weigh_nothing(counts, batch_size):
    parts = [np.arange(200, 200 + count) for count in counts]
    chosen, weight = padded_parts(parts, batch_size)
    shape = (len(counts), -(-max(counts) // batch_size), batch_size)
    assert chosen.shape == weight.shape == shape
    for part, indices, weights in zip(parts, chosen, weight, strict=True):
        assert indices[weights > 0].tolist() == part.tolist()
        assert weights.sum() == len(part)
        assert set(indices.flat) <= (set(part) or {0})
