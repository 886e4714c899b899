"""Lists the clips in folders."""

from __future__ import annotations

import pathlib
from collections.abc import Iterable

from fer_jax import shipped
from fer_jax.faces.media.numbering import in_order
from fer_jax.faces.media.pictures import IMAGE_SUFFIXES

_VIDEO_SUFFIXES = {
    ".264", ".265", ".3g2", ".3gp", ".apng", ".asf", ".avi", ".divx", ".dv", ".f4v", ".flv", ".gif",
    ".h264", ".h265", ".hevc", ".insv", ".ivf", ".m1v", ".m2ts", ".m2v", ".m4v", ".mjpeg", ".mjpg",
    ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".mxf", ".nut", ".obu", ".ogm", ".ogv", ".qt",
    ".rm", ".rmvb", ".ts", ".vob", ".webm", ".wmv", ".wtv", ".xvid", ".y4m",
}  # fmt: skip


def clips_of(paths: Iterable, say) -> list[pathlib.Path]:
    """Lists the clips of paths: the videos of a folder of videos, else the path itself.

    A folder of landmark CSVs without videos and pictures has a clip for every CSV. `portrait` is
    the picture that comes with the package.

    Args:
      paths: of `predict_clips`.
      say: takes a note of what a folder holds beside its clips.
    """
    return [clip for path in paths for clip in _clips_of(pathlib.Path(shipped.picture(path)), say)]


def _clips_of(path: pathlib.Path, say) -> list[pathlib.Path]:
    try:
        files = [f for f in path.iterdir() if not f.name.startswith(".")] if path.is_dir() else []
    except OSError:
        return [path]  # said when it is opened
    videos = [file for file in files if file.suffix.lower() in _VIDEO_SUFFIXES]
    pictures = sum(file.suffix.lower() in IMAGE_SUFFIXES for file in files)
    media = _VIDEO_SUFFIXES | IMAGE_SUFFIXES
    deeper = [file for file in files if file.is_dir() and _holds(file, media)]
    if deeper:
        say(f"note: the folders in {path} are not read ({len(deeper)}): give each of them")
    if videos and pictures:
        say(
            f"note: {path} holds videos and pictures: its videos are predicted ({len(videos)}), "
            f"its pictures are not ({pictures}); give each picture, or a folder of them alone"
        )
    landmarks = [file for file in files if file.suffix.lower() == ".csv"]
    if not videos and not pictures:
        return in_order(landmarks) or [path]
    if landmarks:
        kind = "videos" if videos else "pictures"
        say(
            f"note: the CSVs in {path} are not read ({len(landmarks)}), only its {kind}: give each "
            "CSV, or a folder of them alone"
        )
    return in_order(videos) or [path]


def _holds(folder: pathlib.Path, suffixes: set[str]) -> bool:
    try:
        return any(file.suffix.lower() in suffixes for file in folder.iterdir())
    except OSError:
        return False
