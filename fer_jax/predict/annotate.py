"""Draws predictions: a video with landmarks and a panel, a timeline figure."""

from __future__ import annotations

import collections
import itertools
import pathlib
import pickle
from collections.abc import Iterable, Iterator, Mapping, Sequence

import cv2
import numpy as np
import pandas as pd
from PIL import Image, ImageDraw

from fer_jax.faces.labels import UNREADABLE, said_of
from fer_jax.faces.media.writer import VideoWriter
from fer_jax.machine import whole_file
from fer_jax.plotting.panel import GROUND, LEAST_SIDE, SURE, UNSURE, font
from fer_jax.plotting.timeline import borders, save_below
from fer_jax.predict.windows import Source
from fer_jax.tasks import TASKS
from fer_jax.tasks.base import NO_FACE, reason_of
from fer_jax.tasks.classification.figures import class_distributions
from fer_jax.tasks.dimensions.panel import TRAIL_SECONDS

_THUMBNAILS, _THUMBNAIL = 8, 224  # number in a figure; side, pixels
_RISE = 0.35  # of the height of the landmarks, by which the box of a face goes beyond them


def draw_clip(
    source: Source, table: pd.DataFrame, classes, threshold, spool, *, task="classification",
    annotate=None, figure=None, advance=None, samples=None,
) -> None:  # fmt: skip
    """Draws a predicted clip; its pictures are read a second time.

    The figure of a still picture is its annotated frame, once for each person.

    Args:
      source: the clip.
      table: returned by `predict_source`.
      classes: names of classes, action units or dimensions.
      threshold: entropy (nats; of dimensions: uncertainty) above which the model abstains, or None;
        for action units one each.
      spool: file filled by `predict_source`, positioned at its start.
      task: key of `tasks.TASKS`.
      annotate: mp4 file of the annotated video.
      figure: png file of the timeline, or of the annotated picture.
      advance: called after every frame.
      samples: `[S, C]`, the MC samples of a clip of one window, drawn below the timeline.

    Raises:
      OSError: a file cannot be written.
    """
    people = sorted(set(table["person"]) - {0})  # 0: nobody
    if len(people) < 2:
        people = [None]  # pictures are of their own moments, also of those without a face
    thumbnails: dict = {person: [] for person in people}
    wanted = np.linspace(table["start"].iloc[0], table["end"].iloc[-1], 2 * _THUMBNAILS + 1)[1::2]
    frames = _frames(source, table, task, spool, advance)
    if figure is not None and is_still(source):
        frames = list(frames)
        _save_still(figure, *frames[0][2:], classes, threshold, task)
        figure = None
    if figure is not None:
        frames = _with_thumbnails(frames, thumbnails, wanted)
    if annotate is not None:
        rate = source.fps if source.steady else 0.0
        how = {"threshold": threshold, "task": task, "numbered": len(people) > 1}
        write_video(annotate, frames, classes, fps=rate, **how)
    else:
        collections.deque(frames, maxlen=0)
    if figure is not None:
        name, drawn = pathlib.Path(source.path).name, []
        for person in people:
            rows = table if len(people) == 1 else _rows_of(table, person, classes, task)
            title = name if len(people) == 1 else f"{name}, person {person}"
            own = thumbnails[person]
            drawn.append(TASKS[task].draw_timeline(rows, classes, threshold, own, title))
        if samples is not None and len(samples) > 1:
            drawn.append(class_distributions(samples, classes))
        save_below(drawn, figure)


def is_still(source: Source) -> bool:
    """Whether a clip is a single picture, over which no time passes."""
    return source.announced == 1


def _save_still(path, picture: np.ndarray, people, classes, threshold, task: str) -> None:
    """Saves a picture with the panel of each person, one below the other in order of numbers."""
    own = {"start": None, "end": None, "several": len(people) > 1}
    people = [(face, {**row, **own}) for face, row in people]
    people.sort(key=lambda one: one[1]["person"])
    images = []
    for one in people:
        others = [other for other in people if other is not one]
        images.append(draw_frame(picture, *one, classes, threshold, task, others))
    with whole_file(pathlib.Path(path)) as partial:
        Image.fromarray(np.concatenate(images)).save(partial, "PNG", optimize=True)


def _rows_of(table: pd.DataFrame, person: int, classes, task: str) -> pd.DataFrame:
    """Returns one row a window for one person, without a face where the person is not in it."""
    times = table[["start", "end"]].drop_duplicates()
    rows = times.merge(table[table["person"] == person], how="left", on=["start", "end"])
    absent = rows["frames"].isna()
    blank = {"frames": 0, "reason": f"{UNREADABLE}{NO_FACE}", **TASKS[task].blank_row(classes)}
    for name, value in blank.items():
        rows[name] = rows[name].where(~absent, value).astype(table[name].dtype)
    return rows


def _frames(source: Source, table: pd.DataFrame, task: str, spool, advance) -> Iterator[tuple]:
    """Yields start, end (seconds), picture and people of every frame, see `write_video`."""
    windows = _windows(table)
    start, end = (np.array([rows[0][1][name] for rows in windows]) for name in ("start", "end"))
    edges = borders(start, end, TASKS[task].moments(start, end, source.fps))
    for picture, (start, end, faces) in zip(source.pictures(), _spooled(spool), strict=False):
        moment = (start + end) / 2
        index = int(np.clip(np.searchsorted(edges, moment, "right") - 1, 0, len(windows) - 1))
        people = [(faces.get(track), row) for track, row in windows[index]]
        people.sort(key=lambda one: one[0] is None)  # the panel shows somebody who is visible
        yield start, end, picture, people
        if advance is not None:
            advance()


def _windows(table: pd.DataFrame) -> list[list[tuple[int | None, dict]]]:
    """Groups tracks and rows by window; the largest face comes first."""
    windows: list[list] = []
    trails: dict = {}
    for track, row in zip(table.attrs["faces"], table.to_dict("records"), strict=True):
        row = _with_trail(row, trails.setdefault(track, []))
        if windows and windows[-1][0][1]["start"] == row["start"]:
            windows[-1].append((track, row))
        else:
            windows.append([(track, row)])
    return [sorted(rows, key=lambda one: -one[1]["face_size"]) for rows in windows]


def _with_trail(row: dict, before: list[dict]) -> dict:
    """Adds the person's rows of the seconds before it, as `before`, oldest first."""
    while before and before[0]["start"] < row["start"] - TRAIL_SECONDS:
        del before[0]
    trailed = {**row, "before": list(before)}
    before.append(row)
    return trailed


def _spooled(spool) -> Iterator[tuple[float, float, dict[int, np.ndarray]]]:
    while True:
        try:
            yield pickle.load(spool)
        except EOFError:
            return


def _with_thumbnails(frames, thumbnails: dict, wanted: np.ndarray) -> Iterator:
    """Fills the list of each person; None is whoever is predicted.

    Who is absent at a wanted moment is shown at the nearest one at which the person is there.
    """
    last: dict = {}  # of each person: moment and arguments of `_thumbnail`
    for start, end, picture, people in frames:
        for person, own in thumbnails.items():
            shown = [(picture, *p) for p in people if person in (None, p[1]["person"])]
            if shown and (person is None or shown[0][1] is not None):
                before, _ = last.get(person, (-np.inf, None))
                for index in range(len(own)):
                    if before < wanted[index] and end - wanted[index] < wanted[index] - before:
                        own[index] = _thumbnail(*shown[0])
                last[person] = end, shown[0]
            while len(own) < len(wanted) and end >= wanted[len(own)]:
                own.append(_thumbnail(*last.get(person, (0.0, (picture, None, {})))[1]))
        yield start, end, picture, people


def _thumbnail(picture: np.ndarray, landmarks, row: Mapping) -> np.ndarray:
    """Cuts out the face with its landmarks, or the middle of a picture without a face."""
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
    frames: Iterable[tuple[float, float, np.ndarray, list[tuple[np.ndarray | None, Mapping]]]],
    classes: Sequence[str],
    *,
    fps: float,
    threshold: float | None | Sequence[float | None],
    task: str = "classification",
    numbered: bool = False,
) -> int:
    """Writes an annotated video (MPEG-4 part 2 in an mp4 file), drawing frame by frame.

    The file is replaced only when the new one is complete.

    Args:
      path: the mp4 file.
      frames: for every frame its start and end, seconds, the picture `[H, W, 3]` uint8 RGB upright,
        and of every person the landmarks `[68, 2]`, or two corners of the box, `[2, 2]`, in
        its pixels, or None, and the row of
        `predict_clips` for its time; the panel shows the first one.
      classes: names, also keys of the rows.
      fps: frames per second, 0 if the rate varies: each frame is then shown as long as it lasts.
      threshold, task: see `draw_clip`.
      numbered: whether every face has the number and the label of its person, and that of the panel
        a frame, so that nobody is mistaken for another.

    Returns:
      The number of frames written.

    Raises:
      OSError: the file cannot be written.
    """
    frames = iter(frames)
    if (first := next(frames, None)) is None:
        return 0
    frames = itertools.chain([first], frames)
    with whole_file(pathlib.Path(path)) as partial:
        writer = None
        try:
            for start, end, picture, ((landmarks, row), *others) in frames:
                drawn = landmarks, row, classes, threshold, task, others, numbered
                image = draw_frame(picture, *drawn)
                writer = writer or VideoWriter(partial, image.shape[1::-1], fps)
                writer.write(image, start, end)
        finally:
            if writer is not None:
                writer.close()
    return writer.written


def draw_frame(
    picture,
    landmarks,
    row: Mapping,
    classes,
    threshold,
    task="classification",
    others=(),
    numbered=False,
) -> np.ndarray:
    """Draws one frame of the annotated video; arguments as `write_video`.

    With `others`, landmarks and row of each, it is always `numbered`.

    Returns:
      `[H', W', 3]` uint8 RGB with even sides: the picture, enlarged if it is small, and the panel
      to its right.
    """
    enlarged = max(1.0, LEAST_SIDE / min(picture.shape[:2]))
    width, height = (2 * round(side * enlarged / 2) for side in picture.shape[1::-1])
    image = cv2.resize(picture, (width, height), interpolation=cv2.INTER_CUBIC)
    scale, named = min(width, height) / LEAST_SIDE, []
    for number, (face, its) in enumerate([(landmarks, row), *others]):
        if face is None:
            continue
        points = (np.asarray(face) + 0.5) * enlarged - 0.5
        _draw_landmarks(image, points, UNSURE if its["abstained"] else SURE)
        if others or numbered:
            image = _draw_name(image, points, its, scale, named, framed=number == 0)
    panel = TASKS[task].draw_panel(row, classes, threshold, height, round(scale, 3))
    return np.concatenate([image, panel], axis=1)


def _draw_name(image, points, row: Mapping, scale: float, named: list, framed: bool) -> np.ndarray:
    """Writes number and label of a person above the face; returns the picture.

    Args:
      image: `[H, W, 3]` uint8 RGB.
      points: `[68, 2]` in its pixels.
      row: of the person.
      scale: of the text.
      named: boxes of the names in the picture, none of which it covers; receives its own.
      framed: whether the face gets a frame.
    """
    colour = UNSURE if row["abstained"] else SURE
    said = reason_of(row) if row["abstained"] else said_of(row)
    canvas = Image.fromarray(image)
    draw, writing = ImageDraw.Draw(canvas), font(round(13 * scale), bold=True)
    left, top, right, bottom = drawn_box(points)
    if framed:
        draw.rectangle((left, top, right, bottom), outline=colour, width=round(2 * scale))
    text = f" {row['person']}  {said} "
    x = max(min(left, canvas.width - 2 - writing.getlength(text)), 2)
    y = max(top - 18 * scale, 2)
    box = draw.textbbox((x, y), text, writing)
    while any(_overlap(box, other) for other in named) and y > 2:
        y = max(y - 3 * scale, 2)
        box = draw.textbbox((x, y), text, writing)
    named.append(box)
    draw.rectangle(box, fill=GROUND)
    draw.text((x, y), text, colour, writing)
    return np.array(canvas)


def drawn_box(points: np.ndarray) -> tuple[float, float, float, float]:
    """Returns left, top, right, bottom of the box to draw around a face.

    Args:
      points: `[68, 2]` landmarks, or `[2, 2]` corners of a box, pixels.
    """
    (left, top), (right, bottom) = points.min(0), points.max(0)
    if len(points) > 2:  # landmarks end at the brows
        top -= _RISE * (bottom - top)
    return left, top, right, bottom


def _overlap(one, other) -> bool:
    """Whether two boxes (left, top, right, bottom) share pixels."""
    return one[0] <= other[2] and other[0] <= one[2] and one[1] <= other[3] and other[1] <= one[3]


def _draw_landmarks(image: np.ndarray, points: np.ndarray, colour) -> None:
    if len(points) == 2:  # corners of a face known by its box alone
        (left, top), (right, bottom) = np.round(points).astype(int).tolist()
        cv2.rectangle(image, (left, top), (right, bottom), colour, 2, cv2.LINE_AA)
        return
    radius = max(1.0, 0.011 * float(np.ptp(points, axis=0).max()))
    for x, y in points:
        centre = round(16 * float(x)), round(16 * float(y))
        for size, tone in ((radius * 1.5 + 0.5, GROUND), (radius, colour)):
            cv2.circle(image, centre, round(16 * size), tone, -1, cv2.LINE_AA, shift=4)
