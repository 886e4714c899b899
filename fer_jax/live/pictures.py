"""Decodes the pictures that a page sends."""

from __future__ import annotations

import base64
import binascii
import io

import numpy as np
from PIL import Image

from fer_jax.live.visitors import Refused

_MOST_SIDE, _MOST_CHARACTERS = 1920, 4_000_000  # of a picture: pixels, text in base64
_BEGIN = "data:image/jpeg;base64,"


def decode(text) -> np.ndarray:
    """Decodes a picture that a page sent, a JPEG in base64; returns `[H, W, 3]` uint8 RGB.

    Nothing is written to a disk.

    Raises:
      Refused: it is no such picture, or too large.
    """
    if not isinstance(text, str) or not text.startswith(_BEGIN) or len(text) > _MOST_CHARACTERS:
        raise Refused("The page sent no picture: reload it.")
    try:
        data = base64.b64decode(text.removeprefix(_BEGIN), validate=True)
        picture = Image.open(io.BytesIO(data), formats=["JPEG"])
        if max(picture.size) > _MOST_SIDE:
            raise Refused(f"The picture is larger than {_MOST_SIDE} pixels.")
        return np.array(picture.convert("RGB"))
    except (binascii.Error, OSError, ValueError, Image.DecompressionBombError) as error:
        raise Refused("The picture cannot be decoded: reload the page.") from error
