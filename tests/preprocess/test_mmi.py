"""MMI on miniature trees in the official layout: labels, views, include lists, two views."""

import os
import pickle
import shutil
import weakref

import numpy as np
import pytest

from fer_jax.faces.detector import LandmarkModelError
from fer_jax.faces.labels import MMI_CLASSES
from fer_jax.faces.sequence import ClipError
from fer_jax.synthetic.clips import make_clip, render
from fer_jax.synthetic.face_model import project
from preprocess.__main__ import main
from preprocess.clip import Clip, SourceError
from preprocess.datasets import mmi
from preprocess.datasets.frontal_view import FrontalHalf
from preprocess.pipeline import cache_file
from preprocess.read import needs_detection, read_clip
from tests.official_trees import (
    STRAY,
    drawn,
    error_of,
    examples,
    listed,
    mmi_session,
    options_of,
    prepare,
    put,
    reason,
)

FRAMES = 6


def only(source) -> Clip:
    (clip,) = listed(mmi, source).values()
    return clip


def test_codes_are_classes(tmp_path):
    for code in range(1, 7):
        mmi_session(tmp_path, 100 + code, f"S{code:03d}-001", str(code))
    clips = listed(mmi, tmp_path)
    assert [clip.label for clip in clips.values()] == [
        "anger", "disgust", "fear", "happiness", "sadness", "surprise",
    ] == list(mmi.CLASSES) == list(MMI_CLASSES)  # fmt: skip
    assert list(clips)[3] == "104/S004-001"
    first = clips["101/S001-001"]
    assert first.source == tmp_path / "Sessions" / "101" / "S001-001.avi"
    assert (first.subject, first.split, first.note) == ("S001", "train", "")


def test_labels_are_codes_or_names(tmp_path):
    for session, value in enumerate((" 4\t", "4.0", "04", "Happiness", " HAPPINESS")):
        mmi_session(tmp_path / "good", session, emotion=value)
    assert {clip.label for clip in listed(mmi, tmp_path / "good").values()} == {"happiness"}
    values = (None, "", "  ", "0", "7", "1.5", "-1", "nan", "boredom", "1;4")
    for session, value in enumerate(values):
        mmi_session(tmp_path / "bad", session, emotion=value)
    for clip in listed(mmi, tmp_path / "bad").values():
        assert reason(clip) == "no label" and "S001-001.xml" in clip.problem.detail
    (tmp_path / "bad" / "Sessions" / "1" / "S001-001.xml").unlink()
    problem = listed(mmi, tmp_path / "bad")["1/S001-001"].problem
    assert str(problem).startswith("no label: there is no S001-001.xml beside")


def test_names_of_xml_are_compared_without_case_and_namespace(tmp_path):
    mmi_session(tmp_path, 1, suffix=".AVI")
    put(
        tmp_path / "Sessions" / "1" / "S001-001.xml",
        '<a xmlns="urn:x"><METATAG name="emotion " value="2"/><b><Metatag Name="x"/></b></a>',
    )
    assert only(tmp_path).label == "disgust"


def test_two_emotions_in_one_file_are_refused(tmp_path):
    mmi_session(tmp_path, 1)
    path = tmp_path / "Sessions" / "1" / "S001-001.xml"
    tags = '<Metatag Name="Emotion" Value="{}"/><Metatag Name="Emotion" Value="{}"/>'
    put(path, f"<a>{tags.format(1, 2)}</a>")
    assert reason(only(tmp_path)) == "several labels"
    put(path, f"<a>{tags.format(2, '2.0')}</a>")
    assert only(tmp_path).label == "disgust"


@pytest.mark.parametrize(
    "content", ["", "<Recording><Metatag", "no xml", '<?xml version="1.0" encoding="x-no"?><a/>']
)
def test_broken_xml_drops_that_clip_only(tmp_path, content):
    mmi_session(tmp_path, 1)
    mmi_session(tmp_path, 2, "S002-001")
    mmi_session(tmp_path, 3, "S003-001")
    put(tmp_path / "Sessions" / "1" / "S001-001.xml", content)
    put(tmp_path / "Sessions" / "2" / "session.xml", content)
    reasons = [reason(clip) for clip in listed(mmi, tmp_path).values()]
    assert reasons == ["unreadable label", "unreadable view", ""]
    assert "S001-001.xml is not XML" in listed(mmi, tmp_path)["1/S001-001"].problem.detail


@pytest.mark.parametrize(
    ("video", "person", "subject", "note"),
    [
        ("S031-004", None, "S031", ""),
        ("s031-004", "31", "S031", ""),
        ("S031-004", " S31 ", "S031", ""),
        ("S031-004", "032", "S032", "SubjectID is S032, the file name has S031"),
        ("film", "7", "S007", ""),
        ("film", "Anna", "Anna", ""),
    ],
)
def test_subject_by_xml_then_by_file_name(tmp_path, video, person, subject, note):
    mmi_session(tmp_path, 1, video, person=person)
    clip = only(tmp_path)
    assert (clip.subject, clip.note, reason(clip)) == (subject, note, "")


def test_unknown_subject_is_listed(tmp_path):
    mmi_session(tmp_path, 1, "film")
    assert reason(only(tmp_path)) == "unknown subject"
    mmi_session(tmp_path, 1, "film", emotion=None)
    assert reason(only(tmp_path)) == "no label"
    mmi_session(tmp_path, 1, "film", person='1"/><Metatag Name="SubjectID" Value="2')
    assert str(only(tmp_path).problem) == "unknown subject: film.xml: several: S001, S002"


def test_views_are_read_from_session_xml(tmp_path):
    for session, view in enumerate(("0", " 0.0", "1", "2", "3", "side", None, "")):
        mmi_session(tmp_path, session, view=view)
    clips = list(listed(mmi, tmp_path).values())
    assert [reason(clip) for clip in clips] == [
        "", "", "profile view", "", "unknown view", "unknown view", "", "",
    ]  # fmt: skip
    assert [type(clip.source) is FrontalHalf for clip in clips].index(True) == 3
    assert needs_detection(clips[3]) and clips[2].label == "happiness"
    assert clips[6].note == "no session.xml: assumed frontal"
    assert clips[7].note == "session.xml names no view for S001-001.avi: assumed frontal"
    assert all(clips[k].source.name == "S001-001.avi" for k in (0, 1, 6, 7))


def test_every_video_of_a_session_is_listed(tmp_path):
    mmi_session(tmp_path, 5, "S002-001", "3")
    mmi_session(tmp_path, 5, "S002-002", "6")
    put(tmp_path / "Sessions" / "5" / "S002-003.avi")
    tracks = '<track filename="s002-001.AVI" view="1"/><track filename="S002-002.avi" view="0"/>'
    put(tmp_path / "Sessions" / "5" / "session.xml", f"<a>{tracks}<track type='audio'/></a>")
    clips = listed(mmi, tmp_path)
    assert {k: reason(clip) for k, clip in clips.items()} == {
        "5/S002-001": "profile view", "5/S002-002": "", "5/S002-003": "no label",
    }  # fmt: skip
    put(tmp_path / "Sessions" / "5" / "session.xml", "<a><track view='0'/><track view='1'/></a>")
    unclear = listed(mmi, tmp_path)["5/S002-002"]
    assert unclear.note == "session.xml names several views for S002-002.avi: assumed frontal"


def test_sessions_of_stills_are_listed_with_the_reason(tmp_path):
    stills = tmp_path / "Sessions" / "7"
    for name in ("S001-001.jpg", "S001-002.JPG", "session.xml", *STRAY, "._S001-001.avi"):
        put(stills / name)
    put(tmp_path / "Sessions" / "8" / "readme")
    clips = listed(mmi, tmp_path)
    assert {k: str(clip.problem) for k, clip in clips.items()} == {
        "7": f"no video: {stills} holds stills only (2)",
        "8": f"no video: {tmp_path / 'Sessions' / '8'} holds no .avi",
    }


def test_sessions_come_in_the_order_of_their_numbers(tmp_path):
    for session in ("10", "9", "0100", "2000"):
        mmi_session(tmp_path, session)
    put(tmp_path / "Sessions" / "index" / "S001-001.avi")
    sessions = [clip_id.split("/")[0] for clip_id in listed(mmi, tmp_path)]
    assert sessions == ["9", "10", "0100", "2000"]


def test_include_list_names_sessions_or_clips(tmp_path):
    for session, video in (("0012", "S001-001"), ("13", "S001-002"), ("14", "S002-001")):
        mmi_session(tmp_path, session, video)
    mmi_session(tmp_path, "14", "S002-002")
    put(tmp_path / "Sessions" / "15" / "S003-001.jpg")
    put(tmp_path / "list.txt", "\ufeff# of the paper\n12\n\n14/s002-002\n 0015 # stills\n16\n")
    clips = listed(mmi, tmp_path, include=tmp_path / "list.txt")
    assert {k: reason(clip) for k, clip in clips.items()} == {
        "0012/S001-001": "", "14/S002-002": "", "15": "no video", "16": "not in the tree",
    }  # fmt: skip
    assert f"{tmp_path / 'list.txt'} lists 16" in str(clips["16"].problem)
    put(tmp_path / "list.txt", "S001-002\r\nS002-001.avi")
    clips = listed(mmi, tmp_path, include=str(tmp_path / "list.txt"))
    assert list(clips) == ["13/S001-002", "14/S002-001"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot be read: No such file"),
        (b"\xff\xfe\x00", "is not a text in UTF-8"),
        (b"# nothing\n\n", "is empty"),
        (b"77\nS999-001\n", r"nothing that .*list.txt lists is in .*sessions 3 to 12"),
    ],
)
def test_include_list_that_cannot_be_used(tmp_path, content, words):
    for session in (3, 12):
        mmi_session(tmp_path, session)
    if content is not None:
        (tmp_path / "list.txt").write_bytes(content)
    with pytest.raises(SourceError, match=words):
        listed(mmi, tmp_path, include=tmp_path / "list.txt")


def test_parts_of_the_download_are_read_together(tmp_path, capsys):
    mmi_session(tmp_path / "mmi-page2", 9, "S002-001")
    mmi_session(tmp_path / "mmi-page10", 4, "S001-001")
    mmi_session(tmp_path / "__MACOSX" / "mmi-page10", 5, "S003-001")
    assert list(listed(mmi, tmp_path)) == ["4/S001-001", "9/S002-001"]
    mmi_session(tmp_path / "mmi-page3", 9, "S002-001")
    assert main(["mmi", "--source", str(tmp_path), "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert "2 of 3 clips would be read" in shown and "duplicate clip" in shown


@pytest.fixture(scope="module")
def two_views():
    """The same face from the front and nearly from the side, which the detector finds weakly."""
    pytest.importorskip("dlib")
    clip = make_clip(0, 2, 1, frames=FRAMES)
    shape = np.tile(clip.identity.shape, (FRAMES, 1, 1))
    turned = np.tile(np.radians([75.0, 0, 0]), (FRAMES, 1))
    side = project(shape, turned, 58.0, np.tile([128.0, 138.0], (FRAMES, 1)))
    front = list(render(clip.true_landmarks, clip.identity))
    return front, list(render(side, clip.identity)), clip.true_landmarks


def read_half(root, frames):
    """Reads frames that were written as a two-view session."""
    mmi_session(root, 1, view="2", frames=frames)
    return read_clip(only(root))


@pytest.mark.parametrize("frontal", ["left", "right"])
def test_frontal_half_is_kept(tmp_path, two_views, frontal):
    front, side, truth = two_views
    views = (front, side) if frontal == "left" else (side, front)
    sequence, notes = read_half(tmp_path, [np.hstack(pair) for pair in zip(*views, strict=True)])
    assert sequence.frame_size == (256, 256) and sequence.fps == 25.0
    assert sequence.detected.all() and error_of(sequence.landmarks, truth) < 0.08
    assert {"other_faces": 0, "rotation": 0, "note": "", "person": 1}.items() <= notes.items()


@pytest.mark.parametrize("turned", [1, 3])
@pytest.mark.parametrize("what", ["heads", "frame"])
def test_two_views_that_lie_on_their_side(tmp_path, two_views, what, turned):
    front, side, truth = two_views
    pairs = zip(side, front, strict=True)
    if what == "heads":  # both cameras were turned, their pictures are side by side
        frames = [np.hstack([np.rot90(view, turned) for view in pair]) for pair in pairs]
    else:  # the finished frame was turned
        frames = [np.rot90(np.hstack(pair), turned).copy() for pair in pairs]
    sequence, notes = read_half(tmp_path, frames)
    assert notes["rotation"] == 90 * turned and notes["other_faces"] == 0
    assert sequence.frame_size == (256, 256)
    assert error_of(sequence.landmarks[sequence.detected], truth[sequence.detected]) < 0.08


def test_halves_of_an_odd_frame(tmp_path, two_views):
    front, side, _ = two_views
    frames = [np.hstack([s, s[:, :1], f]) for s, f in zip(side, front, strict=True)]
    assert frames[0].shape[1] % 2
    sequence, _ = read_half(tmp_path, frames)
    assert sequence.frame_size == (256, 256) and sequence.detected.all()


def test_two_views_without_a_face(tmp_path, two_views):
    blank = [np.full((256, 512, 3), 100 + k, np.uint8) for k in range(3)]
    with pytest.raises(ClipError, match="no face: in neither half of 1 frames of .*S001-001.avi"):
        read_half(tmp_path, blank)


def test_half_is_streamed(tmp_path, two_views):
    front, side, _ = two_views
    pairs = [np.hstack(pair) for pair in zip(front, side, strict=True)]
    mmi_session(tmp_path, 1, view="2", frames=pairs * 5)
    alive, most, indices = weakref.WeakValueDictionary(), 0, []
    for index, image in only(tmp_path).source.frames():
        assert image.base is None  # holds no whole frame
        alive[index] = image
        most = max(most, len(alive))
        indices.append(index)
    assert indices == list(range(5 * FRAMES)) and most <= 2


def test_landmark_model_of_the_command_line_is_used(tmp_path, two_views):
    mmi_session(tmp_path, 1, view="2", frames=two_views[1][:1])
    options = options_of(mmi, landmark_model=tmp_path / "mine.dat")
    (clip,) = mmi.clips(tmp_path, options)
    with pytest.raises(LandmarkModelError, match="mine.dat does not exist"):
        clip.source.frames()


def test_changed_video_is_another_source(tmp_path):
    mmi_session(tmp_path / "a", 1, view="2")
    clip = only(tmp_path / "a")
    assert pickle.loads(pickle.dumps(clip.source)) == clip.source

    def cached(root):
        return cache_file(only(root), tmp_path, "model").name

    before = cached(tmp_path / "a")
    assert cached(tmp_path / "a") == before
    shutil.copytree(tmp_path / "a", tmp_path / "b")  # keeps the time
    assert cached(tmp_path / "b") == before
    video = clip.source.path
    put(video, "longer")
    assert cached(tmp_path / "a") != before
    video.write_text("")
    os.utime(video, ns=(0, video.stat().st_mtime_ns + 1_000_000))
    assert cached(tmp_path / "a") != before


def test_mmi_from_tree_to_dataset(tmp_path, capsys, two_views):
    front, side, truth = two_views
    root = tmp_path / "mmi"
    lying = [np.rot90(image).copy() for image in drawn(0, 4)]
    mmi_session(root, 1, "S001-001", "6", frames=lying)
    both = [np.hstack(pair) for pair in zip(side, front, strict=True)]
    mmi_session(root, 2, "S002-001", "4", view="2", frames=both)
    mmi_session(root, 3, "S003-001", "1", view=None, frames=drawn(1, 3))
    mmi_session(root, 4, "S003-002", "2", view="1", frames=side[:2])
    mmi_session(root, 5, "S004-001", "8", frames=side[:2])
    mmi_session(root, 6, "S004-002", "3")  # an empty file
    put(root / "Sessions" / "7" / "S004-003.jpg")
    put(tmp_path / "list.txt", "\n".join(map(str, range(1, 10))))
    report = prepare("mmi", root, tmp_path / "out", "--include", str(tmp_path / "list.txt"))
    reasons = ("profile view", "no label", "unreadable", "no video")
    assert report["dropped"] == {**dict.fromkeys(reasons, 1), "not in the tree": 2}
    assert any("205 labelled" in note for note in report["notes"])
    rows = {row["clip_id"]: row for row in report["clips"]}
    assert rows["1/S001-001"]["rotation"] == 90 and rows["2/S002-001"]["rotation"] == 0
    assert rows["3/S003-001"]["note"] == "no session.xml: assumed frontal"
    stored = examples(tmp_path / "out")
    labels = {clip_id: MMI_CLASSES[row["label"]] for clip_id, row in stored.items()}
    assert labels == {"1/S001-001": "surprise", "2/S002-001": "happiness", "3/S003-001": "anger"}
    half = stored["2/S002-001"]
    assert half["frame_size"].tolist() == [256, 256] and half["subject"] == b"S002"
    assert error_of(half["landmarks"], truth) < 0.08
    shown = capsys.readouterr().out
    assert "3/S003-001: no session.xml" in shown
