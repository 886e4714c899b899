"""Pictures that a page sends: JPEGs of a bounded size, and nothing else."""

import base64

import cv2
import numpy as np
import pytest

from fer_jax.live.pictures import decode
from fer_jax.live.visitors import Refused


def bomb():
    """A JPEG of a few hundred bytes that claims to be of 65535 x 65535 pixels."""
    data = bytearray(cv2.imencode(".jpg", np.zeros((8, 8, 3), np.uint8))[1].tobytes())
    size = data.index(b"\xff\xc0") + 5  # of the frame header: height and width
    data[size : size + 4] = b"\xff" * 4
    return f"data:image/jpeg;base64,{base64.b64encode(data).decode()}"


def encoded(picture, suffix=".jpg"):
    data = cv2.imencode(suffix, picture[..., ::-1])[1].tobytes()
    return f"data:image/jpeg;base64,{base64.b64encode(data).decode()}"


@pytest.mark.parametrize(
    ("picture", "problem"),
    [
        (None, "sent no picture"),
        ("http://elsewhere.example/a.jpg", "sent no picture"),
        ("data:image/jpeg;base64,&&", "cannot be decoded"),
        ("data:image/jpeg;base64,aGVsbG8=", "cannot be decoded"),
        (encoded(np.zeros((8, 8, 3), np.uint8), ".png"), "cannot be decoded"),
        (encoded(np.zeros((8, 1921, 3), np.uint8)), "larger than 1920 pixels"),
        ("data:image/jpeg;base64," + "A" * 4_000_000, "sent no picture"),
        (bomb(), "cannot be decoded"),
    ],
    ids=("none", "address", "no base64", "text", "png", "large", "long", "bomb"),
)
def test_what_is_no_picture_is_refused(picture, problem):
    with pytest.raises(Refused, match=problem):
        decode(picture)


def test_pictures_are_decoded_as_rgb():
    red = np.zeros((24, 32, 3), np.uint8)
    red[..., 0] = 200
    decoded = decode(encoded(red))
    assert decoded.shape == (24, 32, 3) and decoded.dtype == np.uint8
    assert np.abs(decoded.astype(int) - red).max() < 4
