"""Landmark CSVs of OpenFace, valid and damaged; test_py_feat.py has those of py-feat."""

import os
import time

import numpy as np
import pytest

from fer_jax.faces.landmark_csv import Recording, read_landmark_csv
from fer_jax.faces.landmark_csv.people import everyone
from fer_jax.faces.landmarks import MEAN_FACE
from fer_jax.faces.sequence import ClipError

POINTS = [f"x_{k}" for k in range(68)] + [f"y_{k}" for k in range(68)]


def write(path, columns: dict, separator=", "):
    """Writes columns `{name: [value of each row]}`; written unchanged."""
    lines = [separator.join(columns)]
    lines += [separator.join(map(str, row)) for row in zip(*columns.values(), strict=True)]
    path.write_text("\n".join(lines) + "\n")
    return path


def face(rows: int, **first) -> dict:
    points = {name: [10.0 * row + k + 1 for row in range(rows)] for k, name in enumerate(POINTS)}
    return {**first, **points}


def test_read_landmark_csv_places_coordinates(tmp_path):
    columns = face(4, frame=[1, 2, 3, 5], timestamp=[0.0, 0.033, 0.067, 0.133], success=[1] * 4)
    sequence, others, _ = read_landmark_csv(
        write(tmp_path / "a.csv", columns), frame_size=(1280, 720)
    )
    assert sequence.landmarks.shape == (4, 68, 2)
    assert sequence.landmarks.dtype == np.float32
    assert sequence.landmarks[2, 7].tolist() == [28.0, 96.0]  # x_7 and y_7 of the third row
    assert sequence.frame_index.tolist() == [1, 2, 3, 5]
    assert sequence.detected.all()
    assert sequence.fps == pytest.approx(4 / 0.133, abs=0.01)
    assert (sequence.frame_size, others) == ((1280, 720), 0)


def test_rows_without_a_face_are_marked_and_zeroed(tmp_path):
    columns = face(5, success=[1, 0, 1, 1, 1])
    columns["x_3"][2] = "nan"
    columns["y_9"][3] = "oops"
    for name in POINTS:
        columns[name][4] = 0
    sequence, _, _ = read_landmark_csv(write(tmp_path / "a.csv", columns))
    assert sequence.detected.tolist() == [True, False, False, False, False]
    assert np.abs(sequence.landmarks[1:]).max() == 0
    assert np.isfinite(sequence.landmarks).all()


def test_without_success_the_confidence_decides(tmp_path):
    sequence, _, _ = read_landmark_csv(
        write(tmp_path / "a.csv", face(3, confidence=[0.98, 0.0, 0.77]))
    )
    assert sequence.detected.tolist() == [True, False, True]


def test_read_landmark_csv_needs_coordinates_only(tmp_path):
    sequence, _, _ = read_landmark_csv(write(tmp_path / "a.csv", face(3)), fps=29.97)
    assert sequence.detected.all()
    assert sequence.frame_index.tolist() == [0, 1, 2]
    assert sequence.fps == 29.97


def test_read_landmark_csv_keeps_the_face_of_most_frames(tmp_path):
    columns = face(5, frame=[1, 1, 2, 3, 3], face_id=[0, 1, 1, 0, 1])
    sequence, others, _ = read_landmark_csv(write(tmp_path / "a.csv", columns))
    assert sequence.frame_index.tolist() == [1, 2, 3]
    assert others == 1


def test_read_landmark_csv_ignores_unknown_columns(tmp_path):
    columns = {"gaze_0_x": [0.1, 0.2], **face(2), "AU01_r": ["a", "b"]}
    assert len(read_landmark_csv(write(tmp_path / "a.csv", columns))[0].detected) == 2


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "unreadable"),
        (b"\x00\xff\xfe\x80" * 300, "unreadable"),
        (b"frame, x_0, x_1\n1, 2, 3\n", "no landmark columns"),
        ((", ".join(POINTS) + "\n").encode(), "no frames"),
    ],
)
def test_file_without_landmarks_is_refused(tmp_path, content, reason):
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    with pytest.raises(ClipError) as caught:
        read_landmark_csv(path)
    assert caught.value.reason == reason
    assert str(path) in caught.value.detail


def test_points_beyond_any_frame_are_no_face(tmp_path):
    columns = face(3)
    columns["x_3"][1], columns["y_3"][2] = 1e6, -1e300
    sequence, _, _ = read_landmark_csv(write(tmp_path / "a.csv", columns))
    assert sequence.detected.tolist() == [True, False, False]


@pytest.mark.parametrize("index", [-1, 1e12, "inf"])
def test_impossible_frame_numbers_are_refused(tmp_path, index):
    path = write(tmp_path / "a.csv", face(2, frame=[1, index], timestamp=[0.0, 0.1]))
    with pytest.raises(ClipError, match="column frame ranges from"):
        read_landmark_csv(path)


def read(path):
    """Frame numbers, seconds and the joined notes of a file."""
    sequence, _, notes = read_landmark_csv(path)
    return sequence.frame_index.tolist(), sequence.times, "; ".join(notes)


def test_every_frame_has_the_second_that_is_stamped(tmp_path):
    stamps = [0.0, 0.04, 0.08, 1.2, 1.25]
    path = write(tmp_path / "a.csv", face(5, frame=[1, 2, 3, 4, 5], timestamp=stamps))
    numbers, times, notes = read(path)
    np.testing.assert_array_equal(times, stamps)
    assert times.dtype == np.float64 and "a gap of 1.12 seconds after frame 3" in notes
    assert read(write(tmp_path / "b.csv", face(3)))[1] is None


@pytest.mark.parametrize(
    ("stamps", "seconds", "note"),
    [
        ([0, 33, 67, 100], [0, 0.033, 0.067, 0.1], "taken for milliseconds"),
        ([0, 33_000, 67_000, 100_000], [0, 0.033, 0.067, 0.1], "taken for microseconds"),
        ([1.7e18, 1.7e18 + 4e7, 1.7e18 + 8e7], [0, 0.04, 0.08], "taken for nanoseconds"),
        ([1.7e9, 1.7e9 + 0.5, 1.7e9 + 1], [0, 0.5, 1], "begin at 1700000000 seconds"),
        ([1.7e12, 1.7e12 + 40, 1.7e12 + 80], [0, 0.04, 0.08], "begin at 1700000000 seconds"),
        ([100, 100.5, 101, 101.5], [100, 100.5, 101, 101.5], "frame 1 is stamped 100 seconds"),
        ([0, 0.1, "", 0.3], [0, 0.1, 0.2, 0.3], "frames without a time stamp: 1"),
        ([0, 0.1, 0.1, 0.3], [0, 0.1, 0.2, 0.3], "repeat the one before: 1"),
        ([0, 0.1, 0.2, 0.2], [0, 0.1, 0.2, 0.3], "repeat the one before: 1"),
        ([0, 0.1, 0.05, 0.3], [0, 0.025, 0.05, 0.3], "out of order: 1 (the first: frame 2)"),
        ([0, 0.1, 99.0, 0.3], [0, 0.1, 0.2, 0.3], "out of order: 1 (the first: frame 3)"),
        ([0.5, 0.5, 0.5, 0.5], None, "do not advance"),
        (["00:00:01.5", "00:00:01.6", "00:00:01.7"], [1.5, 1.6, 1.7], "stamped 1.5"),
        (["2021-06-01T10:00:00", "2021-06-01 10:00:00.1"], [36000, 36000.1], "stamped 36000"),
        (['"0:00,5"', '"0:00,6"'], [0.5, 0.6], ""),
        (["soon", "later", "now"], None, "column timestamp holds no numbers"),
        ([0, 1, 2, 3], None, "count frames, not seconds"),
        ([7, 8, 9, 10], None, "count frames, not seconds"),
    ],
)
def test_odd_stamps_are_noted(tmp_path, stamps, seconds, note):
    columns = face(len(stamps), frame=range(1, len(stamps) + 1), timestamp=stamps)
    _, times, notes = read(write(tmp_path / "a.csv", columns))
    assert note in notes
    assert times is None if seconds is None else np.allclose(times, seconds)


@pytest.mark.parametrize(
    ("stamps", "reason"),
    [
        ([0, 1e-5, 2e-5, 3e-5], "impossible frame rate"),
        ([0, 2.5, 5, 7.5], "impossible frame rate"),
        ([0, 0.1, 0.2, 0, 0.1, 0.2], "time goes back"),
        ([0.3, 0.2, 0.1, 0], "time goes back"),
    ],
)
def test_impossible_stamps_are_refused(tmp_path, stamps, reason):
    columns = face(len(stamps), frame=range(len(stamps)), timestamp=stamps)
    with pytest.raises(ClipError) as caught:
        read_landmark_csv(write(tmp_path / "a.csv", columns))
    assert caught.value.reason == reason


def rows_of(columns: dict, rows) -> dict:
    return {name: [values[row] for row in rows] for name, values in columns.items()}


@pytest.mark.parametrize(
    ("rows", "notes"),
    [
        ([0, 1, 2, 3], []),
        ([3, 2, 1, 0], ["not in order"]),
        ([0, 2, 1, 3], ["not in order"]),
        ([0, 1, 2, 3, 3], ["repeat a {}", "left out: 1"]),
        ([0, 1, 2, 3, 0, 1, 2, 3], ["not in order", "left out: 4"]),
    ],
)
@pytest.mark.parametrize("key", ["frame", "timestamp"])
def test_rows_are_sorted_and_doubles_noted(tmp_path, rows, notes, key):
    numbers = [100_000, 100_001, 100_002, 100_003]
    keys = {"frame": numbers, "timestamp": [0.0, 0.1, 0.2, 0.3]}
    columns = face(4, **{key: keys[key]})
    plain, _, _ = read_landmark_csv(write(tmp_path / "a.csv", columns))
    mixed, _, found = read_landmark_csv(write(tmp_path / "b.csv", rows_of(columns, rows)))
    for name in ("landmarks", "frame_index", "detected"):
        np.testing.assert_array_equal(getattr(mixed, name), getattr(plain, name))
    assert bool(found) == bool(notes)
    for note in notes:
        assert note.format(key) in "; ".join(found)


@pytest.mark.parametrize("key", ["frame", "timestamp"])
def test_two_different_rows_of_a_frame_are_refused(tmp_path, key):
    with pytest.raises(ClipError, match=f"{key} 2 occurs twice with different values"):
        read_landmark_csv(write(tmp_path / "a.csv", face(4, **{key: [1, 2, 2, 3]})))
    columns = face(4, **{key: [1, 2, 2, 3]}, success=[1, 0, 1, 1])
    sequence, _, notes = read_landmark_csv(write(tmp_path / "b.csv", columns))
    assert sequence.detected.tolist() == [True] * 3 and "left out: 1" in notes[0]


def test_missing_frames_are_counted(tmp_path):
    _, _, notes = read(write(tmp_path / "a.csv", face(4, frame=[1, 2, 9, 10])))
    assert notes == "missing frames: 6 (the first after frame 2)"
    assert read(write(tmp_path / "b.csv", face(4, frame=[0, 10, 20, 30])))[2] == ""


def written(path, columns: dict, separator=",", point=".", encoding="utf-8", before="", after=""):
    """Writes a file as other programs export it."""
    text = write(path, columns, separator).read_text()
    if point != ".":
        text = text.replace(".", point)
    path.write_text(before + text + after, encoding=encoding)
    return path


@pytest.mark.parametrize(
    "style",
    [
        {"separator": ";"},
        {"separator": "; ", "point": ","},
        {"separator": "\t"},
        {"separator": "\t ", "point": ","},
        {"separator": "|"},
        {"separator": "  "},
        {"encoding": "utf-8-sig"},
        {"before": "sep=,\n"},
        {"before": "\n# of the camera\n\n"},
        {"separator": ";", "before": "sep=;\n"},
        {"after": "\n \n,,,\n"},
        {"after": "7,0.3\n"},  # of a program that was killed
    ],
)
def test_other_exports_say_the_same(tmp_path, style):
    columns = face(3, frame=[4, 5, 6], timestamp=[0.1, 0.2, 0.3])
    plain, _, _ = read_landmark_csv(write(tmp_path / "a.csv", columns))
    other, _, notes = read_landmark_csv(written(tmp_path / "b.csv", columns, **style))
    for name in ("landmarks", "frame_index", "times"):
        np.testing.assert_array_equal(getattr(other, name), getattr(plain, name))
    assert notes == (
        ["rows with too few cells left out: 1 (the first: line 5)"]
        if style.get("after", "").startswith("7")
        else []
    )


def test_capitals_quotes_and_a_repeated_header_do_not_matter(tmp_path):
    columns = face(3, frame=[4, 5, 6])
    plain = write(tmp_path / "a.csv", columns).read_text()
    header, rows = plain.split("\n", 1)
    for text in (
        header.upper() + "\n" + rows,
        ",".join(f' "{name}"' for name in columns) + ",\n" + rows.replace("\n", ",\n"),
        plain + plain,
    ):
        (tmp_path / "b.csv").write_text(text)
        sequence, _, _ = read_landmark_csv(tmp_path / "b.csv")
        assert sequence.frame_index.tolist() == [4, 5, 6]
        assert sequence.landmarks[2, 7].tolist() == [28.0, 96.0]


def test_points_in_space_are_not_taken_for_pixels(tmp_path):
    header, rows = write(tmp_path / "a.csv", face(2)).read_text().split("\n", 1)
    path = tmp_path / "b.csv"
    path.write_text(header.upper().replace("Y_67", "Y_67, Z_0") + "\n" + rows)
    with pytest.raises(ClipError, match="-2Dfp"):
        read_landmark_csv(path)


def test_file_that_would_be_misread_is_refused(tmp_path):
    columns = face(2, timestamp=[0.5, 0.6])
    for style, message in (
        ({"point": ","}, r"line 2: 274 cells, the header has 137: .* decimal points"),
        ({"encoding": "utf-16"}, "in UTF-16: save it as UTF-8"),
        ({"encoding": "utf-16-le"}, "in UTF-16: save it as UTF-8"),
    ):
        columns = {name: [float(value) for value in values] for name, values in columns.items()}
        with pytest.raises(ClipError, match=message):
            read_landmark_csv(written(tmp_path / "a.csv", columns, **style))
    os.mkfifo(tmp_path / "pipe.csv")
    for path in (tmp_path / "pipe.csv", tmp_path, tmp_path / "a\0b.csv", tmp_path / ("x" * 300)):
        with pytest.raises(ClipError, match="unreadable"):
            read_landmark_csv(path)


def people(ids, offset) -> dict:
    """Rows of faces 68 pixels wide that stand still but for `offset` pixels."""
    points = {name: [100.0 + k % 68 + x for x in offset] for k, name in enumerate(POINTS)}
    return {"face_id": ids, **points}


@pytest.mark.parametrize(
    ("ids", "frames", "offset", "detected", "others"),
    [
        ([0, 0, 1, 1], [1, 2, 3, 4], [0, 1, 2, 3], [1, 1, 1, 1], 0),  # lost and found again
        ([0, 1, 0, 1], [1, 2, 3, 4], [0, 1, 2, 3], [1, 1, 1, 1], 0),  # to and fro
        ([0, 5, 2, 9], [1, 2, 3, 4], [0, 1, 2, 3], [1, 1, 1, 1], 0),
        ([0, 0, 1, 1, 1], [1, 2, 3, 4, 5], [0, 0, 300, 300, 300], [0, 0, 1, 1, 1], 1),  # a cut
        ([0, 0, 1, 1, 1], [1, 2, 900, 901, 902], [0] * 5, [0, 0, 1, 1, 1], 1),  # long away
        ([0, 1, 0, 1, 1], [1, 1, 2, 2, 3], [0, 300, 0, 300, 300], [1, 1, 1], 1),  # side by side
        ([0, 1, 0, 1, 2], [1, 1, 2, 2, 3], [0, 300, 0, 300, 2], [1, 1, 1], 1),
        (["", "", 0, 0], [1, 2, 3, 4], [0, 1, 2, 3], [1, 1, 1, 1], 0),
    ],
)
def test_numbers_that_follow_each_other_are_one_person(
    tmp_path, ids, frames, offset, detected, others
):
    path = write(tmp_path / "a.csv", {"frame": frames, **people(ids, offset)})
    sequence, found, _ = read_landmark_csv(path)
    assert sequence.detected.tolist() == [bool(seen) for seen in detected]
    assert found == others
    assert sequence.frame_index.tolist() == sorted(set(frames))


def test_people_are_found_in_proportion_to_the_rows():
    """A number that changes every second, as where tracking is lost, in files 8 times as long."""
    seconds = []
    for rows in (2000, 16000):
        key, points = np.arange(rows, dtype=float), np.tile(60 * MEAN_FACE, (rows, 1, 1))
        started = time.process_time()
        found = everyone(key // 25, key, points, np.ones(rows, bool))
        seconds.append(time.process_time() - started)
        assert [person.faces for person in found] == [rows]
    assert seconds[1] < 25 * seconds[0]


@pytest.mark.parametrize(
    ("offset", "scale", "detected", "others"),
    [
        ([0, 5, 10, 15, 20], [1] * 5, [1, 1, 1, 1, 1], 0),
        ([0, 1, 300, 301, 302], [1] * 5, [0, 0, 1, 1, 1], 1),  # a cut
        ([0, 1, 80, 81, 82], [1] * 5, [0, 0, 1, 1, 1], 1),  # by less than a face, at once
        ([0, 1, 300, 2, 3], [1] * 5, [1, 1, 0, 1, 1], 1),  # and back
        ([0] * 5, [1, 1, 1, 2, 2], [1, 1, 1, 0, 0], 1),  # another size
        ([0] * 5, [1, 1.1, 1.2, 1.3, 1.4], [1, 1, 1, 1, 1], 0),
    ],
)
@pytest.mark.parametrize("ids", [{"face_id": [0] * 5}, {}])
@pytest.mark.parametrize("step", [1 / 30, 33, None])
def test_number_of_a_face_ends_at_a_jump(tmp_path, offset, scale, detected, others, ids, step):
    points = (portrait(5) - [300, 200]) * np.reshape(scale, (5, 1, 1)) + [300, 200]
    points[..., 0] += np.reshape(offset, (5, 1))
    stamps = {} if step is None else {"timestamp": [index * step for index in range(5)]}
    columns = columns_of(points, frame=range(1, 6), **ids, **stamps)
    sequence, found, notes = read_landmark_csv(write(tmp_path / "a.csv", columns))
    assert sequence.detected.tolist() == [bool(seen) for seen in detected] and found == others
    assert bool(others) == any("a face jumps" in note for note in notes)


@pytest.mark.parametrize(("step", "moved"), [(0.5, 300), (0.1, 80)])
def test_faces_apart_in_time_do_not_jump(tmp_path, step, moved):
    points = portrait(5)
    points[2:, :, 0] += moved
    columns = columns_of(points, frame=range(5), timestamp=[step * frame for frame in range(5)])
    assert read_landmark_csv(write(tmp_path / "a.csv", columns))[0].detected.all()


@pytest.mark.parametrize(
    ("ids", "frames", "offset", "rows"),
    [
        ([0] * 4, [1, 2, 3, 4], [0] * 4, {1: [1, 1, 1, 1]}),
        ([5, 2] * 4, [1, 1, 2, 2, 3, 3, 4, 4], [0, 300] * 4, {1: [1] * 4, 2: [1] * 4}),
        # 7 goes on where 5 was lost; 2 is there all the time and seen in most frames
        ([5, 2, 2, 7, 2, 7, 2], [1, 1, 2, 3, 3, 4, 4], [0, 300, 300, 0, 300, 0, 300],
         {1: [1, 0, 1, 1], 2: [1] * 4}),
        # a blink in the first frame has no number before people
        ([9, 5, 5, 5, 5], [1, 1, 2, 3, 4], [300, 0, 0, 0, 0], {1: [1] * 4, 2: [1, 0, 0, 0]}),
    ],
)  # fmt: skip
def test_every_person_has_rows_for_all_frames(tmp_path, ids, frames, offset, rows):
    path = write(tmp_path / "a.csv", {"frame": frames, **people(ids, offset)})
    recording = Recording(path)
    read = {number: recording.sequence(number)[0] for number in recording.people}
    assert {n: one.detected.tolist() for n, one in read.items()} == {
        n: [bool(seen) for seen in wanted] for n, wanted in rows.items()
    }
    assert all(one.frame_index.tolist() == sorted(set(frames)) for one in read.values())
    main, others, _ = read_landmark_csv(path)
    np.testing.assert_array_equal(main.landmarks, read[recording.main].landmarks)
    assert others == len(rows) - 1


def test_confidence_belongs_to_the_face(tmp_path):
    shown = {"frame": [1, 1, 2, 2], "confidence": [0.9, 0.6, 0.8, 0.1], "success": [1, 1, 1, 0]}
    recording = Recording(write(tmp_path / "a.csv", shown | people([0, 1] * 2, [0, 300] * 2)))
    one, other = (recording.sequence(number)[0].confidence for number in (1, 2))
    np.testing.assert_array_equal(one, [0.9, 0.8])
    np.testing.assert_array_equal(other, [0.6, np.nan])
    assert read_landmark_csv(write(tmp_path / "b.csv", face(3)))[0].confidence is None


@pytest.mark.parametrize(
    ("name", "end", "note"),
    [
        ("webcam", 6.0, ""), ("ms", 2.4, "milliseconds"), ("semicolon", 2.4, ""), ("tab", 2.4, ""),
        ("textsort", 2.4, "sorted"), ("reversed", 2.4, "sorted"), ("concat", 2.4, "left out: 73"),
        ("face_id", 2.4, "face_id 0, 1"), ("offset", 102.4, "stamped 100"), ("nan", 2.4, ""),
    ],
)  # fmt: skip
def test_real_exports_end_when_they_should(real_data, name, end, note):
    folder = real_data / "field" / "csvs"
    plain, _, _ = read_landmark_csv(folder / "ok.csv")
    sequence, others, notes = read_landmark_csv(folder / f"{name}.csv")
    np.testing.assert_array_equal(sequence.landmarks, plain.landmarks)
    assert sequence.times[-1] == pytest.approx(end) and others == 0
    assert note in "; ".join(notes) and bool(note) == bool(notes)


def portrait(rows: int = 4) -> np.ndarray:
    """Landmarks `[rows, 68, 2]` of a face 100 pixels wide."""
    return np.repeat((100 * MEAN_FACE / np.ptp(MEAN_FACE[:, 0]) + [300, 200])[None], rows, 0)


def columns_of(points, **first) -> dict:
    flat = points.transpose(0, 2, 1).reshape(len(points), -1)
    return {**first, **dict(zip(POINTS, flat.T.tolist(), strict=True))}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda points: points / [640, 480], "shares of the picture"),
        (lambda points: points / [320, 240] - 1, "shares of the picture"),
        (lambda points: 100 * points, "lost their decimal points"),
        (lambda points: [0, 480] + points * [1, -1], "mirrored"),  # y upwards
        (lambda points: points * [-1, 1], "mirrored"),
        (lambda points: points[..., ::-1], "mirrored"),  # x and y swapped
        (lambda points: points * np.nan, "number for every landmark"),
        (lambda points: 1e6 * points, "number for every landmark"),
    ],
)
def test_landmarks_that_are_no_pixels_are_refused(tmp_path, change, reason):
    assert read_landmark_csv(write(tmp_path / "a.csv", columns_of(portrait())))[2] == []
    path = write(tmp_path / "b.csv", columns_of(change(portrait())))
    with pytest.raises(ClipError, match=reason):
        read_landmark_csv(path)


def test_landmarks_outside_the_picture_are_noted(tmp_path):
    path = write(tmp_path / "a.csv", columns_of(portrait()))
    assert read_landmark_csv(path, frame_size=(640, 480))[2] == []
    assert read_landmark_csv(path, frame_size=(200, 480))[2] == [
        "its faces lie outside the picture (x around 300)"
    ]
    path = write(tmp_path / "b.csv", columns_of(portrait() - [900, 0]))
    assert "x around -600" in read_landmark_csv(path)[2][0]


def test_points_that_all_coincide_are_no_face(tmp_path):
    points = portrait()
    points[1], points[2] = -1, 50
    points[3, 5, 0] = np.nan
    sequence, _, notes = read_landmark_csv(write(tmp_path / "a.csv", columns_of(points)))
    assert sequence.detected.tolist() == [True, False, False, False]
    assert notes == ["rows without a number for every landmark count as no face: 1"]


@pytest.mark.parametrize("words", [("yes", "no"), ("TRUE", "False"), (1, 0)])
def test_words_tell_whether_a_face_was_found(tmp_path, words):
    columns = columns_of(portrait(2), success=words)
    assert read_landmark_csv(write(tmp_path / "a.csv", columns))[0].detected.tolist() == [
        True,
        False,
    ]


@pytest.mark.parametrize("cells", [("1,234.5", "987.5"), ("1.234,5", "987,5"), ("1,234", "987")])
def test_thousands_are_not_taken_for_decimals(tmp_path, cells):
    columns = face(2)
    columns["x_0"], columns["y_0"] = [cells[0]] * 2, [cells[1]] * 2
    with pytest.raises(ClipError, match="split into thousands"):
        read_landmark_csv(write(tmp_path / "a.csv", columns, ";"))


def test_other_numbers_of_points_are_refused(tmp_path):
    path = write(tmp_path / "a.csv", face(2) | {"x_68": [1, 1], "y_68": [1, 1]})
    with pytest.raises(ClipError, match="more than 68 points"):
        read_landmark_csv(path)


@pytest.mark.parametrize(
    ("content", "what"),
    [(b"\x1f\x8b\x08\0", "packed"), (b"PK\x03\x04", "spreadsheet"), (b"Gr\xf6\xdfe\n", "in UTF-8")],
)
def test_files_of_other_kinds_are_named(tmp_path, content, what):
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(ClipError, match=what):
        read_landmark_csv(tmp_path / "a.csv")


def test_missing_openface_file_is_named(tmp_path):
    with pytest.raises(ClipError, match="does not exist"):
        read_landmark_csv(tmp_path / "none.csv")
