"""The people of a window: who is predicted, and whether their faces can be read."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from fer_jax.data.model_inputs import MOTION
from fer_jax.faces import quality
from fer_jax.faces.labels import AMBIGUOUS, NO_FACE, UNFAMILIAR, UNREADABLE
from fer_jax.faces.people import FLEETING
from fer_jax.predict.options import ALL
from fer_jax.tasks import TASKS

if TYPE_CHECKING:
    from fer_jax.predict.windows import Faces, Frame

BOX = ("box_left", "box_top", "box_right", "box_bottom")
COLUMNS = ("face_share", "face_size", *BOX, "yaw", "pitch", "roll", "sharpness", "fit")

# The limits of what a model can read.
#
# Pixels of a frame that is reduced to 500 pixels, the width at which faces are searched. The
# detector finds faces from 40 pixels on; at 32 a landmark that is off by a pixel is off by 7% of
# the distance between the eyes, more than most action units move it.
LEAST_SIDE, SEARCH_WIDTH = 32, 500
# Degrees. The training clips of the recorded and of the drawn datasets face the camera within 25;
# beyond these limits the landmarks of the far half of the face are guessed.
MOST_YAW, MOST_PITCH = 35.0, 30.0
# Degrees, of landmarks alone: face crops are turned upright.
MOST_ROLL = 45.0
# See `quality.sharpness`. Measured: clear faces have 25 to 85, small ones, with 16 pixels between
# the eyes, 17 to 60. A blur of 0.06 of the distance between the eyes, which melts the lids, leaves
# 9 to 30, one of 0.08 leaves 6 to 18; motion by 0.3 of it leaves 6 to 17 across, 8 to 21 along the
# face.
LEAST_SHARPNESS = 15.0
# See `quality.motion`. Motion is so many times the noise of the landmarks, which are precise in
# some files, within the limits below. Measured (`python -m benchmarks.motion`), windows of two
# seconds of video, wherever they begin: faces at rest or with a held smile 0.005 to 0.027, up to 9
# times their noise; people who begin to smile, or talk, 0.03 to 0.14. Whole clips of OpenFace:
# neutral faces up to 0.009 and 12 times their noise, sad ones 0.008 and more, at least 13 times.
OVER_NOISE = 10.0
LEAST_MOTION = 0.005, 0.03  # eye distances: whatever the noise, and where it is large


class Numbers:
    """Numbers the people of a clip 1, 2, ... in the order in which they first appear."""

    def __init__(self):
        self._number: dict[int, int] = {}

    def of(self, track: int | None) -> int:
        """Returns the number of a track, 0 for nobody."""
        return 0 if track is None else self._number.setdefault(track, len(self._number) + 1)


def choose_people(window: Sequence[Faces], people: str, numbers: Numbers) -> list[int | None]:
    """Chooses whose faces are predicted in a window, and numbers all who appear in it.

    Args:
      window: the faces of `L` frames.
      people: "largest", the face with the largest sum of sizes over the frames, or "all".
      numbers: of the clip.

    Returns:
      Tracks in the order of their numbers; `[None]` without any face.
    """
    size: dict[int, float] = {}
    seen: dict[int, int] = {}
    for faces in window:
        for track, face in faces.items():
            size[track] = size.get(track, 0.0) + float(np.ptp(face.landmarks, axis=0).sum())
            seen[track] = seen.get(track, 0) + 1
    if not size:
        return [None]
    largest = max(size, key=size.get)
    enough = min(FLEETING, len(window))
    lasting = [track for track in seen if seen[track] >= enough or track == largest]
    lasting = sorted(lasting, key=numbers.of)
    return lasting if people == ALL else [largest]


def describe(window: Sequence[Frame], track: int | None) -> dict:
    """Returns the columns of quality for one person, medians over the frames that show the face.

    Args:
      window: its frames.
      track: of the person; None: nobody.
    """
    faces = [frame.faces[track] for frame in window if track in frame.faces]
    if not faces:
        return {"face_share": 0.0} | dict.fromkeys(COLUMNS[1:], float("nan"))
    points = np.stack([face.landmarks for face in faces]).astype(float)
    boxes = np.concatenate([points.min(1), points.max(1)], axis=1)
    angles = quality.head_pose(points)
    if faces[0].boxed is not None:  # the landmarks are those of an average face
        boxes, five = (np.stack(each) for each in zip(*(f.boxed for f in faces), strict=True))
        angles = quality.turn_of_five(five)
    pose = [float(np.median(angle)) for angle in angles]
    box = np.median(boxes, axis=0)
    return {
        "face_share": len(faces) / len(window),
        "face_size": float(max(box[2:] - box[:2])),
        **dict(zip(BOX, box.tolist(), strict=True)),
        **dict(zip(("yaw", "pitch", "roll"), pose, strict=True)),
        "sharpness": float(np.median([face.sharpness for face in faces])),
        "fit": float(np.median([face.fit for face in faces])),
    }


def why_unreadable(row: dict, window: Sequence[Frame], track, features: str, width: int) -> str:
    """Returns in words why a model cannot read a face; empty if it can.

    Args:
      row: of `describe`.
      window, track: as there.
      features: of the model's input, see `bundle.InputSpec`.
      width: of a frame, pixels; 0: unknown.
    """
    if track is None:
        return NO_FACE
    reduced = min(1.0, SEARCH_WIDTH / (width or SEARCH_WIDTH))
    if any(f.faces[track].boxed is not None for f in window if track in f.faces):
        reduced = 1.0  # no landmarks were found in a reduced frame
    if row["face_size"] * reduced < LEAST_SIDE:
        return "face too small"
    if abs(row["yaw"]) > MOST_YAW or abs(row["pitch"]) > MOST_PITCH:
        return "profile"
    if abs(row["roll"]) > MOST_ROLL and _without_crops(window, track):
        return "on its side"
    if row["sharpness"] < LEAST_SHARPNESS:  # False for NaN, of landmarks without pictures
        return "blurred"
    if features in MOTION:
        points = np.stack([f.faces[track].landmarks for f in window if track in f.faces])
        moved, noise = quality.motion(points, len(window))
        if moved < np.clip(OVER_NOISE * noise, *LEAST_MOTION):
            return "no motion"
    return ""


def _without_crops(window: Sequence[Frame], track) -> bool:
    return all(f.faces[track].crop is None for f in window if track in f.faces)


def with_reason(
    row: dict, reason: str, predictor, width: int, unfamiliarity: float | None = None
) -> dict:
    """Adds how unfamiliar a row is, and the reason for which it abstains.

    A face that cannot be read makes it abstain, and so does one unlike those of training, if the
    bundle can tell.

    Args:
      row: with `inputs` where there is a face.
      reason: of `why_unreadable`.
      predictor: of `load_model`.
      width: of the source frame, pixels.
      unfamiliarity: of the row, if it is known already.
    """
    known = predictor.familiarity is not None
    row = row | {"unfamiliarity": math.nan}
    if reason == NO_FACE:  # the row is blank already
        return row | {"reason": f"{UNREADABLE}{reason}"}
    if known:
        if unfamiliarity is None:
            unfamiliarity = predictor.unfamiliarity(row["inputs"], frame_width=width)[0]
        row["unfamiliarity"] = float(unfamiliarity)
    if reason or known and not row["unfamiliarity"] <= 1:  # nor if NaN
        withheld = TASKS[predictor.task].withheld(row, predictor.classes)
        return row | withheld | {"reason": f"{UNREADABLE}{reason}" if reason else UNFAMILIAR}
    return row | {"reason": AMBIGUOUS if row["abstained"] else ""}
