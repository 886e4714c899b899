"""Manifests: rows, labels, subjects, splits, and landmark files that are drawn."""

import dataclasses
import os
import re
import subprocess
import sys

import numpy as np
import pytest

from fer_jax.data.load import NotPreparedError, load_clips
from fer_jax.faces.labels import COLUMN_PREFIXES, PREDICTION_COLUMNS
from fer_jax.faces.landmarks import MEAN_FACE
from fer_jax.faces.sequence import ClipError
from fer_jax.predict.windows import columns
from fer_jax.synthetic.clips import make_clip
from fer_jax.tasks import TASKS
from preprocess.__main__ import main
from preprocess.clip import Clip, SourceError
from preprocess.datasets import manifest
from preprocess.datasets.manifest import DrawnPerson
from preprocess.pipeline import cache_file
from preprocess.read import read_clip
from preprocess.report import named
from preprocess.store import read_report
from tests.conftest import ROOT
from tests.official_trees import examples, options_of, write_openface


def listed(tmp_path, text: str, encoding="utf-8", **chosen):
    for name in ("a.mp4", "b.mp4", "ü x.mp4"):
        (tmp_path / name).touch()
    path = tmp_path / "manifest.csv"
    path.write_text(text, encoding=encoding)
    return list(manifest.clips(path, options_of(manifest, **chosen)))


def test_manifest_rows(tmp_path):
    header = "subject, path ,label,split,fps,note\n"
    rows = "p1,a.mp4,joy,train,,x\np2,ü x.mp4, calm  now,test,12.5,\n"
    first, second = listed(tmp_path, header + rows)
    assert (first.clip_id, first.subject, first.label) == ("a.mp4", "p1", "joy")
    assert (first.split, first.fps, first.source) == ("train", 0, tmp_path / "a.mp4")
    assert (second.label, second.split, second.fps) == ("calm now", "test", 12.5)
    assert first.problem is second.problem is None


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("a.mp4,p1,,", "empty label"),
        ("a.mp4,,joy,", "empty subject"),
        (",p1,joy,", "empty path"),
        ("a.mp4", "empty subject"),
        ("c.mp4,p1,joy,", "missing file"),
        ("a.mp4,p1,joy,all", "unknown split"),
        ("a.mp4,p1,joy,../x", "unknown split"),
        ("a.mp4,p1,joy, or calm,train,25", "too many cells"),
        ("./b.mp4,p1,joy,", "duplicate path"),
        ("a.mp4,p1,joy,train,many", "impossible fps"),
        ("a.mp4,p1,joy,train,90000", "impossible fps"),
        ("a.mp4,p1,joy,train,0.001", "impossible fps"),
    ],
)
def test_bad_row_is_listed_with_its_problem(tmp_path, row, reason):
    text = f"path,subject,label,split,fps\nb.mp4,p0,joy,,\n{row}\n"
    good, bad = listed(tmp_path, text)
    assert good.problem is None
    assert bad.problem.reason == reason
    assert "line 3" in f"{bad.clip_id} {bad.problem}"


def test_votes_of_several_people_are_read_by_class(tmp_path):
    header = "path,subject,label,votes_Joy, VOTES_calm  now\n"
    first, second, third = listed(
        tmp_path, f"{header}a.mp4,p1,Joy,7,\nb.mp4,p1,x,3.0,4\nü x.mp4,p,x,,\n"
    )
    assert first.votes == (7, 0) and second.votes == (3, 4)
    assert third.problem.reason == "no votes"
    options = options_of(manifest, source=tmp_path / "manifest.csv")
    assert manifest.vote_names(options) == ("Joy", "calm  now")
    (tmp_path / "manifest.csv").write_text("path,subject,label\na.mp4,p,x\n")
    assert manifest.vote_names(options) == ()


@pytest.mark.parametrize("cell", ["-1", "0.5", "many", "1e9", "nan"])
def test_impossible_votes_drop_their_row(tmp_path, cell):
    header = "path,subject,label,votes_a,votes_b\n"
    good, bad = listed(tmp_path, f"{header}a.mp4,p,x,2,1\nb.mp4,p,x,4,{cell}\n")
    assert good.problem is None and bad.problem.reason == "impossible votes_b"


@pytest.mark.parametrize(
    "columns_of_votes", ["votes_", "votes_a", "votes_a,votes_", "votes_a,Votes_a"]
)
def test_columns_of_votes_that_name_no_classes_are_refused(tmp_path, columns_of_votes):
    with pytest.raises(SourceError, match="votes_"):
        listed(tmp_path, f"path,subject,label,{columns_of_votes}\na.mp4,p,x,1,1\n")


def test_clips_with_votes_train_distributions(tmp_path):
    lines = ["path,subject,label,votes_calm,votes_joy"]
    for index, votes in enumerate(("5,3", "1,1", "4,4", "0,9")):
        write_landmarks(tmp_path / f"{index}.csv")
        lines.append(f"{index}.csv,p{index},x,{votes}")
    source, out = tmp_path / "clips.csv", tmp_path / "out"
    source.write_text("\n".join(lines))
    assert main(["manifest", "--source", str(source), "--out", str(out), "--workers=1"]) == 0
    options = {"frames": 2, "rule": "ends", "target": "distribution"}
    clips = load_clips(out, **options)
    assert clips.classes == ("calm", "joy") and clips.clip_ids == [
        "0.csv",
        "1.csv",
        "2.csv",
        "3.csv",
    ]
    np.testing.assert_allclose(clips.labels[:, 0], [[5 / 8, 3 / 8], [0.5, 0.5], [0.5, 0.5], [0, 1]])
    np.testing.assert_array_equal(clips.labels[:, 1], [[1, 0], [0, 0], [0, 0], [0, 1]])
    assert len(load_clips(out, **options, vote_rule="argmax")) == 4
    own = load_clips(out, frames=2, rule="ends")
    assert own.classes == ("x",) and len(own) == 4  # the labels are those of the manifest
    with pytest.raises(
        NotPreparedError, match="valence and arousal are averaged from those for neu"
    ):
        load_clips(out, 2, "ends", target="votes", crop_size=None)


def test_stated_rate_that_contradicts_the_file_is_noted(tmp_path):
    write_landmarks(path := tmp_path / "a.csv")
    own = read_clip(Clip("a", "p", "joy", path))[0].fps
    for stated, noted in ((own, False), (1.01 * own, False), (2 * own, True)):
        sequence, notes = read_clip(Clip("a", "p", "joy", path, fps=stated))
        assert sequence.fps == own and ("are stated for it" in notes["note"]) == noted


def test_quote_that_is_not_closed_drops_its_row_alone(tmp_path):
    text = 'path,subject,label\n"a.mp4,p1,joy\nb.mp4,p2,joy\n\nü x.mp4,p3,"calm\nnow"\n'
    clips = listed(tmp_path, text)
    assert [clip.clip_id.split(":")[0] for clip in clips] == [
        "line 2",
        "b.mp4",
        "ü x.mp4",
        "line 6",
    ]
    assert clips[0].problem.reason == "empty subject" and clips[1].problem is None


def hostile_paths(folder) -> dict[str, str]:
    """Path in a manifest -> reason for which its row is dropped."""
    (folder / "loop").symlink_to(folder / "loop")
    (folder / "dangling.mp4").symlink_to(folder / "nothing")
    os.mkfifo(folder / "pipe.mp4")
    return {
        "a\0.mp4": "unprintable path",
        "\x1b[2J.mp4": "unprintable path",
        "loop": "unreadable",
        "loop/a.mp4": "unreadable",
        "x" * 300: "unreadable",
        "x" * 5000: "unreadable",
        "a.mp4/b": "unreadable",
        "dangling.mp4": "missing file",
        "pipe.mp4": "unreadable",
        "/dev/zero": "unreadable",
    }


@pytest.mark.parametrize("column", ["path", "action_units"])
def test_hostile_path_drops_its_row(tmp_path, column):
    paths = hostile_paths(tmp_path)
    rows = [f"{p},p1,joy," if column == "path" else f"a.mp4,p1,joy,{p}" for p in paths]
    for row, wanted in zip(rows, paths.values(), strict=True):
        text = f"path,subject,label,action_units\n{row}\nb.mp4,p2,joy,\n"
        bad, good = listed(tmp_path, text)
        assert good.problem is None
        assert bad.clip_id.startswith("line 2: ") and bad.clip_id.isprintable()
        if column == "path" or "\0" not in row and "\x1b" not in row:
            assert bad.problem.reason == wanted, row
        else:
            assert bad.problem.reason in ("unreadable", "missing file")


@pytest.mark.parametrize(
    "name, what",
    [
        *(
            (name, "is named like a column")
            for name in ("start", "end", "label", "frames", "std_joy", "set_joy")
        ),
        ("No  Face", "is how predictions call a window"),
        ("joy|pride", "has a |, which separates the classes of a prediction set"),
    ],
)
def test_class_that_predictions_could_not_tell_is_refused(tmp_path, capsys, name, what):
    write_landmarks(tmp_path / "a.csv")
    write_landmarks(tmp_path / "b.csv")
    (clip_list := tmp_path / "clips.csv").write_text(
        f"path,subject,label\na.csv,p1,{name}\nb.csv,p2,joy\n"
    )
    assert main(["manifest", "--source", str(clip_list), "--out", str(tmp_path / "out")]) == 1
    assert f"error: class {' '.join(name.split())} {what}" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_columns_of_predictions_are_all_reserved():
    for task in TASKS:
        assert set(columns((), task)) <= set(PREDICTION_COLUMNS), "faces/labels.py lists them all"
        own = {"A", *(f"{prefix}_A" for prefix in COLUMN_PREFIXES)}
        assert set(columns(("A",), task)) <= own.union(PREDICTION_COLUMNS)


def test_problem_is_shown_with_one_line_number_and_one_path(tmp_path, capsys):
    (tmp_path / "torn.mp4").write_bytes(b"no video")
    text = "path,subject,label\ngone.mp4,p1,joy\ntorn.mp4,p2,\ntorn.mp4,p3,joy\n"
    (clip_list := tmp_path / "clips.csv").write_text(text)
    arguments = ["manifest", "--source", str(clip_list)]
    wanted = [
        f"dropped: line 2: gone.mp4: missing file: there is none in {tmp_path}",
        "dropped: line 3: torn.mp4: empty label: every clip needs one",
    ]
    assert main([*arguments, "--dry-run"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert [line for line in shown if line.startswith("dropped")] == wanted
    name = str(tmp_path / "torn.mp4")
    for problem in (f"{name} is no video", f"{name}: Permission denied"):
        assert named("torn.mp4", ClipError("unreadable", problem)) == f"unreadable: {problem}"
    assert named("mp4", ClipError("unreadable", name)) == f"mp4: unreadable: {name}"


def test_splits_have_several_names(tmp_path):
    (clip,) = listed(tmp_path, "path,subject,label\na.mp4,p1,joy\n", "utf-8-sig")
    assert clip.split == "train"
    header = "path,subject,label,split\n"
    clips = listed(tmp_path, f"{header}a.mp4,p,joy,Train\nb.mp4,p,joy,VAL\nü x.mp4,p,joy,dev\n")
    assert [clip.split for clip in clips] == ["train", "validation", "validation"]
    (clip,) = listed(tmp_path, f"{header}a.mp4,p1,joy,tset\n")
    assert clip.clip_id == "line 2: a.mp4"
    assert "'tset' is not one of train, validation, test" in str(clip.problem)


def test_comma_in_a_label_needs_quotes(tmp_path):
    text = 'path,subject,label\na.mp4,p1,calm, now\nb.mp4,p1,"calm, now"\nü x.mp4,p1,joy, ,\n'
    torn, quoted, padded = listed(tmp_path, text)
    assert torn.problem.reason == "too many cells" and "quote" in str(torn.problem)
    assert quoted.problem is None and quoted.label == "calm, now"
    assert padded.problem is None  # empty cells at the end are ignored


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"file,subject,label\na,b,c\n", "no column path"),
        (b"path\na\n", "no column subject and no column label"),
        (b"", "no column path"),
        (b"subject;path;label\np1;a.mp4;joy\n", "separate them by commas"),
        (b"path\tsubject\tlabel\na.mp4\tp1\tjoy\n", "separate them by commas"),
        (b"path,label,subject,Label\na,b,c,d\n", "two columns label"),
        (b"path,subject,label,\xfcber\na,b,c,d\n", "is not a CSV in UTF-8"),
        ("path,subject,label\na,b,c\n".encode("utf-16"), "is not a CSV in UTF-8"),
    ],
)
def test_other_files_are_refused_with_the_columns(tmp_path, content, message):
    path = tmp_path / "manifest.csv"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=message):
        list(manifest.clips(path, options_of(manifest)))


@pytest.mark.parametrize("column", range(4))
def test_row_that_is_no_utf8_is_dropped_alone(tmp_path, column):
    (tmp_path / "a.mp4").touch()
    cells = [b"b.mp4", b"p2", b"joy", b"train"]
    cells[column] = b"J\xf6rg"
    text = b"path,subject,label,split\na.mp4,p1,calm,\n" + b",".join(cells) + b"\n"
    (tmp_path / "manifest.csv").write_bytes(text)
    good, bad = manifest.clips(tmp_path / "manifest.csv", options_of(manifest))
    assert good.problem is None and bad.problem.reason == "not in UTF-8"
    assert bad.clip_id.startswith("line 3: ") and bad.clip_id.isprintable()


def test_row_names_a_person_of_its_file(tmp_path):
    text = "path,subject,label,person\na.mp4,p1,joy,1\na.mp4,p2,calm,2.0\nb.mp4,p3,joy,\n"
    first, second, third = listed(tmp_path, text)
    assert [clip.clip_id for clip in (first, second, third)] == [
        "a.mp4 (person 1)", "a.mp4 (person 2)", "b.mp4",
    ]  # fmt: skip
    assert [clip.person for clip in (first, second, third)] == [1, 2, 0]
    assert (second.subject, second.label, second.source) == ("p2", "calm", tmp_path / "a.mp4")
    assert not any(clip.problem or clip.alone for clip in (first, second, third))
    alone = listed(tmp_path, text, people="all")
    assert [clip.alone for clip in alone] == [False, False, True]
    files = [cache_file(clip, tmp_path, "") for clip in (first, second, third, alone[2])]
    assert len(set(files)) == 4


@pytest.mark.parametrize(
    ("rows", "reason"),
    [([cell], "impossible person") for cell in ("Anna", "0", "-1", "1.5", "nan", "1e9")]
    + [(cells.split("/"), "duplicate path") for cells in ("1/1", "/2", "2/", "2/2.0", "1/2/2")],
)
def test_row_that_names_nobody_or_somebody_twice_is_dropped(tmp_path, rows, reason):
    text = "path,subject,label,person\n" + "".join(f"a.mp4,p1,joy,{person}\n" for person in rows)
    *good, bad = listed(tmp_path, text)
    assert not any(clip.problem for clip in good) and bad.problem.reason == reason


def test_people_of_a_landmark_file_are_clips_of_their_own(tmp_path, capsys):
    face_of = [MEAN_FACE * 40 + [x, 240] for x in (300.0, 500.0)]
    frames = np.repeat(np.arange(1, 9), 2)
    for name in "ab":
        write_openface(tmp_path / f"{name}.csv", face_of * 8, frame=frames, face_id=[0, 1] * 8)
    rows = ["a.csv,p1,joy,1", "a.csv,p2,calm,2", "a.csv,p3,calm,3", "b.csv,p4,joy,"]
    (path := tmp_path / "m.csv").write_text("\n".join(["path,subject,label,person", *rows]))
    arguments = ["manifest", "--source", str(path), "--out", str(tmp_path / "out"), "--workers=1"]
    assert main([*arguments, "--people", "all"]) == 0
    report = read_report(tmp_path / "out")
    first, second, missing, torn = report["clips"]
    assert [row["person"] for row in (first, second)] == [1, 2] and first["other_faces"] == 1
    assert [one["person"] for one in first["people"]] == [1, 2]
    assert first["people"][1]["box"][0] > 400 and first["people"][1]["frames"] == 8
    assert missing["reason"] == "no such person" and "but person 1 in" in missing["detail"]
    assert torn["reason"] == "several people" and "person 2 in frames 1 to 8" in torn["detail"]
    assert report["tracks"] == {"found": 2, "used": 2, "files_with_several": 1}
    assert re.search(
        r"people in files +│ 2 found, 2 used; several in 1 file", capsys.readouterr().out
    )
    clips = examples(tmp_path / "out")
    middles = [clips[f"a.csv (person {n})"]["landmarks"][..., 0].mean() for n in (1, 2)]
    np.testing.assert_allclose(middles, [points[:, 0].mean() for points in face_of], atol=0.01)
    assert main([*arguments, "--overwrite"]) == 0  # the largest of b.csv; a.csv is not read again
    report = read_report(tmp_path / "out")
    assert report["counts"]["reused"] == 3 and report["tracks"]["used"] == 3
    assert any("1 clip of several people: the largest" in note for note in report["notes"])


def test_drawn_landmark_file_shows_the_person_of_its_row(tmp_path):
    points = np.repeat(np.stack([MEAN_FACE * 40 + [x, 240] for x in (300.0, 500.0)]), 4, axis=0)
    points[4:, :, 1] += 80 * (points[4:, :, 1] > points[4:, 30:31, 1])  # a longer face
    write_openface(tmp_path / "a.csv", points, frame=[*range(4)] * 2, face_id=[0] * 4 + [1] * 4)
    text = "path,subject,label,person\na.csv,p,joy,1\na.csv,p,joy,2\na.csv,p,joy,9\n"
    first, second, missing = listed(tmp_path, text, render=True)
    assert not np.array_equal(pixels(first.source)[0], pixels(second.source)[0])
    with pytest.raises(ClipError, match="no such person"):
        missing.source.frames()
    assert len({cache_file(clip, tmp_path, "") for clip in (first, second, missing)}) == 3


def write_landmarks(path, lost=(), wild=()) -> np.ndarray:
    """Writes an OpenFace CSV of 8 frames, far from any 256 x 256 frame; returns its landmarks."""
    points = 4 * make_clip(0, 0, 3, frames=8).true_landmarks + 700
    points[list(lost)] = 0
    points[list(wild)] *= 40
    numbers = np.arange(3, 11)
    write_openface(path, points, frame=numbers, timestamp=numbers / 12.5)
    return points


def pixels(source) -> list:
    return [image for _, image in source.frames()]


def test_landmark_files_of_a_manifest_are_drawn_when_asked(tmp_path):
    write_landmarks(tmp_path / "a.csv", lost=[2, 5])
    text = "path,subject,label,fps\na.csv,p1,joy,25\nb.mp4,p1,joy,\nc.csv,p1,joy,\n"
    plain, video, missing = listed(tmp_path, text)
    assert plain.source == tmp_path / "a.csv"
    drawn, *others = listed(tmp_path, text, render=True)
    assert [clip.source for clip in others] == [video.source, None]
    assert dataclasses.replace(drawn, source=plain.source) == plain
    frames = drawn.source.frames()
    assert (frames.fps, frames.size, frames.announced) == (12.5, (256, 256), 8)
    images = dict(frames)
    assert list(images) == list(range(3, 11))
    assert all(image.shape == (256, 256, 3) for image in images.values())
    empty = [index for index, image in images.items() if image.std(axis=(0, 1)).max() == 0]
    assert empty == [5, 8]  # the face that was lost is not drawn


def test_same_subject_looks_the_same_in_every_clip_and_every_run(tmp_path):
    for name in ("a", "b"):
        write_landmarks(tmp_path / f"{name}.csv")
    mine, again, other = (
        DrawnPerson(tmp_path / f"{name}.csv", subject)
        for name, subject in (("a", "pé"), ("b", "pé"), ("a", "q"))
    )
    assert np.array_equal(pixels(mine), pixels(again))
    assert np.abs(pixels(mine)[0].astype(int) - pixels(other)[0]).mean() > 10
    code = (
        "import sys, pathlib; from preprocess.datasets.manifest import DrawnPerson; "
        "_, image = next(iter(DrawnPerson(pathlib.Path(sys.argv[1]), 'pé').frames())); "
        "print(int(image.astype(int).sum()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(mine.path)],
        env={**os.environ, "PYTHONHASHSEED": "7"}, cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout.strip() == str(pixels(mine)[0].astype(int).sum()), done.stderr


def test_leap_of_the_tracker_is_not_drawn(tmp_path):
    points = write_landmarks(tmp_path / "a.csv", wild=[3])
    assert np.abs(points[3]).max() > 10_000
    images = pixels(DrawnPerson(tmp_path / "a.csv", "p"))
    assert [image.std() > 20 for image in images] == [index != 3 for index in range(8)]


def test_landmark_file_without_a_face_cannot_be_drawn(tmp_path):
    write_landmarks(tmp_path / "a.csv", lost=range(8))
    with pytest.raises(ClipError, match="no face: none in 8 frames"):
        DrawnPerson(tmp_path / "a.csv", "p").frames()


@pytest.mark.parametrize("source", [None, "/does/not/exist"])
def test_missing_source(source):
    with pytest.raises(SourceError, match="source|exist"):
        list(manifest.clips(source, options_of(manifest)))


@pytest.mark.parametrize("arguments", [["--dry-run"], ["--workers", "1"]])
def test_no_report_is_named_where_none_is_written(tmp_path, capsys, arguments):
    rows = "".join(f"gone{n}.mp4,p1,joy\n" for n in range(12))
    (tmp_path / "clips.csv").write_text("path,subject,label\n" + rows)
    out = tmp_path / "out"
    code = main(
        ["manifest", "--source", str(tmp_path / "clips.csv"), "--out", str(out), *arguments]
    )
    shown = "".join(capsys.readouterr())
    assert "... and 2 more" in shown and not (out / "report.json").exists()
    assert "report.json" not in shown
    listing = "0 of 12 clips would be read; dropped: missing file 12\n" in shown
    assert (code, listing) == ((0, True) if "--dry-run" in arguments else (1, False))
