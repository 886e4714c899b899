"""Draws predictions: a video with landmarks and a panel, a timeline figure."""

from __future__ import annotations

import collections
import pathlib
import pickle
from collections.abc import Iterable, Iterator, Mapping, Sequence

import cv2
import numpy as np
import pandas as pd

from fer_jax.faces.media.writer import VideoWriter
from fer_jax.plotting.panel import GROUND, LEAST_SIDE, SURE, UNSURE
from fer_jax.plotting.timeline import borders
from fer_jax.predict.windows import Source
from fer_jax.tasks import TASKS
from fer_jax.tasks.dimensions.panel import TRAIL_SECONDS

_THUMBNAILS, _THUMBNAIL = 8, 224  # number in a figure; side, pixels


def draw_clip(
    source: Source, table: pd.DataFrame, classes, threshold, spool, *, task="classification",
    annotate=None, figure=None, advance=None,
) -> None:  # fmt: skip
    """Draws a predicted clip; its pictures are read a second time.

    Args:
      source: the clip.
      table: returned by `predict_source`.
      classes: names of classes, action units or dimensions.
      threshold: entropy (nats; of dimensions: uncertainty) above which the model abstains, or None;
        for action units one each.
      spool: file filled by `predict_source`, positioned at its start.
      task: key of `tasks.TASKS`.
      annotate: mp4 file of the annotated video.
      figure: png file of the timeline.
      advance: called after every frame.

    Raises:
      OSError: a file cannot be written.
    """
    thumbnails: list[np.ndarray] = []
    wanted = np.linspace(table["start"].iloc[0], table["end"].iloc[-1], 2 * _THUMBNAILS + 1)[1::2]
    frames = _frames(source, table, task, spool, advance)
    if figure is not None:
        frames = _with_thumbnails(frames, thumbnails, wanted)
    if annotate is not None:
        rate = source.fps if source.steady else 0.0
        write_video(annotate, frames, classes, fps=rate, threshold=threshold, task=task)
    else:
        collections.deque(frames, maxlen=0)
    if figure is not None:
        name = pathlib.Path(source.path).name
        drawn = TASKS[task].draw_timeline(table, classes, threshold, thumbnails, name)
        pathlib.Path(figure).parent.mkdir(parents=True, exist_ok=True)
        drawn.savefig(figure)


def _frames(source: Source, table: pd.DataFrame, task: str, spool, advance) -> Iterator[tuple]:
    """Yields start, end (seconds), picture, landmarks and prediction of every frame."""
    rows = _with_trails(table.to_dict("records"))
    start, end, followed = table["start"], table["end"], table.attrs["faces"]
    edges = borders(start, end, TASKS[task].moments(start, end, source.fps))
    for picture, (start, end, faces) in zip(source.pictures(), _spooled(spool), strict=False):
        moment = (start + end) / 2
        index = int(np.clip(np.searchsorted(edges, moment, "right") - 1, 0, len(rows) - 1))
        yield start, end, picture, faces.get(followed[index]), rows[index]
        if advance is not None:
            advance()


def _with_trails(rows: list[dict]) -> list[dict]:
    """Adds to each row the rows of the seconds before it, as `before`, oldest first."""
    trailed, first = [], 0
    for index, row in enumerate(rows):
        while rows[first]["start"] < row["start"] - TRAIL_SECONDS:
            first += 1
        trailed.append({**row, "before": rows[first:index]})
    return trailed


def _spooled(spool) -> Iterator[tuple[float, float, dict[int, np.ndarray]]]:
    while True:
        try:
            yield pickle.load(spool)
        except EOFError:
            return


def _with_thumbnails(frames, thumbnails: list, wanted: np.ndarray) -> Iterator:
    for start, end, *drawn in frames:
        while len(thumbnails) < len(wanted) and end >= wanted[len(thumbnails)]:
            thumbnails.append(_thumbnail(*drawn))
        yield start, end, *drawn


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
    frames: Iterable[tuple[float, float, np.ndarray, np.ndarray | None, Mapping]],
    classes: Sequence[str],
    *,
    fps: float,
    threshold: float | None | Sequence[float | None],
    task: str = "classification",
) -> int:
    """Writes an annotated video (MPEG-4 part 2 in an mp4 file), drawing frame by frame.

    Args:
      path: the mp4 file.
      frames: for every frame its start and end, seconds, the picture `[H, W, 3]` uint8 RGB upright,
        the landmarks `[68, 2]` in its pixels or None, and the row of `predict_clips` for its time.
      classes: names, also keys of the rows.
      fps: frames per second, 0 if the rate varies: each frame is then shown as long as it lasts.
      threshold, task: see `draw_clip`.

    Returns:
      The number of frames written.

    Raises:
      OSError: the file cannot be written.
    """
    writer = None
    try:
        for start, end, picture, landmarks, row in frames:
            image = draw_frame(picture, landmarks, row, classes, threshold, task)
            writer = writer or VideoWriter(path, image.shape[1::-1], fps)
            writer.write(image, start, end)
    finally:
        if writer is not None:
            writer.close()
    return writer.written if writer is not None else 0


def draw_frame(
    picture, landmarks, row: Mapping, classes, threshold, task="classification"
) -> np.ndarray:
    """Draws one frame of the annotated video; arguments as `write_video`.

    Returns:
      `[H', W', 3]` uint8 RGB with even sides: the picture, enlarged if it is small, and the panel
      to its right.
    """
    enlarged = max(1.0, LEAST_SIDE / min(picture.shape[:2]))
    width, height = (2 * round(side * enlarged / 2) for side in picture.shape[1::-1])
    image = cv2.resize(picture, (width, height), interpolation=cv2.INTER_CUBIC)
    if landmarks is not None:
        points = (np.asarray(landmarks) + 0.5) * enlarged - 0.5
        _draw_landmarks(image, points, UNSURE if row["abstained"] else SURE)
    scale = min(width, height) / LEAST_SIDE
    panel = TASKS[task].draw_panel(row, classes, threshold, height, round(scale, 3))
    return np.concatenate([image, panel], axis=1)


def _draw_landmarks(image: np.ndarray, points: np.ndarray, colour) -> None:
    radius = max(1.0, 0.011 * float(np.ptp(points, axis=0).max()))
    for x, y in points:
        centre = round(16 * float(x)), round(16 * float(y))
        for size, tone in ((radius * 1.5 + 0.5, GROUND), (radius, colour)):
            cv2.circle(image, centre, round(16 * size), tone, -1, cv2.LINE_AA, shift=4)
