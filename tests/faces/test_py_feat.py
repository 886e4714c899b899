"""Landmark tables of py-feat: its versions, frames without a face, several people."""

import csv

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_jax.faces.landmark_csv import Recording, read_landmark_csv
from fer_jax.faces.landmarks import MEAN_FACE
from fer_jax.faces.sequence import ClipError
from tests.official_trees import write_openface
from tests.py_feat import COLUMNS, Row, write_py_feat

FACE = MEAN_FACE * 40 + [300, 200]  # 80 pixels wide


def rows(numbers=range(8), lost=(), **row) -> list[Row]:
    """Rows of a person whose face moves by a pixel from frame to frame."""
    return [Row(n, None if n in lost else FACE + [n, 0], **row) for n in numbers]


def people(frames=10, names=("Person_0", "Person_1"), apart=(300, 0)) -> list[Row]:
    """Rows of two people, in each frame in another order."""
    both = [
        [Row(n, FACE + [n, 0], names[0], 0.9), Row(n, FACE + apart, names[1], 0.8)]
        for n in range(frames)
    ]
    return [row for n, pair in enumerate(both) for row in pair[:: 1 if n % 3 else -1]]


def edited(path, change):
    """Rewrites the cells of a table; `change` takes its rows, the header first."""
    with path.open(newline="") as file:
        table = list(csv.reader(file))
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(change(table))
    return path


@pytest.mark.parametrize("version", COLUMNS)
def test_every_version_is_read(tmp_path, version):
    path = write_py_feat(tmp_path / "a.csv", rows(lost={2, 5}), version)
    sequence, others, notes = read_landmark_csv(path, 29.97, (1280, 720))
    assert sequence.frame_index.tolist() == list(range(8)) and others == 0 and notes == []
    assert np.flatnonzero(~sequence.detected).tolist() == [2, 5]
    np.testing.assert_allclose(sequence.landmarks[7], FACE + [7, 0], rtol=1e-6)
    assert not sequence.landmarks[[2, 5]].any()
    np.testing.assert_array_equal(sequence.confidence[[0, 2]], [0.99, np.nan])
    assert (sequence.fps, sequence.times, sequence.frame_size) == (29.97, None, (1280, 720))


def test_size_of_the_frames_is_read(tmp_path):
    path = write_py_feat(tmp_path / "a.csv", rows(), "2.0", size=(1920, 1080))
    assert read_landmark_csv(path)[0].frame_size == (1920, 1080)
    sequence, _, notes = read_landmark_csv(path, frame_size=(640, 0))
    assert sequence.frame_size == (1920, 1080)
    assert notes == ["frames 640 pixels wide are stated for it, its own 1920 are used"]

    def other_sizes(table):
        place = table[0].index("FrameWidth")
        for index, row in enumerate(table[1:]):
            row[place] = 100 * index + 100
        return table

    assert read_landmark_csv(edited(path, other_sizes), frame_size=(640, 0))[0].frame_size == (
        640,
        0,
    )


def test_column_that_comes_twice_must_say_the_same(tmp_path):
    path = write_py_feat(tmp_path / "a.csv", rows())
    assert path.read_text().split("\n")[0].split(",").count("frame") == 2

    def contradict(table):
        table[3][0] = "7"
        return table

    with pytest.raises(ClipError, match="several columns frame with different values"):
        read_landmark_csv(edited(path, contradict))


def test_tables_saved_again_by_pandas_are_read(tmp_path):
    path = write_py_feat(tmp_path / "a.csv", rows(lost={1}))
    plain = read_landmark_csv(path)[0]

    def renamed(table):  # as read_csv names the second column `frame`, and its index
        header = [n if n != "frame" or i == 0 else "frame.1" for i, n in enumerate(table[0])]
        return [["", *header], *([str(n), *row] for n, row in enumerate(table[1:]))]

    again, _, notes = read_landmark_csv(edited(path, renamed))
    np.testing.assert_array_equal(again.landmarks, plain.landmarks)
    np.testing.assert_array_equal(again.frame_index, plain.frame_index)
    assert notes == []


def test_confident_is_what_py_feat_lists(tmp_path):
    listed = [Row(0, FACE, score=0.2), Row(1, FACE, score=0.0), Row(2, None), Row(3, FACE)]
    sequence, _, notes = read_landmark_csv(write_py_feat(tmp_path / "a.csv", listed))
    assert sequence.detected.tolist() == [True, False, False, True] and notes == []


@pytest.mark.parametrize(
    ("names", "note"),
    [
        (("Person_0", "Person_1"), False),
        (("Person_3", "Person_3"), True),  # taken for the same
        (("", ""), True),
        (("Person_0", ""), False),
        (("Anna", "Tom"), False),
    ],
)
def test_people_of_a_frame_are_told_apart(tmp_path, names, note):
    recording = Recording(write_py_feat(tmp_path / "a.csv", people(names=names)))
    # the one on the right comes first in the first frame
    right, left = (recording.sequence(number) for number in (1, 2))
    assert len(recording.people) == 2 and recording.lasting() == [1, 2]
    for (sequence, notes), points, score in (
        (right, np.repeat([FACE + [300, 0]], 10, 0), 0.8),
        (left, np.stack([FACE + [n, 0] for n in range(10)]), 0.9),
    ):
        np.testing.assert_allclose(sequence.landmarks, points, rtol=1e-6)
        assert sequence.detected.all() and (sequence.confidence == score).all()
        assert any("told apart by their place" in text for text in notes) == note


def test_frames_that_are_skipped_keep_people_apart(tmp_path):
    listed = [row._replace(frame=200 * row.frame) for row in people(frames=5, names=("", ""))]
    recording = Recording(write_py_feat(tmp_path / "a.csv", listed))
    assert len(recording.people) == 2
    assert recording.sequence(1)[0].frame_index.tolist() == [0, 200, 400, 600, 800]


def test_name_that_changes_is_one_person(tmp_path):
    listed = [Row(n, FACE + [n, 0], f"Person_{n // 4}") for n in range(12)]
    sequence, others, notes = read_landmark_csv(write_py_feat(tmp_path / "a.csv", listed))
    assert sequence.detected.all() and others == 0
    assert notes == ["identity 0, 1, 2 taken for one person, as they follow each other in place"]


def test_second_detection_of_a_face_does_not_matter(tmp_path):
    listed = sorted([*rows(), Row(3, FACE + [9, 9], score=0.6)], key=lambda row: row.frame)
    sequence, others, _ = read_landmark_csv(write_py_feat(tmp_path / "a.csv", listed))
    np.testing.assert_allclose(sequence.landmarks[3], FACE + [3, 0], rtol=1e-6)
    assert sequence.detected.all() and others == 1


def test_rows_that_repeat_are_left_out(tmp_path):
    listed = [*rows(), *rows()]
    sequence, others, notes = read_landmark_csv(write_py_feat(tmp_path / "a.csv", listed))
    assert len(sequence.detected) == 8 and others == 0
    assert "rows that repeat a frame left out: 8 (the first: 0)" in notes


@pytest.mark.parametrize(
    ("fps", "stated", "frames", "note"),
    [
        (29.97, 29.97, 400, ""),
        (29.97, 30, 400, ""),
        (30, 25, 400, "its approx_time tells of 29.9 to 30.0 frames a second, not 25"),
        (30, 0, 400, "not 25"),  # which is assumed where none is stated
        (25, 30, 100, "its approx_time tells of 24.8 to 25.0 frames a second, not 30"),
        (25, 30, 20, ""),  # less than a second
    ],
)
def test_rate_that_the_times_contradict_is_noted(tmp_path, fps, stated, frames, note):
    path = write_py_feat(tmp_path / "a.csv", [Row(n, FACE) for n in range(frames)], fps=fps)
    notes = read_landmark_csv(path, stated)[2]
    assert note in "; ".join(notes) and bool(notes) == bool(note)


def test_several_videos_in_a_table_are_refused(tmp_path):
    path = write_py_feat(tmp_path / "a.csv", rows(), "2.0")
    other = write_py_feat(tmp_path / "b.csv", rows(), "2.0", video="other.mp4")
    edited(path, lambda table: table + list(csv.reader(other.read_text().splitlines()))[1:])
    with pytest.raises(ClipError, match="frame 0 occurs with several values of the column input"):
        read_landmark_csv(path)


def test_pictures_of_a_folder_are_frames(tmp_path):
    path, place = write_py_feat(tmp_path / "a.csv", rows(), "2.0"), COLUMNS["2.0"].index("input")

    def pictures(table):
        for number, row in enumerate(table[1:]):
            row[place] = f"frames/{number}.png"
        return table

    assert read_landmark_csv(edited(path, pictures))[0].detected.all()


def test_mesh_of_another_detector_is_refused(tmp_path):
    path = write_py_feat(tmp_path / "a.csv", rows(), "2.0")
    path.write_text(path.read_text().replace("mesh_x_0,mesh_x_1", "x_68,y_68", 1))
    with pytest.raises(ClipError, match="more than 68 points, so not those of OpenFace or py-feat"):
        read_landmark_csv(path)


@settings(max_examples=25, deadline=None)
@given(
    numbers=st.lists(st.integers(0, 300), min_size=1, max_size=8, unique=True),
    data=st.data(),
    version=st.sampled_from(sorted(COLUMNS)),
)
def test_py_feat_says_what_openface_says(tmp_path_factory, numbers, data, version):
    folder = tmp_path_factory.mktemp("tables")
    lost = data.draw(st.sets(st.sampled_from(numbers), max_size=len(numbers) - 1))
    listed = data.draw(st.permutations(rows(numbers, lost)))
    shown = [np.zeros((68, 2)) if row.points is None else row.points for row in listed]
    table = {
        "frame": [row.frame for row in listed],
        "success": [row.points is not None for row in listed],
    }
    one = read_landmark_csv(write_openface(folder / "a.csv", np.array(shown), **table), 25.0)
    path = write_py_feat(folder / "b.csv", listed, version, fps=25.0)
    other = read_landmark_csv(path, 25.0)
    for name in ("detected", "frame_index", "fps", "times"):
        np.testing.assert_array_equal(getattr(other[0], name), getattr(one[0], name))
    np.testing.assert_allclose(other[0].landmarks, one[0].landmarks, atol=1e-3)
    assert other[1:] == one[1:]


CELLS = st.sampled_from(
    ["", "nan", "NaN", "-1", "1e9", "inf", "Person_1", "0", "x_0", "é", '"', "1,5", "00:07", "3.5"]
)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), version=st.sampled_from(sorted(COLUMNS)))
def test_damaged_tables_are_read_or_refused(tmp_path_factory, data, version):
    path = tmp_path_factory.mktemp("tables") / "a.csv"
    write_py_feat(path, people(4, ("", "")), version)
    used = ["frame", "FaceScore", "x_0", "y_67", "Identity", "input", "FrameWidth"]
    places = [place for place, name in enumerate(COLUMNS[version]) if name in used]

    def damage(table):
        for _ in range(data.draw(st.integers(1, 6))):
            row = data.draw(st.sampled_from(table))
            what = data.draw(st.sampled_from(["cell", "cut", "twice"]))
            if what == "cell" and len(row) > max(places):
                row[data.draw(st.sampled_from(places))] = data.draw(CELLS)
            elif what == "cut":
                del row[data.draw(st.integers(0, len(row))) :]
            elif what == "twice":
                table.append(list(row))
        return table

    try:
        recording = Recording(edited(path, damage), 25.0)
        read = [recording.sequence(number)[0] for number in recording.people]
    except ClipError as error:
        assert error.reason and error.detail and "\n" not in str(error)
        return
    for sequence in read:
        assert (np.diff(sequence.frame_index) > 0).all()
        assert np.isfinite(sequence.landmarks).all()
        assert not sequence.landmarks[~sequence.detected].any()
