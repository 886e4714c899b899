"""Every dataset with an official tree: counts, duplicates, labels, roots, parts, bad files."""

import pathlib
import re
import shutil
from collections.abc import Callable
from typing import NamedTuple

import pytest

from fer_jax.data import how_to_prepare
from fer_jax.data.how_to_prepare import not_prepared_message
from fer_jax.experiments import configs
from fer_jax.synthetic.clips import write_video
from preprocess.__main__ import main
from preprocess.clip import Clip, SourceError
from preprocess.datasets import DATASETS
from preprocess.prepare import _without_doubles
from tests.conftest import ROOT
from tests.official_trees import (
    afew_tree,
    blank,
    bp4d_task,
    ckplus_sequence,
    disfa_labels,
    disfa_video,
    drawn,
    examples,
    fera_recording,
    ferplus_tree,
    listed,
    mmi_session,
    options_of,
    oulu_tree,
    prepare,
    put,
    reason,
    write_faces,
    write_landmarks,
)


class Case(NamedTuple):
    """A dataset with an official tree.

    Attributes:
      tree: writes two or more clips with empty files.
      clips: ids of the first and the last clip, and their number.
      layout: words of the layout that an error shows.
      entered: folders of the tree that may be named as the source.
      double: error about a tree that exists twice.
      unlabelled: adds a clip without a label, None if the folder or the name is the label.
      reason: why that clip cannot be used.
      owner: who distributes the data.
      official: clips of the release, split -> number in each class.
      whole: words of the note on another number.
      parts: folder -> name of this part in the error if it is missing.
    """

    tree: Callable
    clips: tuple[str, str, int]
    layout: tuple[str, ...]
    entered: tuple[str, ...]
    double: str
    unlabelled: Callable | None
    reason: str
    owner: str
    official: dict = {}
    whole: str = ""
    parts: dict = {}


def ckplus_tree(root):
    ckplus_sequence(root, "S005_001", [1, 2])
    ckplus_sequence(root, "S010_004", [1, 2, 5, 11], "7.0")


def mmi_tree(root):
    mmi_session(root, 9, "S002-001")
    mmi_session(root, 10, "S001-001", "6")


def bp4d_tree(root):
    bp4d_task(root, "F001_T1")
    bp4d_task(root, "M002_T6", (9, 10, 100))


def bp4d_without_codes(root):
    bp4d_task(root, "F003_T1")
    (root / "AU_OCC" / "F003_T1.csv").unlink()


def fera_tree(root):
    fera_recording(root, "p0-joy-1")
    fera_recording(root, "p1-anger-2", ("0009.jpg", "0010.jpg"))


def disfa_tree(root):
    for subject in ("SN001", "SN032"):
        disfa_labels(root, subject, [{6: 2, 12: 3}] * 12)
        disfa_video(root, subject, blank(12))


def ravdess_tree(root):
    for name in ("01-01-03-02-01-01-12", "01-01-08-01-02-02-01"):
        put(root / f"Actor_{name[-2:]}" / f"{name}.csv")


def ferplus_without_votes(root):
    for name, row in (("fer2013new", f"Training,fer0000099.png{',0' * 8},5,5"),
                      ("fer2013", f"0,{' '.join(['7'] * 2304)},Training")):  # fmt: skip
        path = root / f"{name}.csv"
        put(path, f"{path.read_text()}{row}\n")


CASES = {
    "ravdess": Case(
        ravdess_tree, ("01-01-03-02-01-01-12", "01-01-08-01-02-02-01", 2),
        ("3255102", "FacialTracking_Actors_01-24.zip", "CC BY-NC-SA"), (),
        "duplicate clip", None, "", "Zenodo record 3255102",
    ),
    "ckplus": Case(
        ckplus_tree, ("S005_001", "S010_004", 2),
        ("cohn-kanade-images/S005/001/S005_001_00000011.png", "_emotion.txt"),
        ("cohn-kanade-images", "Emotion"), "CK+ folder of images exists 2 times",
        lambda root: ckplus_sequence(root, "S005_002", [1, 2], None), "no label",
        "the owners of the Cohn-Kanade database",
        {"train": (45, 18, 59, 25, 69, 28, 83)}, "327 labelled of 593 sequences",
        {"cohn-kanade-images": "images", "Emotion": "emotion labels"},
    ),
    "oulu": Case(
        lambda root: oulu_tree(root / "OriginalImg", ["P001"]), ("P001_Anger", "P001_Surprise", 6),
        ("OriginalImg/VL/Strong/P001/Anger/000.jpeg", "P080"),
        ("OriginalImg", "OriginalImg/VL", "OriginalImg/VL/Strong"), "VL/Strong exists 2 times",
        None, "", "the University of Oulu", {"train": (80,) * 6}, "480 sequences",
    ),
    "afew": Case(
        afew_tree, ("Train_AFEW/Angry/000000000", "Val_AFEW/Surprise/000000006", 15),
        ("Train_AFEW/Angry/000046280.avi", "Val_AFEW/Angry/"), ("Train_AFEW", "Val_AFEW/Happy"),
        "AFEW folder of split train exists 2 times", None, "", "the EmotiW organisers",
        {"train": (133, 74, 81, 150, 144, 117, 74), "validation": (64, 40, 46, 63, 63, 61, 46)},
        "773 in train", {"Train_AFEW": "split train", "Val_AFEW": "split validation"},
    ),
    "mmi": Case(
        mmi_tree, ("9/S002-001", "10/S001-001", 2), ("Sessions/1767/S031-001.avi",),
        ("Sessions",), "duplicate clip",
        lambda root: mmi_session(root, 11, emotion=None), "no label",
        "the owners of the MMI facial expression database",
        {"train": (32, 31, 28, 42, 32, 40)}, "205",
    ),
    "bp4d": Case(
        bp4d_tree, ("F001_T1", "M002_T6", 2),
        ("AU_OCC/F001_T1.csv", "Sequences/F001/T1/2440.jpg", "Binghamton University"),
        ("AU_OCC", "Sequences"), "BP4D folder of occurrence codes exists 2 times",
        bp4d_without_codes, "no codes", "Binghamton University",
        parts={"AU_OCC": "occurrence codes", "Sequences": "images"},
    ),
    "fera": Case(
        fera_tree, ("training/p0-joy-1", "training/p1-anger-2", 2),
        ("training/RECORDING/*.jpg", "subjects.csv"), ("training",),
        "GEMEP-FERA folder of training recordings exists 2 times",
        lambda root: fera_recording(root, "p2"), "unknown emotion", "the owners of GEMEP-FERA",
        {"train": (32, 31, 30, 31, 31)}, "155 training recordings",
        {"training": "training recordings"},
    ),
    "disfa": Case(
        disfa_tree, ("SN001_0001-0012", "SN032_0001-0012", 2),
        ("Videos_LeftCamera/LeftVideoSN001_comp.avi", "SN001_au1.txt"),
        ("ActionUnit_Labels", "Videos_LeftCamera"),
        "DISFA folder of videos of the left camera exists 2 times",
        lambda root: disfa_video(root, "SN033", blank(12)), "no codes", "the owners of DISFA",
        parts={"Videos_LeftCamera": "videos of the left camera",
               "ActionUnit_Labels": "action unit labels"},
    ),
    "ferplus": Case(
        ferplus_tree, ("fer0000000", "fer0000048", 49),
        ("FER2013Train/fer0000000.png", "fer2013.csv (Kaggle"), (),
        "fer2013new.csv of FER+ exists 2 times",
        ferplus_without_votes, "no votes", "github.com/microsoft/FERPlus",
    ),
}  # fmt: skip
with_cases = pytest.mark.parametrize("name", CASES)


def test_every_dataset_with_a_tree_is_here():
    assert {*CASES, "synthetic", "manifest"} == set(DATASETS)


@pytest.mark.parametrize("name", DATASETS)
def test_dataset_explains_itself(name):
    assert DATASETS[name].__doc__.strip()


@with_cases
def test_tree_gives_its_clips(name, tmp_path):
    dataset = DATASETS[name]
    CASES[name].tree(tmp_path)
    clips = listed(dataset, tmp_path)
    assert (list(clips)[0], list(clips)[-1], len(clips)) == CASES[name].clips
    assert not any(clip.problem or clip.note for clip in clips.values())
    classes = getattr(dataset, "class_names", lambda options: dataset.CLASSES)
    assert {clip.label for clip in clips.values()} <= {*classes(options_of(dataset))}


@with_cases
def test_source_may_be_above_or_inside_the_tree(name, tmp_path, monkeypatch):
    root = tmp_path / "downloads" / "release"
    CASES[name].tree(root)
    put(tmp_path / "downloads" / "readme.txt")
    wanted = {clip_id: clip.source for clip_id, clip in listed(DATASETS[name], root).items()}
    for source in (root.parent, *(root / inside for inside in CASES[name].entered)):
        found = {c.clip_id: c.source for c in listed(DATASETS[name], source).values()}
        assert found == wanted, source
    for inside in CASES[name].entered:
        monkeypatch.chdir(root / inside)
        assert listed(DATASETS[name], ".").keys() == wanted.keys()


@with_cases
def test_tree_that_exists_twice_is_refused(name, tmp_path):
    for part in ("one", "two"):
        CASES[name].tree(tmp_path / part)
    dataset = DATASETS[name]
    if CASES[name].double != "duplicate clip":
        with pytest.raises(SourceError, match=re.escape(CASES[name].double)) as caught:
            list(dataset.clips(tmp_path, options_of(dataset)))
        assert all(str(tmp_path / part) in str(caught.value) for part in ("one", "two"))
        assert "keep one, or name it as --source" in str(caught.value)
        return
    clips = _without_doubles(dataset.clips(tmp_path, options_of(dataset)))
    reasons = [reason(clip) for clip in clips]
    assert reasons.count("") == reasons.count("duplicate clip") == CASES[name].clips[2]


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.unlabelled])
def test_clip_without_label_is_listed_with_the_reason(name, tmp_path):
    CASES[name].tree(tmp_path)
    before = listed(DATASETS[name], tmp_path)
    CASES[name].unlabelled(tmp_path)
    after = listed(DATASETS[name], tmp_path)
    (new,) = after.keys() - before.keys()
    assert reason(after.pop(new)) == CASES[name].reason
    assert after == before


@with_cases
def test_other_tree_shows_what_was_expected_and_what_was_found(name, tmp_path, capsys):
    for path in ("images/happy/a.png", "train.csv", ".hidden", "Zip/one.zip", "Zip/two.zip"):
        put(tmp_path / "set" / path)
    arguments = [name, "--source", str(tmp_path / "set"), "--out", str(tmp_path / "out")]
    assert main(arguments) == 1
    shown = " ".join(capsys.readouterr().err.split())
    for words in CASES[name].layout:
        assert words in shown
    if name != "ravdess":  # whose files may lie anywhere
        assert "Zip/ (one.zip, two.zip), images/ (happy/), train.csv" in shown
    assert ".hidden" not in shown and not (tmp_path / "out").exists()


@pytest.mark.parametrize(("name", "part"), [(n, p) for n, c in CASES.items() for p in c.parts])
def test_missing_part_of_the_tree_is_named(name, part, tmp_path):
    CASES[name].tree(tmp_path)
    shutil.rmtree(tmp_path / part)
    with pytest.raises(SourceError, match="is not the .* tree: no folder of") as caught:
        listed(DATASETS[name], tmp_path)
    for folder, words in CASES[name].parts.items():
        assert (f"no folder of {words} (with" in str(caught.value)) == (folder == part)
    assert CASES[name].layout[0] in str(caught.value)


@with_cases
def test_missing_source_shows_the_layout(name, tmp_path):
    put(tmp_path / "archive.zip")
    cases = {None: "--source is missing", tmp_path / "no": "does not exist|is not a folder"}
    cases[tmp_path / "archive.zip"] = "is a file, not a folder|is not a folder"
    for source, words in cases.items():
        with pytest.raises(SourceError, match=words) as caught:
            listed(DATASETS[name], source)
        assert CASES[name].layout[0] in str(caught.value)


@with_cases
def test_dataset_that_is_not_prepared_says_how(name):
    message = not_prepared_message(f"data/{name}", name, 48)
    assert CASES[name].owner in message
    assert f"python -m preprocess {name} --source DIR --out data/{name} --crops " in message


def test_new_dataset_needs_only_its_file(tmp_path, monkeypatch):
    monkeypatch.setattr(how_to_prepare, "PREPROCESS", tmp_path)
    put(tmp_path / "datasets" / "casme.py")
    message = not_prepared_message("data/casme", "casme")
    assert message.endswith("preprocess casme --source DIR --out data/casme")
    assert "casme --help says what it reads" in message


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.official])
def test_other_than_the_official_number_of_clips_is_noted(name):
    dataset, case = DATASETS[name], CASES[name]
    clips = [
        Clip(f"{split} {label} {index}", f"p{index % 7}", label, None, split)
        for split, counts in case.official.items()
        for label, count in zip(dataset.CLASSES, counts, strict=True)
        for index in range(count)
    ]
    assert not any("official" in note for note in dataset.notes(clips))
    (note,) = (note for note in dataset.notes(clips[:-1]) if "official" in note)
    split, count = list(case.official)[-1], case.official[list(case.official)[-1]][-1]
    last = f"{split} {dataset.CLASSES[-1]} {count - 1} instead of {count}"
    assert case.whole in note and note.endswith(f": {last}")


def show_face(clip: Clip) -> int:
    """Writes a face into the files of a clip; returns how many frames show it."""
    source = clip.source
    if isinstance(source, tuple):
        write_faces(source, 1)
        return len(source)
    path = pathlib.Path(getattr(source, "path", source))
    if path.suffix == ".csv":
        write_landmarks(path, range(4))
        return 4
    frames = getattr(source, "count", 4)
    write_video(path, drawn(1, frames), 25.0)
    return frames


@with_cases
def test_files_that_cannot_be_read_cost_their_clips_only(name, tmp_path, capsys, monkeypatch):
    """One clip of a tree of empty files gets a face; the tree is listed and prepared twice."""
    pytest.importorskip("dlib")
    dataset, source, out = DATASETS[name], tmp_path / "set", tmp_path / "out"
    CASES[name].tree(source)
    clip, count = list(listed(dataset, source).values())[-1], CASES[name].clips[2]
    frames, kept = (1, count) if name == "ferplus" else (show_face(clip), 1)
    assert main([name, "--source", str(source), "--dry-run"]) == 0
    assert f"{count} of {count} clips would be read" in capsys.readouterr().out
    assert not out.exists()

    monkeypatch.chdir(ROOT)
    report = prepare(name, source, out)
    shown = capsys.readouterr().out
    (config,) = re.findall(r"--config (\w+)", shown.split("Next:")[1])
    assert config in configs.names()
    assert report["counts"]["kept"] == kept and report["counts"]["seen"] == count
    assert sum(report["dropped"].values()) == count - kept
    assert {*report["dropped"]} <= {"unreadable", "no landmark columns", "no face"}
    stored = examples(out)[clip.clip_id]
    assert stored["subject"].decode() == clip.subject
    assert stored["detected"].tolist() == [True] * frames
    classes = getattr(dataset, "class_names", lambda options: dataset.CLASSES)
    assert classes(options_of(dataset))[stored["label"]] == clip.label
    assert list(report["classes"]) == [*classes(options_of(dataset))]
    assert clip.split in report["splits"]
    again = prepare(name, source, out)
    assert again["counts"]["reused"] == (0 if name == "ferplus" else count)
    assert again["dropped"] == report["dropped"] and again["notes"] == report["notes"]
    capsys.readouterr()
