"""Synthetic clips as a dataset: people, splits, drawn crops."""

import collections

import pytest

from preprocess.clip import SourceError
from preprocess.datasets import synthetic
from tests.official_trees import options_of


def test_synthetic_clips_are_those_of_the_generator():
    chosen = options_of(synthetic, subjects=5, clips_per_subject=7, seed=3)
    clips = list(synthetic.clips(None, chosen))
    assert len({clip.clip_id for clip in clips}) == 35
    people = collections.defaultdict(set)
    for clip in clips:
        people[clip.subject].add(clip.split)
    assert all(len(splits) == 1 for splits in people.values())
    assert {clip.split for clip in clips} == {"train", "validation", "test"}
    made = clips[10].source.make()
    assert (made.clip_id, made.subject) == (clips[10].clip_id, clips[10].subject)
    assert made.label == clips[10].label
    sequence = clips[10].source.load()
    assert sequence.action_units.shape == (len(made.landmarks), len(synthetic.ACTION_UNITS))


def test_synthetic_crops_are_cut_from_rendered_faces():
    chosen = options_of(synthetic, subjects=3, clips_per_subject=1)
    chosen.crops = 64
    assert all(hasattr(clip.source, "frames") for clip in synthetic.clips(None, chosen))
    assert chosen.render  # asking for both is the same request


@pytest.mark.parametrize("arguments", [{"subjects": 2}, {"difficulty": 1.5}])
def test_synthetic_refuses_what_cannot_be_made(arguments):
    with pytest.raises(SourceError):
        list(synthetic.clips(None, options_of(synthetic, **arguments)))
