"""Draws predictions into a video: landmarks on the picture, class bars and uncertainty beside."""

from __future__ import annotations

import collections
import functools
import pathlib
import pickle
from collections.abc import Iterable, Iterator, Mapping, Sequence

import cv2
import matplotlib
import numpy as np
import pandas as pd
from PIL import Image, ImageDraw, ImageFont

from fer_jax.timeline import prediction_timeline
from fer_jax.windows import Source, borders

_LEAST_SIDE = 360  # pixels; smaller pictures are enlarged so that the panel stays readable
_PANEL_WIDTH = 300  # pixels beside a picture whose shorter side is _LEAST_SIDE
_LINE = 30  # pixels, the same
_THUMBNAILS, _THUMBNAIL = 8, 224  # how many in a figure; pixels of a side

_GROUND, _TEXT, _FAINT, _RAIL = (24, 27, 32), (240, 242, 245), (158, 165, 175), (52, 58, 66)
SURE, UNSURE = (86, 196, 180), (255, 158, 74)  # RGB; apart in lightness too


def draw_clip(
    source: Source, table: pd.DataFrame, classes, threshold, spool, *, annotate=None, figure=None,
    advance=None,
) -> None:  # fmt: skip
    """Draws a clip that has been predicted; its pictures are read a second time.

    Args:
      source: the clip.
      table: what `predict_source` returned.
      classes: names.
      threshold: entropy (nats) above which the model withholds its answer, or None.
      spool: the file that `predict_source` filled, at its start.
      annotate: mp4 file of the annotated video.
      figure: png file of the timeline.
      advance: called after every frame.

    Raises:
      OSError: a file cannot be written.
    """
    thumbnails: list[np.ndarray] = []
    wanted = np.linspace(table["start"].iloc[0], table["end"].iloc[-1], 2 * _THUMBNAILS + 1)[1::2]
    frames = _frames(source, table, spool, advance)
    if figure is not None:
        frames = _with_thumbnails(frames, thumbnails, wanted, source)
    if annotate is not None:
        write_video(annotate, frames, classes, fps=source.fps, threshold=threshold)
    else:
        collections.deque(frames, maxlen=0)
    if figure is not None:
        name = pathlib.Path(source.path).name
        drawn = prediction_timeline(table, classes, threshold, thumbnails, name)
        pathlib.Path(figure).parent.mkdir(parents=True, exist_ok=True)
        drawn.savefig(figure)


def _frames(source: Source, table: pd.DataFrame, spool, advance) -> Iterator[tuple]:
    """Joins pictures, landmarks and the prediction that speaks for each moment."""
    rows = table.to_dict("records")
    edges, followed = borders(table["start"], table["end"]), table.attrs["faces"]
    for position, (picture, faces) in enumerate(
        zip(source.pictures(), _spooled(spool), strict=False)
    ):
        moment = (source.first + position + 0.5) / source.fps
        index = int(np.clip(np.searchsorted(edges, moment, "right") - 1, 0, len(rows) - 1))
        yield picture, faces.get(followed[index]), rows[index]
        if advance is not None:
            advance()


def _spooled(spool) -> Iterator[dict[int, np.ndarray]]:
    while True:
        try:
            yield pickle.load(spool)
        except EOFError:
            return


def _with_thumbnails(frames, thumbnails: list, wanted: np.ndarray, source: Source) -> Iterator:
    for position, frame in enumerate(frames):
        moment = (source.first + position + 1) / source.fps
        while len(thumbnails) < len(wanted) and moment >= wanted[len(thumbnails)]:
            thumbnails.append(_thumbnail(*frame))
        yield frame


def _thumbnail(picture: np.ndarray, landmarks, row: Mapping) -> np.ndarray:
    """Cuts out the face with its landmarks, or the middle of the picture without one."""
    height, width = picture.shape[:2]
    centre, side = np.array([width, height]) / 2, min(width, height)
    if landmarks is not None:
        low, high = landmarks.min(0), landmarks.max(0)
        centre, side = (low + high) / 2 - [0, 0.08 * (high - low)[1]], 1.5 * max(high - low)
    zoom = _THUMBNAIL / side
    matrix = np.array([[zoom, 0, _THUMBNAIL / 2 - zoom * centre[0]],
                       [0, zoom, _THUMBNAIL / 2 - zoom * centre[1]]])  # fmt: skip
    flags = cv2.INTER_AREA if zoom < 1 else cv2.INTER_CUBIC
    size = _THUMBNAIL, _THUMBNAIL
    cut = cv2.warpAffine(picture, matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    if landmarks is not None:
        points = landmarks @ matrix[:, :2].T + matrix[:, 2]
        _draw_landmarks(cut, points, UNSURE if row["abstained"] else SURE)
    return cut


def write_video(
    path,
    frames: Iterable[tuple[np.ndarray, np.ndarray | None, Mapping]],
    classes: Sequence[str],
    *,
    fps: float,
    threshold: float | None,
) -> int:
    """Writes an annotated video (MPEG-4 part 2 in an mp4 file); frames are drawn as they come.

    Args:
      path: the mp4 file.
      frames: of every frame the picture `[H, W, 3]` uint8 RGB upright, the landmarks `[68, 2]` in
        its pixels or None, and the row of `predict_clips` that speaks for it.
      classes: names, also keys of the rows.
      fps: frames a second.
      threshold: entropy (nats) above which the model withholds its answer, or None.

    Returns:
      The number of frames written.

    Raises:
      OSError: the file cannot be written.
    """
    path = pathlib.Path(path)
    writer, size, written = None, None, 0
    try:
        for picture, landmarks, row in frames:
            image = draw_frame(picture, landmarks, row, classes, threshold)
            if writer is None:
                size = image.shape[1], image.shape[0]
                writer = _open_writer(path, fps, size)
            if image.shape[1::-1] != size:  # a folder may hold frames of several sizes
                image = cv2.resize(image, size)
            writer.write(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
            written += 1
    finally:
        if writer is not None:
            writer.release()
    return written


def _open_writer(path: pathlib.Path, fps: float, size: tuple[int, int]):
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), fps, size)
    if not writer.isOpened():
        raise OSError(f"{path} cannot be written as an mp4 video of {size[0]}x{size[1]} pixels")
    return writer


def draw_frame(picture, landmarks, row: Mapping, classes, threshold) -> np.ndarray:
    """Draws one frame of the annotated video; arguments as `write_video`.

    Returns:
      `[H', W', 3]` uint8 RGB with even sides: the picture, enlarged where it is small, and the
      panel on its right.
    """
    enlarged = max(1.0, _LEAST_SIDE / min(picture.shape[:2]))
    width, height = (2 * round(side * enlarged / 2) for side in picture.shape[1::-1])
    image = cv2.resize(picture, (width, height), interpolation=cv2.INTER_CUBIC)
    if landmarks is not None:
        points = (np.asarray(landmarks) + 0.5) * enlarged - 0.5
        _draw_landmarks(image, points, UNSURE if row["abstained"] else SURE)
    scale = min(width, height) / _LEAST_SIDE
    panel = _panel(_frozen(row, classes), threshold, height, round(scale, 3))
    return np.concatenate([image, panel], axis=1)


def _draw_landmarks(image: np.ndarray, points: np.ndarray, colour) -> None:
    radius = max(1.0, 0.011 * float(np.ptp(points, axis=0).max()))
    for x, y in points:
        centre = round(16 * float(x)), round(16 * float(y))
        for size, tone in ((radius * 1.5 + 0.5, _GROUND), (radius, colour)):
            cv2.circle(image, centre, round(16 * size), tone, -1, cv2.LINE_AA, shift=4)


def _frozen(row: Mapping, classes) -> tuple:
    probabilities = tuple((name, float(row[name])) for name in classes)
    others = ("label", "start", "end", "entropy", "mutual_information", "agreement", "abstained")
    return probabilities, tuple((name, row[name]) for name in others)


@functools.lru_cache(maxsize=4)
def _panel(row: tuple, threshold: float | None, height: int, scale: float) -> np.ndarray:
    """Draws the panel of one prediction; it changes only from window to window."""
    probabilities, row = row[0], dict(row[1])
    image = Image.new("RGB", (2 * round(_PANEL_WIDTH * scale / 2), height), _GROUND)
    panel = _Panel(ImageDraw.Draw(image), scale, image.width)
    faceless = not np.isfinite(row["entropy"])
    panel.heading(row, faceless)
    room = height - panel.y - scale * 88
    lines = max(1, min(len(probabilities), int(room / (17 * scale))))
    spacing = min(_LINE * scale, room / lines)
    chances = [0.0 if faceless else chance for _, chance in probabilities]
    colour = UNSURE if row["abstained"] else SURE
    for index in sorted(np.argsort(chances, kind="stable")[::-1][:lines]):
        tone = colour if not faceless and chances[index] == max(chances) else _FAINT
        panel.bar(probabilities[index][0], chances[index], tone, spacing, faceless)
    if not faceless:
        panel.gauge(row, threshold, float(np.log(len(probabilities))), colour)
    return np.asarray(image)


class _Panel:
    """A pen that writes line below line; lengths in pixels of the smallest panel."""

    def __init__(self, draw: ImageDraw.ImageDraw, scale: float, width: int):
        self.draw, self.scale, self.width = draw, scale, width
        self.left, self.right = 16 * scale, width - 16 * scale
        self.y = 14 * scale

    def text(self, x: float, y: float, text: str, size: float, colour, bold=False, anchor="la"):
        font = _font(round(size * self.scale), bold)
        while font.getlength(text) > self.right - self.left and len(text) > 4:
            text = f"{text[:-2]}…"
        self.draw.text((x, y), text, colour, font, anchor)

    def heading(self, row: dict, faceless: bool) -> None:
        label, colour = row["label"], SURE
        detail = f"{row['start']:.1f}–{row['end']:.1f} s"
        if faceless:
            colour = _FAINT
        elif row["abstained"]:
            label, colour, detail = "unsure", UNSURE, f"perhaps {label} · {detail}"
        self.text(self.left, self.y, label, 27, colour, bold=True)
        self.text(self.left, self.y + 37 * self.scale, detail, 13, _FAINT)
        self.y += 66 * self.scale

    def bar(self, name: str, chance: float, colour, spacing: float, faceless: bool) -> None:
        size = min(14, 0.62 * spacing / self.scale)
        middle = self.y + spacing / 2
        start, end = self.left + 104 * self.scale, self.right - 46 * self.scale
        font = _font(round(size * self.scale), False)
        while font.getlength(name) > 98 * self.scale and len(name) > 3:
            name = f"{name[:-2]}…"
        shown = _FAINT if colour is _FAINT else _TEXT
        self.draw.text((self.left, middle), name, shown, font, "lm")
        half = 0.27 * spacing
        self.draw.rectangle((start, middle - half, end, middle + half), _RAIL)
        if chance * (end - start) >= 1:
            box = start, middle - half, start + chance * (end - start), middle + half
            self.draw.rectangle(box, colour)
        number = "–" if faceless else f"{100 * chance:.0f} %"
        self.draw.text((self.right, middle), number, shown, font, "rm")
        self.y += spacing

    def gauge(self, row: dict, threshold: float | None, most: float, colour) -> None:
        """Entropy between nothing and that of guessing, the threshold a mark on it."""
        self.y += 12 * self.scale
        most = max(most, 1e-9)  # a single class leaves nothing to be unsure of
        amount = row["entropy"] / most
        self.text(self.left, self.y, "uncertainty", 13, _TEXT)
        value = f"{row['entropy']:.2f} of {most:.2f} nats"
        self.text(self.right, self.y, value, 13, _TEXT, anchor="ra")
        top, bottom = self.y + 22 * self.scale, self.y + 34 * self.scale
        length = self.right - self.left
        self.draw.rectangle((self.left, top, self.right, bottom), _RAIL)
        self.draw.rectangle((self.left, top, self.left + min(amount, 1) * length, bottom), colour)
        if threshold is not None and np.isfinite(threshold):
            x = self.left + np.clip(threshold / most, 0, 1) * length
            mark = (x, top - 3 * self.scale, x, bottom + 3 * self.scale)
            self.draw.line(mark, _TEXT, max(1, round(2 * self.scale)))
        passes = f"{100 * row['agreement']:.0f} % of passes agree"
        information = f"mutual inf. {row['mutual_information']:.2f}"
        self.text(self.left, bottom + 8 * self.scale, passes, 11.5, _FAINT)
        self.text(self.right, bottom + 8 * self.scale, information, 11.5, _FAINT, anchor="ra")


@functools.lru_cache(maxsize=32)
def _font(size: int, bold: bool) -> ImageFont.FreeTypeFont:
    # matplotlib brings this font along, so it is there on every machine
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    folder = pathlib.Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    return ImageFont.truetype(str(folder / name), max(6, size))
