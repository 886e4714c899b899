"""CREMA-D: votes by what people were shown, names, rows that are no votes."""

import pytest

from preprocess.datasets import cremad
from tests.official_trees import cremad_tree, listed, reason


def test_votes_are_those_of_people_who_saw_the_face(tmp_path):
    cremad_tree(tmp_path)
    clips = listed(cremad, tmp_path, votes="face")
    assert clips["1001_DFA_ANG_XX"].votes == (7, 1, 0, 0, 0, 0)
    assert clips["1091_WSI_NEU_XX"].votes == (0, 1, 0, 0, 7, 0)
    both = listed(cremad, tmp_path, votes="both")
    assert both["1001_DFA_ANG_XX"].votes == (8, 1, 0, 0, 0, 0)
    assert {clip.subject for clip in both.values()} == {"1001", "1091"}
    assert [clip.label for clip in both.values()] == ["anger", "neutral"]


@pytest.mark.parametrize("cell", ["x", "-1", "", "1.5", "9999"])
def test_impossible_votes_cost_their_clip_only(tmp_path, cell):
    cremad_tree(tmp_path)
    table = tmp_path / "processedResults" / "tabulatedVotes.csv"
    table.write_text(table.read_text().replace('"200001",7', f'"200001",{cell}'))
    first, second = listed(cremad, tmp_path, votes="face").values()
    assert reason(first) == "impossible votes" and second.problem is None


def test_other_files_are_no_clips(tmp_path):
    cremad_tree(tmp_path)
    for name in ("1001_DFA_ANG_XX_cut.flv", "1001_DFA_CALM_XX.flv", "1003_DFA_ANG_XX.txt"):
        (tmp_path / "VideoFlash" / name).touch()
    (tmp_path / "VideoFlash" / "1091_WSI_NEU_XX.flv").rename(tmp_path / "1091_WSI_NEU_XX.mp4")
    clips = listed(cremad, tmp_path, votes="face")
    assert [*clips] == ["1001_DFA_ANG_XX", "1091_WSI_NEU_XX"]
