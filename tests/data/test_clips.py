"""Batches of clips in memory: gathered, shuffled, padded."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_jax.data.clips import epoch_order, padded_parts, take


def test_take_gathers_any_shape(make_clips):
    clips = make_clips()
    batch = take(clips, np.array([[3, 1], [0, 2]]))
    assert batch["landmarks"].shape == (2, 2, 4, 68, 2)
    np.testing.assert_array_equal(batch["label"], clips.labels[[[3, 1], [0, 2]]])
    assert batch["weight"].tolist() == [[1, 1], [1, 1]]


def test_epoch_order_shuffles_without_repeats():
    first, weight, _ = epoch_order(23, 4, 5, (0, 1))
    assert first.shape == (4, 5) and len(set(first.flat)) == 20 and set(first.flat) <= {*range(23)}
    assert weight is None
    np.testing.assert_array_equal(first, epoch_order(23, 4, 5, (0, 1)).indices)
    other = epoch_order(23, 4, 5, (0, 2)).indices
    assert (first != other).any() and set(first.flat) != set(other.flat)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 60), st.integers(1, 8), st.integers(1, 12))
def test_epoch_order_of_too_few_pads_with_weight_0(count, steps, batch_size):
    count = max(count, steps)
    chosen, weight, _ = epoch_order(count, steps, batch_size, (0, 1))
    if count >= steps * batch_size:
        assert weight is None
        return
    assert sorted(chosen[weight > 0]) == list(range(count))  # each once
    sizes = weight.sum(1)
    assert (sizes > 0).all()  # a step without a clip would divide by 0
    if count > (steps - 1) * batch_size:
        assert (sizes[:-1] == batch_size).all()
    else:
        assert np.ptp(sizes) <= 1
    for batch, own in zip(chosen, weight, strict=True):
        # BatchNorm sees the clips of this batch only, each about equally often
        assert set(batch) == set(batch[own > 0])
        assert np.ptp(np.unique(batch, return_counts=True)[1]) <= 1


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
