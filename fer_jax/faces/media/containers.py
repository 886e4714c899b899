"""Decodes videos with their time stamps; a file can neither open others nor reach the network."""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
from collections.abc import Iterator

import av
import numpy as np

from fer_jax.faces.media.clock import Clock, make_clock, steady_clock, unwrapped
from fer_jax.faces.media.regular import open_regular
from fer_jax.faces.sequence import ClipError

av.logging.set_level(None)  # decoders print every damaged packet; the report has what matters

MOST_PIXELS = 100_000_000  # of a frame or picture
# Playlists and the like name other files, so that only containers are read.
_CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,asf,flv,mpeg,mpegts,ogg,mxf,nut,ivf,gif,apng,dv,wtv,"
    "rm,yuv4mpegpipe,png_pipe,jpeg_pipe,bmp_pipe,webp_pipe"
)
_STREAMS = "h264,hevc,m4v,mpegvideo,mjpeg,obu,vc1"  # of a codec alone, without rate and stamps
_BUFFER = 1 << 18  # bytes
_FASTEST = 1000.0  # frames per second; browsers state this for want of a rate
_ERRORS = (av.FFmpegError, OSError, ValueError, EOFError)


@dataclasses.dataclass(frozen=True)
class Index:
    """What a pass over the packets of a video tells, without decoding.

    Attributes:
      clock: when its frames begin; None if neither stamps nor a rate are known.
      stamps: `[N]` int64 ascending, ticks of the stream, if each frame has one of its own, so that
        a frame is found by its stamp; else None.
      count: number of frames.
      stated: seconds that the container states for the stream; 0 if it does not.
    """

    clock: Clock | None
    stamps: np.ndarray | None
    count: int
    stated: float


class Video:
    """An open video; a context manager.

    Attributes:
      index: of its frames.
    """

    def __init__(self, path: pathlib.Path):
        """Opens a video.

        Raises:
          ClipError: it is no regular file, no video, damaged, or has no pictures.
        """
        self._path = path
        with _open(path) as container:
            self.index = _index(path, container)

    def decode(self, first: int = 0) -> Iterator[tuple[int, np.ndarray]]:
        """Yields position and picture `[H, W, 3]` uint8 RGB, upright, of frames from `first` on."""
        with _open(self._path) as container:
            stream = _pictures(self._path, container)
            stream.thread_type = "AUTO"
            seek = first and self.index.stamps is not None and first < self.index.count
            if seek:
                container.seek(int(self.index.stamps[first]), stream=stream)
            positions = _Positions(None if self.index.stamps is None else self.index.stamps)
            for frame in _frames(container, stream):
                position = positions.of(frame)
                if position >= first:
                    yield position, _rgb(frame)


class _Positions:
    """Numbers decoded frames, by their stamps where these tell."""

    def __init__(self, stamps):
        self._stamps, self._next = stamps, 0

    def of(self, frame) -> int:
        position = self._next
        if self._stamps is not None and frame.pts is not None:
            position = max(position, int(np.searchsorted(self._stamps, frame.pts)))
        self._next = position + 1
        return position


@contextlib.contextmanager
def _open(path: pathlib.Path):
    # A file without a name: the name is no protocol, pattern or option to the library.
    with open_regular(path) as file:
        if b"\0" not in file.read(4096):
            raise ClipError("unreadable", f"{path} is text, not a video")
        file.seek(0)
        options = {
            "protocol_whitelist": "file",
            "format_whitelist": f"{_CONTAINERS},{_STREAMS}",
            "max_pixels": str(MOST_PIXELS),
        }
        try:
            container = av.open(file, options=options, buffer_size=_BUFFER)
        except _ERRORS as error:
            what = "is not a video, or is damaged: no frame can be decoded"
            raise ClipError("unreadable", f"{path} {what}") from error
        with container:
            yield container


def _pictures(path: pathlib.Path, container):
    """Returns the first stream of pictures; covers of music are none."""
    covers = av.stream.Disposition.attached_pic
    streams = [s for s in container.streams.video if not s.disposition & covers]
    if not streams:
        what = "holds sound" if container.streams.audio else "holds no video stream"
        raise ClipError("no pictures", f"{path} {what}, no pictures")
    width, height = streams[0].codec_context.width, streams[0].codec_context.height
    if width * height > MOST_PIXELS:
        raise ClipError("too large", too_large(path, width, height))
    return streams[0]


def too_large(path: pathlib.Path, width: int, height: int) -> str:
    """Describes a picture above the limit."""
    limit = MOST_PIXELS // 1_000_000
    return f"{path} has {width} x {height} pixels, more than {limit} million: scale it down"


def _index(path: pathlib.Path, container) -> Index:
    stream = _pictures(path, container)
    tick = float(stream.time_base or 0)
    found, count, left_out = [], 0, 0
    with contextlib.suppress(*_ERRORS):  # a truncated file ends here
        for packet in container.demux(stream):
            if not packet.size or packet.is_discard:  # by an edit list
                left_out += bool(packet.size)
                continue
            count += 1
            if packet.pts is not None:
                found.append(packet.pts)
    rates = [float(rate) for rate in (stream.average_rate, stream.guessed_rate) if rate]
    rates = [rate for rate in rates if 0 < rate < _FASTEST]
    length = _stated_seconds(container, stream, tick)
    if rates and stream.frames > count + left_out:  # AVI: the duration is that of what is left
        length = max(length, (stream.frames - left_out) / rates[0])
    raw = container.format.name in _STREAMS.split(",")
    stamps = np.array(found, np.int64)
    # Of interlaced video, the second field of a frame may have none.
    if raw or 2 * len(stamps) < count or len(np.unique(stamps)) < min(2, count):
        return _without_stamps(count, 0.0 if raw or not rates else rates[0], length)
    ordered, jumps = unwrapped(stamps, tick)
    note = f"its time stamps jump back {jumps} times: taken to go on" if jumps else ""
    ordered = np.sort(ordered)
    if count == 1:
        clock = steady_clock(1, rates[0]) if rates else None
    else:
        clock = make_clock(ordered * tick, rates, note)
    own = not jumps and len(np.unique(ordered)) == len(ordered)
    return Index(clock, ordered if own else None, len(ordered), length)


def _stated_seconds(container, stream, tick: float) -> float:
    """Returns how long the pictures last according to the container, 0 if it does not tell."""
    if stream.duration:
        return stream.duration * tick
    try:  # Matroska has it as text, 00:00:01.933
        hours, minutes, seconds = stream.metadata.get("DURATION", "").split(":")
        return 3600 * int(hours) + 60 * int(minutes) + float(seconds)
    except ValueError:
        alone = len(container.streams) == 1  # else it may be that of the sound
        return (container.duration or 0) / av.time_base if alone else 0.0


def _without_stamps(count: int, rate: float, length: float) -> Index:
    note = f"no time stamps in it: {rate:g} frames a second by its header" if count > 1 else ""
    return Index(steady_clock(count, rate, note) if rate else None, None, count, length)


def _frames(container, stream) -> Iterator:
    """Decodes, and skips damaged packets."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except (StopIteration, *_ERRORS):
            return
        try:
            yield from packet.decode()
        except _ERRORS:
            continue


def _rgb(frame) -> np.ndarray:
    """Converts a frame of any pixel format, and turns it as its display matrix says."""
    image = frame.to_ndarray(format="rgb24", interpolation="BICUBIC")
    if turns := round(frame.rotation / 90) % 4:
        image = np.ascontiguousarray(np.rot90(image, turns))
    return image
