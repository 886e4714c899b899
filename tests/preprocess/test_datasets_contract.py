"""Every dataset with an official tree: counts, duplicates, labels, roots, parts, bad files."""

import dataclasses
import pathlib
import re
import shutil

import av
import pytest

from fer_jax.data import how_to_prepare
from fer_jax.data.how_to_prepare import not_prepared_message
from fer_jax.experiments import configs
from fer_jax.synthetic.clips import write_video
from preprocess.__main__ import main
from preprocess.clip import Clip, SourceError
from preprocess.datasets import DATASETS
from preprocess.prepare import _vote_problem, _without_doubles
from tests.conftest import ROOT
from tests.official_trees import (
    drawn,
    examples,
    listed,
    options_of,
    prepare,
    put,
    reason,
    write_faces,
    write_landmarks,
)
from tests.preprocess.cases import CASES, DOUBLE

with_cases = pytest.mark.parametrize("name", CASES)


@pytest.mark.parametrize("name", sorted({*DATASETS} - {"synthetic", "manifest"}))
def test_dataset_has_a_case(name):
    assert name in CASES, (
        f"the contract of datasets is not tested: add a row {name!r} to CASES in "
        "tests/preprocess/cases.py, a miniature of its files"
    )


def test_every_case_is_of_a_dataset():
    assert {*CASES} <= set(DATASETS)


@pytest.mark.parametrize("name", DATASETS)
def test_dataset_explains_itself(name):
    assert (DATASETS[name].__doc__ or "").strip(), f"{name} lacks its docstring, the help text"


def classes_of(dataset, clips: dict[str, Clip]) -> list[str]:
    """Class names in the order of their indices; those found where the reader names none."""
    found = sorted({clip.label for clip in clips.values()})
    named = getattr(dataset, "class_names", lambda options: getattr(dataset, "CLASSES", found))
    return [*named(options_of(dataset))]


@with_cases
def test_tree_gives_its_clips(name, tmp_path):
    dataset = DATASETS[name]
    CASES[name].tree(tmp_path)
    clips = listed(dataset, tmp_path)
    assert (list(clips)[0], list(clips)[-1], len(clips)) == CASES[name].clips
    assert not any(clip.problem or clip.note for clip in clips.values())
    assert {clip.label for clip in clips.values()} <= {*classes_of(dataset, clips)}


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
    if CASES[name].double != DOUBLE:
        with pytest.raises(SourceError, match=re.escape(CASES[name].double)) as caught:
            list(dataset.clips(tmp_path, options_of(dataset)))
        assert all(str(tmp_path / part) in str(caught.value) for part in ("one", "two"))
        assert "keep one, or name it as --source" in str(caught.value)
        return
    clips = _without_doubles(dataset.clips(tmp_path, options_of(dataset)))
    reasons = [reason(clip) for clip in clips]
    assert reasons.count("") == reasons.count(DOUBLE) == CASES[name].clips[2]


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


def write_flash(path, images) -> None:
    """Writes Flash video, 25 frames a second."""
    with av.open(str(path), "w") as file:
        stream = file.add_stream("flv", rate=25)
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt, stream.bit_rate = "yuv420p", 4_000_000
        for image in images:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        file.mux(stream.encode())


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
    if path.is_dir():  # a folder of frames
        files = sorted(path.iterdir())
        write_faces(files, 1)
        return len(files)
    frames = getattr(source, "count", 4)
    if path.suffix == ".flv":
        write_flash(path, drawn(1, frames))
        return frames
    write_video(path, drawn(1, frames), 25.0)
    return frames


@with_cases
def test_files_that_cannot_be_read_cost_their_clips_only(name, tmp_path, capsys, monkeypatch):
    """One clip of a tree of empty files gets a face; the tree is listed and prepared twice."""
    pytest.importorskip("dlib")
    dataset, source, out = DATASETS[name], tmp_path / "set", tmp_path / "out"
    CASES[name].tree(source)
    clips = listed(dataset, source)
    clip, count = list(clips.values())[-1], CASES[name].clips[2]
    classes = classes_of(dataset, clips)
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
    assert classes[stored["label"]] == clip.label
    assert list(report["classes"]) == classes
    assert clip.split in report["splits"]
    again = prepare(name, source, out)
    assert again["counts"]["reused"] == (0 if name == "ferplus" else count)
    assert again["dropped"] == report["dropped"] and again["notes"] == report["notes"]
    capsys.readouterr()


@pytest.mark.parametrize(
    ("votes", "other", "message"),
    [
        ((3.0, float("nan")), (0.0,), "nan for fear: no number of people"),
        ((float("inf"), -1.0), (0.0,), "inf for joy, -1 for fear: no number of people"),
        ((3.0, 1.0), (float("nan"),), "nan for NF: no number of people"),
        ((3.0,), (0.0,), "1 votes, not one for each of joy, fear"),
        (None, (0.0,), "0 votes, not one for each of joy, fear"),
    ],
)
def test_votes_that_are_no_counts_drop_their_clip(votes, other, message):
    names = {"votes": ("joy", "fear"), "other_votes": ("NF",)}
    clip = Clip("a", "p", "joy", None, votes=(3.0, 1.0), other_votes=(0.0,))
    assert _vote_problem(clip, names) is None
    problem = _vote_problem(dataclasses.replace(clip, votes=votes, other_votes=other), names)
    assert problem.reason == "impossible votes" and problem.detail == message


def test_report_lists_clips_whose_votes_are_no_counts(tmp_path, monkeypatch):
    """As a dataset of one's own may read them."""
    CASES["ferplus"].tree(tmp_path / "source")
    dataset = DATASETS["ferplus"]
    clips = dataset.clips

    def damaged(source, options):
        first, *others = clips(source, options)
        return [dataclasses.replace(first, votes=(float("nan"), *first.votes[1:])), *others]

    monkeypatch.setattr(dataset, "clips", damaged)
    report = prepare("ferplus", tmp_path / "source", tmp_path / "out")
    (dropped,) = (row for row in report["clips"] if row["reason"] == "impossible votes")
    assert dropped["detail"] == "nan for neutral: no number of people"
