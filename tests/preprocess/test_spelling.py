"""People and classes that may be one: what is noted, what is not."""

import pytest

from preprocess.__main__ import main
from preprocess.spelling import alike_classes, alike_people, notes


@pytest.mark.parametrize(
    "names",
    [
        ("001", "1"), ("S01", "s01"), ("001", "1", "S01", "s01"), ("p 1", "p  1"), ("p_1", "P-01"),
        ("1.0", "1"), ("Ａnna", "anna"), ("Anna", "Аnna"), ("José", "Jose"), ("p1", "p1\u200b"),
        ("p01_s02", "P1 S2"), ("subject1", "S01", "sub-1"), ("Participant 7", "p07"), ("1,0", "1"),
        ("Smith, Anna", "anna smith"), ("\u0661", "1"), ("Zoe\u0308", "Zo\xeb"),
    ],
)  # fmt: skip
def test_people_spelt_alike_are_grouped(names):
    assert alike_people({*names, "other"}) == [sorted(names)]


@pytest.mark.parametrize(
    "names",
    [("p1", "p2"), ("p1", "c1"), ("10", "1"), ("p11", "p1 1"), ("S1", "S10"), ("anna", "hanna")],
)
def test_other_people_are_not(names):
    assert alike_people({*names}) == []


@pytest.mark.parametrize(
    "names",
    [
        ("Happy", "happy", "HAPPY"), ("sad", "sad "), ("sad", "Sad", "sadness"), ("ｊoy", "joy"),
        ("happiness", "hapiness"), ("head_up", "Head up"), ("surprise", "suprise"),
        ("angry", "anger"), ("calm", "саlm"), ("contempt", "comtempt"), ("happy", "happyy"),
    ],
)  # fmt: skip
def test_classes_spelt_alike_are_grouped(names):
    assert alike_classes({*names, "neutral"}) == [sorted(names)]


@pytest.mark.parametrize(
    "names",
    [
        ("pain_1", "pain_2"), ("happiness", "happy_ud"), ("head_fwd", "head_lr", "head_ud"),
        ("fear", "tear"), ("anger", "contempt", "disgust", "fear", "happiness", "sadness"),
    ],
)  # fmt: skip
def test_other_classes_are_not(names):
    assert alike_classes({*names}) == []


def test_names_of_missing_values_are_noted():
    assert notes(["p1", "p2"], ["joy", "fear"]) == []
    people, classes = notes(["nan", "p2"], ["None", "joy", "N/A"])
    assert people.startswith("people called 'nan': if the value is missing")
    assert classes.startswith("classes called 'N/A', 'None':")


def test_many_groups_are_counted():
    names = [f"{letter}{number}" for letter in "ABCDEFGHIJKL" for number in ("1", "01")]
    (note,) = notes(names, ["joy"])
    assert "'A01', 'A1'; " in note and "and 2 more" in note


def test_notes_are_on_the_screen(real_data, capsys):
    source = real_data / "field" / "manifests" / "spell.csv"
    assert main(["manifest", "--source", str(source), "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert "note: people spelt alike: '001', '1', 'S01', 's01'" in shown
    assert "note: classes spelt alike: 'HAPPY', 'Happy', 'happy'; 'Sad', 'sad', 'sadness'" in shown


def test_missing_values_are_noted_on_the_screen(tmp_path, capsys):
    (tmp_path / "a.csv").touch()
    (tmp_path / "b.csv").touch()
    (tmp_path / "clips.csv").write_text("path,subject,label\na.csv,None,joy\nb.csv,p1,N/A\n")
    assert main(["manifest", "--source", str(tmp_path / "clips.csv"), "--dry-run"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "note: people called 'None': if the value is missing" in shown
    assert "note: classes called 'N/A': if the value is missing" in shown
