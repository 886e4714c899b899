"""OpenFace CSV files, valid and damaged."""

import numpy as np
import pytest

from fer_jax.faces.openface import read_openface
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


def test_read_openface_places_coordinates(tmp_path):
    columns = face(4, frame=[1, 2, 3, 5], timestamp=[0.0, 0.033, 0.067, 0.133], success=[1] * 4)
    sequence, others = read_openface(write(tmp_path / "a.csv", columns), frame_size=(1280, 720))
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
    sequence, _ = read_openface(write(tmp_path / "a.csv", columns))
    assert sequence.detected.tolist() == [True, False, False, False, False]
    assert np.abs(sequence.landmarks[1:]).max() == 0
    assert np.isfinite(sequence.landmarks).all()


def test_without_success_the_confidence_decides(tmp_path):
    sequence, _ = read_openface(write(tmp_path / "a.csv", face(3, confidence=[0.98, 0.0, 0.77])))
    assert sequence.detected.tolist() == [True, False, True]


def test_read_openface_needs_coordinates_only(tmp_path):
    sequence, _ = read_openface(write(tmp_path / "a.csv", face(3)), fps=29.97)
    assert sequence.detected.all()
    assert sequence.frame_index.tolist() == [0, 1, 2]
    assert sequence.fps == 29.97


def test_read_openface_keeps_the_face_of_most_frames(tmp_path):
    columns = face(5, frame=[1, 1, 2, 3, 3], face_id=[0, 1, 1, 0, 1])
    sequence, others = read_openface(write(tmp_path / "a.csv", columns))
    assert sequence.frame_index.tolist() == [1, 2, 3]
    assert others == 1


def test_read_openface_ignores_unknown_columns(tmp_path):
    columns = {"gaze_0_x": [0.1, 0.2], **face(2), "AU01_r": ["a", "b"]}
    assert len(read_openface(write(tmp_path / "a.csv", columns))[0].detected) == 2


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
        read_openface(path)
    assert caught.value.reason == reason
    assert str(path) in caught.value.detail


def test_points_beyond_any_frame_are_no_face(tmp_path):
    columns = face(3)
    columns["x_3"][1], columns["y_3"][2] = 1e6, -1e300
    sequence, _ = read_openface(write(tmp_path / "a.csv", columns))
    assert sequence.detected.tolist() == [True, False, False]


@pytest.mark.parametrize("index", [-1, 1e12, "inf"])
def test_impossible_frame_numbers_are_refused(tmp_path, index):
    path = write(tmp_path / "a.csv", face(2, frame=[1, index], timestamp=[0.0, 0.1]))
    with pytest.raises(ClipError, match="column frame ranges from"):
        read_openface(path)


def test_missing_openface_file_is_named(tmp_path):
    with pytest.raises(ClipError, match="does not exist"):
        read_openface(tmp_path / "none.csv")
