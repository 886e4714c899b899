"""Writes videos whose frames last as long as they should."""

from __future__ import annotations

import fractions
import pathlib

import av
import cv2
import numpy as np

_TICKS = 1000  # a second, of a variable rate
_QUANTIZER = 3  # 2 (best) to 31 (smallest)
_LAMBDA = 118  # of FFmpeg, a step of the quantizer


class VideoWriter:
    """Writes MPEG-4 part 2 into an mp4 file, frame by frame.

    Attributes:
      written: frames so far.
    """

    def __init__(self, path, size: tuple[int, int], fps: float):
        """Opens a file.

        Args:
          path: of the file; its folder is made.
          size: width and height, pixels, even; other frames are scaled.
          fps: frames per second; 0: frames last as long as `write` says.

        Raises:
          OSError: the file cannot be written.
        """
        path = pathlib.Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        self.written, self._size = 0, (int(size[0]), int(size[1]))
        # The codec counts ticks of a second with 16 bits.
        self._rate = fractions.Fraction(fps).limit_denominator(1001) if fps else None
        if self._rate is not None and self._rate.numerator > 65535:
            self._rate = fractions.Fraction(round(fps))
        try:
            self._file = path.open("wb")  # without its name, which could be a protocol
            self._container = av.open(self._file, "w", format="mp4")
            self._stream = self._container.add_stream("mpeg4", rate=self._rate or _TICKS)
            self._stream.width, self._stream.height = self._size
            self._stream.pix_fmt = "yuv420p"
            self._stream.codec_context.time_base = 1 / (self._rate or fractions.Fraction(_TICKS))
            self._stream.codec_context.options = {
                "flags": "+qscale",
                "global_quality": str(_QUANTIZER * _LAMBDA),
            }
            self._container.start_encoding()
        except (av.FFmpegError, ValueError) as error:
            raise OSError(f"{path} cannot be written as an mp4 video of {size} pixels") from error
        self._first = None

    def write(self, image: np.ndarray, start: float, end: float) -> None:
        """Adds a frame, `[H, W, 3]` uint8 RGB, shown from `start` to `end`, seconds."""
        if image.shape[1::-1] != self._size:  # a folder may hold frames of several sizes
            image = cv2.resize(image, self._size)
        self._first = start if self._first is None else self._first
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
        ticks = self._rate or _TICKS
        frame.pts = max(round((start - self._first) * ticks), self._next())
        frame.time_base = self._stream.codec_context.time_base
        self._last = frame.pts
        self._length = max(1, round((end - self._first) * ticks) - frame.pts)
        for packet in self._stream.encode(frame):
            packet.duration = self._length  # else the last frame of a file is cut short
            self._container.mux(packet)
        self.written += 1

    def _next(self) -> int:
        return self._last + 1 if self.written else 0

    def close(self) -> None:
        """Completes the file."""
        self._container.mux(self._stream.encode())
        self._container.close()
        self._file.close()
