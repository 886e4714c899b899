"""GEMEP-FERA on miniature trees: recordings, subjects and emotions, missing parts."""

import pytest

from preprocess.clip import Clip, SourceError
from preprocess.datasets import fera
from preprocess.pipeline import Outcome
from preprocess.report import make_report
from tests.official_trees import STRAY, fera_recording, listed, put, reason


def table(root, *rows, head="recording,subject,emotion"):
    put(root / "subjects.csv", "\n".join([head, *rows]) + "\n")


def usable(clips: dict[str, Clip]) -> dict[str, tuple]:
    """Subject, emotion and split of the clips that can be used."""
    return {k: (c.subject, c.label, c.split) for k, c in clips.items() if not c.problem}


@pytest.fixture(params=["folders", "videos"])
def frames(request):
    return {"folders": ("2.jpg", "0010.jpg", "1.jpg"), "videos": None}[request.param]


def test_table_gives_subject_and_emotion(tmp_path, frames):
    fera_recording(tmp_path, "a", frames)
    fera_recording(tmp_path, "B.2", frames)
    fera_recording(tmp_path, "x-Relief-3", frames)
    for name in STRAY:
        put(tmp_path / "training" / name)
    table(tmp_path, "a,p1, joy", "training/b.2.avi ,p2,ANGER", "X-relief-3,p1,")
    clips = listed(fera, tmp_path)
    assert usable(clips) == {
        "training/B.2": ("p2", "anger", "train"),
        "training/a": ("p1", "joy", "train"),
        "training/x-Relief-3": ("p1", "relief", "train"),
    }
    source = clips["training/a"].source
    if frames is None:
        assert source == tmp_path / "training" / "a.avi"
    else:
        assert [path.name for path in source] == ["1.jpg", "2.jpg", "0010.jpg"]


@pytest.mark.parametrize("name", ["Subjects.CSV", "SUBJECTS.csv"])
def test_table_is_found_in_any_case(tmp_path, name):
    fera_recording(tmp_path, "p1-joy-1", None)
    put(tmp_path / name, "recording,subject,emotion\np1-joy-1,someone,anger\n")
    put(tmp_path / f"._{name}", "\0")
    assert usable(listed(fera, tmp_path)) == {"training/p1-joy-1": ("someone", "anger", "train")}


def test_two_tables_in_one_folder_are_refused(tmp_path):
    fera_recording(tmp_path, "p1-joy-1", None)
    table(tmp_path, "p1-joy-1,someone,anger")
    put(tmp_path / "Subjects.CSV", "recording,subject\n")
    if len(list(tmp_path.glob("[Ss]ubjects*"))) < 2:
        pytest.skip("names differ in case alone: one file here")
    with pytest.raises(SourceError, match="two tables, Subjects.CSV and subjects.csv: keep one"):
        listed(fera, tmp_path)


def test_semicolons_may_separate_the_table(tmp_path):
    for name in ("a, b", "c"):
        fera_recording(tmp_path, name, None)
    rows = ["recording;subject;emotion", "a, b; p1;joy", "c;p2;fear"]
    (tmp_path / "subjects.csv").write_text("\r\n".join(rows), encoding="utf-8-sig")
    assert usable(listed(fera, tmp_path)) == {
        "training/a, b": ("p1", "joy", "train"),
        "training/c": ("p2", "fear", "train"),
    }


def test_without_a_table_names_give_subject_and_emotion(tmp_path):
    fera_recording(tmp_path, "p3-sadness-1", None)
    fera_recording(tmp_path, "p4-Fear-2")
    fera_recording(tmp_path, "007", ("p5-joy-001.jpg", "p5-joy-002.jpg"))
    clips = listed(fera, tmp_path)
    assert usable(clips) == {
        "training/007": ("p5", "joy", "train"),
        "training/p3-sadness-1": ("p3", "sadness", "train"),
        "training/p4-Fear-2": ("p4", "fear", "train"),
    }


def test_recordings_of_the_test_part_need_an_emotion(tmp_path):
    for folder in ("training", "test"):
        for name in ("001", "002"):
            fera_recording(tmp_path, name, None, folder)
    table(tmp_path, "001,p1,joy", "002,p2,fear", "test/002,p9,anger")
    assert usable(listed(fera, tmp_path)) == {
        "training/001": ("p1", "joy", "train"),
        "training/002": ("p2", "fear", "train"),
        "test/002": ("p9", "anger", "test"),
    }


@pytest.mark.parametrize(
    ("name", "row", "wanted"),
    [
        ("p1-joy-1", "p1-joy-1,p1,", ""),
        ("p1-joy-1", None, "unknown subject: subjects.csv has no row of training/p1-joy-1"),
        ("p1-joy-1", "p1-joy-1,,joy", "unknown subject: subjects.csv has no subject for"),
        ("p1-joy-1", "p1-joy-1", "unknown subject"),
        ("p1-joy-1", "p1-joy-1,p1,rage", r"unknown emotion: .*'rage' \(subjects.csv\) is none of"),
        ("p1-rage-1", "p1-rage-1,p1,", r"unknown emotion: .*'rage' \(second part of the name"),
        ("p1", "p1,p1,", "unknown emotion: training/p1: ''"),
        ("p1-joy-1", "p1-joy-1,p1,joy\nP1-joy-1.avi,p2,joy", "listed twice"),
    ],
)
def test_incomplete_row_is_listed(tmp_path, name, row, wanted):
    fera_recording(tmp_path, name, None)
    fera_recording(tmp_path, "good", None)
    table(tmp_path, *filter(None, [row]), "good,p1,anger")
    clips = listed(fera, tmp_path)
    assert reason(clips["training/good"]) == ""
    problem = clips[f"training/{name}"].problem
    if not wanted:
        assert problem is None
    else:
        with pytest.raises(type(problem), match=wanted):
            raise problem


def test_incomplete_name_is_listed(tmp_path):
    for name in ("p1-joy-1", "nothing", "-joy-2", "p1-rage-3"):
        fera_recording(tmp_path, name)
    fera_recording(tmp_path, "p1-fear-4", ("picture.jpg",))
    assert {k: reason(c) for k, c in listed(fera, tmp_path).items()} == {
        "training/-joy-2": "unknown subject",
        "training/nothing": "unknown emotion",
        "training/p1-fear-4": "no frames",
        "training/p1-joy-1": "",
        "training/p1-rage-3": "unknown emotion",
    }


def test_rows_without_a_recording_are_listed(tmp_path):
    fera_recording(tmp_path, "a", None)
    table(tmp_path, "a,p1,joy", "b,p2,fear", ",,", "test/c,p3,joy")
    clips = listed(fera, tmp_path)
    assert {name: reason(clip) for name, clip in clips.items()} == {
        "training/a": "", "b": "not in the tree", "test/c": "not in the tree",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"name,emotion\na,joy\n", "no column recording and no column subject: its first line"),
        (b"recording,emotion\na,joy\n", "no column subject: its first line must be"),
        (b"", "no column recording and no column subject"),
        (b"recording\tsubject\temotion\na\tp1\tjoy\n", ".*separated by commas or semicolons"),
        (b"recording,subject,emotion\na,\xff,joy\n", "is not a CSV in UTF-8"),
    ],
)
def test_table_that_cannot_be_read_stops_with_its_name(tmp_path, content, words):
    fera_recording(tmp_path, "a", None)
    (tmp_path / "subjects.csv").write_bytes(content)
    with pytest.raises(SourceError, match=rf"subjects.csv .*{words}"):
        listed(fera, tmp_path)


def test_table_may_lie_beside_the_source(tmp_path):
    put(tmp_path / "train" / "notes" / "readme.txt")
    for part in ("emotion", "au"):
        fera_recording(tmp_path / part, "p1-joy-1")
    # named too deep, and the table beside the source
    assert usable(listed(fera, tmp_path / "au" / "training"))
    table(tmp_path / "au" / "training", "p1-joy-1,someone,anger")
    (clip,) = listed(fera, tmp_path / "au").values()
    assert (clip.subject, clip.label) == ("someone", "anger")


def test_other_than_seven_actors_are_noted():
    clips = [Clip(str(n), f"p{n}", "joy", None) for n in range(7)]
    people = len({clip.subject for clip in clips})
    assert f"{len(clips)} recordings of {people} people (3D Inception-ResNet paper: 87 of 7)" in (
        fera.notes(clips)
    )
    assert not any("actors" in note for note in fera.notes(clips))
    (actors,) = (note for note in fera.notes(clips[1:]) if "actors" in note)
    assert actors.startswith("6 actors in train instead of the release's 7")


def test_images_are_counted_beside_those_of_the_paper():
    outcomes = [Outcome(frames=1200), Outcome("no face", frames=50), Outcome(frames=34)]
    clips = [Clip(str(n), "p", "joy", None) for n in range(3)]
    for images in (fera.IMAGES, 0):
        notes = make_report({}, clips, outcomes, ("joy",), None, images)["notes"]
        found = [note for note in notes if "images" in note]
        assert found == ["1,234 images (3D Inception-ResNet paper: about 7,000)"] * bool(images)
