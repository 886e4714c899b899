"""Decodes videos with their time stamps; a file can neither open others nor reach the network."""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
from collections.abc import Iterator, Sequence

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
_MOST_ASPECT = 3.0  # of a pixel; more is a mistake in the header
_FASTEST = 1000.0  # frames per second; browsers state this for want of a rate
_ERRORS = (av.FFmpegError, OSError, ValueError, EOFError)


@dataclasses.dataclass(frozen=True)
class Index:
    """What a pass over the packets of a video tells, without decoding.

    Attributes:
      clock: when its frames begin; None if neither stamps nor a rate are known.
      stamps: `[N]` int64 ascending, ticks of the stream, if each frame has one of its own, so that
        a frame is found by its stamp; else None.
      keys: positions of frames at which decoding can begin, ascending; empty without stamps.
      count: number of frames.
      stated: seconds that the container states for the stream; 0 if it does not.
    """

    clock: Clock | None
    stamps: np.ndarray | None
    keys: np.ndarray
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
            aspect = float(stream.sample_aspect_ratio or 1)
            for position, frame in self._from(container, stream, first):
                if position >= first:
                    yield position, _rgb(frame, aspect)

    def _from(self, container, stream, first: int) -> Iterator:
        """Yields position and frame from a frame up to `first` on."""
        if key := self._key_before(first):
            container.seek(int(self.index.stamps[key]), stream=stream)
            frames = _numbered(self.index.stamps, _frames(container, stream))
            start = next(frames, None)
            if start is not None and start[0] <= first:
                yield start
                yield from frames
                return
            container.seek(0)  # some containers find no frame exactly: read all
        yield from _numbered(self.index.stamps, _frames(container, stream))

    def sample(self, wanted: Sequence[int]) -> Iterator[np.ndarray]:
        """Yields the frames at positions in ascending order; decodes no more than it must."""
        frames, at = None, -1
        for position in wanted:
            key = self._key_before(position)
            if frames is None or key > at:
                frames = self.decode(key)
            for at, image in frames:  # noqa: B007, the position goes on with the next one
                if at >= position:
                    yield image
                    break

    def _key_before(self, position: int) -> int:
        """The last frame up to a position at which decoding can begin."""
        keys = self.index.keys
        return int(keys[max(0, np.searchsorted(keys, position, "right") - 1)]) if len(keys) else 0


def _numbered(stamps, frames) -> Iterator:
    """Yields position and frame: by the stamp where it tells, else one after the other."""
    position = -1
    for frame in frames:
        position += 1
        if stamps is not None and frame.pts is not None:
            position = max(position, int(np.searchsorted(stamps, frame.pts)))
        yield position, frame


@contextlib.contextmanager
def _open(path: pathlib.Path):
    # A file without a name: the name is no protocol, pattern or option to the library.
    with open_regular(path) as file:
        if b"\0" not in file.read(4096):
            raise ClipError(
                "unreadable", f"{path} is text, not a video (a table needs the suffix .csv)"
            )
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
    streams = _streams(container)
    if not streams:
        what = "holds sound" if container.streams.audio else "holds no video stream"
        raise ClipError("no pictures", f"{path} {what}, no pictures")
    if streams[0].codec_context is None:
        raise ClipError("unreadable", f"{path} is damaged, or of an unknown codec: convert it")
    width, height = streams[0].codec_context.width, streams[0].codec_context.height
    if width * height > MOST_PIXELS:
        raise ClipError("too large", too_large(path, width, height))
    return streams[0]


def _streams(container) -> list:
    covers = av.stream.Disposition.attached_pic
    return [s for s in container.streams.video if s.codec_context and not s.disposition & covers]


def _several(container) -> str:
    """Notes that a file has several streams of pictures, as of several cameras."""
    count = len(_streams(container))
    return f"{count} streams of pictures in it, the first is read" if count > 1 else ""


def too_large(path: pathlib.Path, width: int, height: int) -> str:
    """Describes a picture above the limit."""
    limit = MOST_PIXELS // 1_000_000
    return f"{path} has {width} x {height} pixels, more than {limit} million: scale it down"


def _index(path: pathlib.Path, container) -> Index:
    stream = _pictures(path, container)
    tick = float(stream.time_base or 0)
    found, decoding, keys, count, left_out = [], [], [], 0, 0
    with contextlib.suppress(*_ERRORS):  # a truncated file ends here
        for packet in container.demux(stream):
            if not packet.size or packet.is_discard:  # by an edit list
                left_out += bool(packet.size)
                continue
            count += 1
            if packet.pts is not None:
                found.append(packet.pts)
                decoding.append(np.nan if packet.dts is None else packet.dts)
                keys += [packet.pts] if packet.is_keyframe else []
    if not count:
        raise ClipError("unreadable", f"{path} is damaged or empty: no frame can be decoded")
    rates = [float(rate) for rate in (stream.average_rate, stream.guessed_rate) if rate]
    rates = [rate for rate in rates if 0 < rate < _FASTEST]
    begin = tick * min(found, default=stream.start_time or 0)
    length = _stated_seconds(container, stream, begin)
    if rates and stream.frames > count + left_out:  # AVI: the duration is that of what is left
        length = max(length, (stream.frames - left_out) / rates[0])
    raw = container.format.name in _STREAMS.split(",")
    stamps = np.array(found, np.int64)
    # Of interlaced video, the second field of a frame may have none.
    if raw or 2 * len(stamps) < count or len(np.unique(stamps)) < min(2, count):
        rate = 0.0 if raw or not rates else rates[0]
        return _without_stamps(count, rate, length, _several(container))
    ordered, jumps = unwrapped(stamps, tick, np.array(decoding, np.float64))
    note = f"its time stamps jump back {jumps} times: taken to go on" if jumps else ""
    note = "; ".join(filter(None, [_several(container), note]))
    ordered = np.sort(ordered)
    if count == 1:
        clock = steady_clock(1, rates[0], note) if rates else None
    else:
        clock = make_clock(ordered * tick, rates, note)
    own = not jumps and len(np.unique(ordered)) == len(ordered)
    keys = np.searchsorted(ordered, np.sort(keys)) if own else np.zeros(0, int)
    return Index(clock, ordered if own else None, keys, len(ordered), length)


def _stated_seconds(container, stream, begin: float) -> float:
    """Returns how long the pictures last according to the container, 0 if it does not tell.

    Args:
      container, stream: of the video.
      begin: seconds at which its first frame begins, by the clock of the stream.
    """
    try:  # Matroska has the end, as text: 00:00:01.933
        hours, minutes, seconds = stream.metadata.get("DURATION", "").split(":")
        return 3600 * int(hours) + 60 * int(minutes) + float(seconds) - begin
    except ValueError:
        if stream.duration:
            matroska = "matroska" in container.format.name  # from 0 on
            return stream.duration * float(stream.time_base or 0) - (begin if matroska else 0.0)
        alone = len(container.streams) == 1  # else it may be that of the sound
        return (container.duration or 0) / av.time_base - begin if alone else 0.0


def _without_stamps(count: int, rate: float, length: float, note: str) -> Index:
    if count > 1:
        stated = f"no time stamps in it: {rate:g} frames a second by its header"
        note = "; ".join(filter(None, [note, stated]))
    clock = steady_clock(count, rate, note) if rate else None
    return Index(clock, None, np.zeros(0, int), count, length)


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


def _square(width: int, height: int, aspect: float) -> tuple[int, int]:
    """The size of a picture with square pixels.

    Args:
      width, height: as stored.
      aspect: width of a pixel, heights of a pixel.
    """
    if abs(aspect - 1) < 0.01 or not 1 / _MOST_ASPECT <= aspect <= _MOST_ASPECT:
        return width, height
    return round(width * max(1.0, aspect)), round(height / min(1.0, aspect))


def _rgb(frame, aspect: float) -> np.ndarray:
    """Converts a frame of any pixel format, see `_square`, and turns it upright."""
    width, height = _square(frame.width, frame.height, aspect)
    image = frame.to_ndarray(format="rgb24", width=width, height=height, interpolation="BICUBIC")
    if turns := round(frame.rotation / 90) % 4:
        image = np.ascontiguousarray(np.rot90(image, turns))
    return image
