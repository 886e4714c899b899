"""Votes for emotions as valence, arousal and dominance: worked examples, options, no votes."""

import numpy as np
import pytest

from fer_jax.faces.emotion_ratings import DIMENSIONS, FERPLUS_EMOTIONS, vad

ORDER = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt")


def votes(**given):
    """One row of votes; those not named are 0."""
    assert set(given) <= set(ORDER)
    return [[given.get(emotion, 0) for emotion in ORDER]]


def test_emotions_keep_the_order_of_the_file():
    assert FERPLUS_EMOTIONS == ORDER
    assert DIMENSIONS == ("valence", "arousal", "dominance")


@pytest.mark.parametrize(
    ("row", "wanted"),
    [
        (votes(neutral=4, sadness=1, anger=3, disgust=2), (3.706, 5.028, 5.202)),
        (votes(neutral=6, surprise=1, sadness=1), (5.260, 4.0375, 5.5525)),
        (votes(happiness=10), (8.21, 6.49, 6.63)),
        (votes(happiness=1), (8.21, 6.49, 6.63)),
        (votes(fear=5, contempt=5), (3.305, 6.12, 4.175)),
    ],
)
def test_vad_of_worked_examples(row, wanted):
    np.testing.assert_allclose(vad(row), [wanted], rtol=1e-6)
    assert vad(row).dtype == np.float32


def test_vad_of_one_emotion_is_its_rating():
    ratings = [
        (5.50, 3.45, 5.81), (8.21, 6.49, 6.63), (7.47, 7.47, 6.11), (1.61, 4.13, 3.45),
        (2.85, 7.17, 5.55), (2.45, 5.42, 4.34), (2.76, 6.96, 3.22), (3.85, 5.28, 5.13),
    ]  # fmt: skip
    np.testing.assert_allclose(vad(10 * np.eye(8)), ratings, rtol=1e-6)


def test_vad_without_votes_is_unknown():
    rated = vad(votes(happiness=3) + votes() + votes(sadness=1))
    assert np.isnan(rated).all(1).tolist() == [False, True, False]
    np.testing.assert_allclose(rated[2], (1.61, 4.13, 3.45), rtol=1e-6)
    assert vad(np.zeros((0, 8))).shape == (0, 3)


@pytest.mark.parametrize("words", [{"anger": "anger"}, [("anger", "anger")], (("anger", "anger"),)])
def test_vad_takes_other_words_for_an_emotion(words):
    np.testing.assert_allclose(vad(votes(anger=2), words), [(2.34, 7.63, 5.50)], rtol=1e-6)
    np.testing.assert_allclose(vad(votes(anger=2)), [(2.85, 7.17, 5.55)], rtol=1e-6)


def test_vad_takes_another_dominance_of_neutral():
    row = votes(neutral=1, happiness=1)
    np.testing.assert_allclose(vad(row, (), 3.45), [(6.855, 4.97, 5.04)], rtol=1e-6)
    np.testing.assert_allclose(vad(row), [(6.855, 4.97, 6.22)], rtol=1e-6)


def test_unrated_emotions_and_words_are_named():
    with pytest.raises(ValueError, match="no emotion 'joy' is rated, but neutral, happiness"):
        vad(votes(), {"joy": "happy"})
    with pytest.raises(ValueError, match="no word 'cross' is rated, but happy, surprised"):
        vad(votes(), {"anger": "cross"})
    with pytest.raises(ValueError, match=r"votes are \[N, 8\], got \[2, 10\]"):
        vad(np.zeros((2, 10)))
    with pytest.raises(ValueError, match=r"got \[8\]"):
        vad(np.zeros(8))
