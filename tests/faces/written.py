"""Writes small videos with the time stamps that a test asks for."""

import fractions

import av
import numpy as np

SIZE = (64, 48)  # width, height
CODECS = {"mp4": "libx264", "mkv": "libx264", "webm": "libvpx", "ts": "libx264", "avi": "mpeg4"}


def brightness(index: int) -> int:
    return 10 + 4 * (index % 60)


def picture(index: int) -> np.ndarray:
    """A frame whose brightness tells its position, with a white top left corner."""
    image = np.full((SIZE[1], SIZE[0], 3), brightness(index), np.uint8)
    image[:12, :12] = 255
    return image


def write(
    path,
    seconds,
    codec="",
    ticks=16000,
    b_frames=2,
    options=None,
    pixels="yuv420p",
    turned=0,
    aspect=1,
    **more,
):
    """Writes one frame at each of `seconds`; `more` are options of the container.

    Players turn the frames by `turned` degrees clockwise; `aspect` is the width of a pixel, heights
    of a pixel.
    """
    codec = codec or CODECS[path.suffix[1:]]
    with av.open(str(path), "w", options={key: str(value) for key, value in more.items()}) as file:
        stream = file.add_stream(codec, rate=30, options=options or {})
        stream.width, stream.height, stream.pix_fmt = *SIZE, pixels
        if aspect != 1:
            stream.codec_context.sample_aspect_ratio = fractions.Fraction(aspect)
        stream.codec_context.time_base = fractions.Fraction(1, ticks)
        stream.codec_context.max_b_frames = b_frames if codec == "libx264" else 0
        if codec in ("libx264", "libvpx"):
            stream.bit_rate = 300_000
        if turned:
            stream.set_display_rotation(-turned)
        file.start_encoding()
        for index, second in enumerate(seconds):
            frame = av.VideoFrame.from_ndarray(picture(index), format="rgb24")
            frame = frame.reformat(format=pixels)
            frame.pts, frame.time_base = round(second * ticks), fractions.Fraction(1, ticks)
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    return path


def write_sound(path, seconds=1.0):
    """Writes sound without pictures."""
    with av.open(str(path), "w") as file:
        stream = file.add_stream("aac", rate=44100)
        silence = np.zeros((1, 1024), np.float32)
        for index in range(round(seconds * 44100 / 1024)):
            frame = av.AudioFrame.from_ndarray(silence, format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 44100, 1024 * index
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    return path
