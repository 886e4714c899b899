"""Which frames of a clip a model sees."""

from __future__ import annotations

import numpy as np


def select_frames(detected, frames: int, rule: str) -> np.ndarray:
    """Chooses T frames of a clip.

    Args:
      detected: `[L]` bool, frames in which a face was found.
      frames: T.
      rule: "ends": the first and the last T - 1 frames (CK+, Oulu-CASIA), the nearest frame with
        a face standing in for one without; short clips repeat the first frame.
        "uniform": T frames at equal intervals among those with a face, from the first to the last
        (AFEW); clips with fewer repeat frames in place.
        "middles": the middle frame of T equal parts of those with a face (FER-GCN).
        "padded": as "uniform" where there are more than T frames with a face, else all of them and
        the last one again (STC-NLSTM).
        "last": the last T frames with a face; short clips repeat the first of them.
        "windows": the last T frames, see `window_frames`.

    Returns:
      `[T]` int frame indices, ascending.

    Raises:
      ValueError: no face in any frame, or an unknown rule.

    Source: ST-BLN specification, section 3; FER-GCN and STC-NLSTM specifications, section 6.
    """
    valid = np.flatnonzero(np.asarray(detected, bool))
    count = len(valid)
    if not count:
        raise ValueError("no frame of this clip has a face")
    if rule == "uniform":
        if count >= frames:
            return valid[np.round(np.linspace(0, count - 1, frames)).astype(int)]
        return valid[np.arange(frames) * count // frames]
    if rule == "padded":
        if count > frames:
            return valid[np.round(np.linspace(0, count - 1, frames)).astype(int)]
        return valid[np.minimum(np.arange(frames), count - 1)]
    if rule == "last":
        return valid[np.maximum(np.arange(count - frames, count), 0)]
    if rule == "windows":
        return window_frames(detected, frames)[-1]
    if rule == "middles":
        return valid[(2 * np.arange(frames) + 1) * count // (2 * frames)]
    if rule == "ends":
        tail = np.arange(len(detected) - frames + 1, len(detected))
        wanted = np.maximum(np.concatenate([[0], tail]), 0)
        nearest = np.abs(valid[None] - wanted[:, None]).argmin(1)
        return valid[nearest]
    raise ValueError(
        f"frame rule {rule!r} is unknown: use 'ends', 'last', 'middles', 'padded', 'uniform' or "
        f"'windows'"
    )


def window_frames(detected, frames: int) -> np.ndarray:
    """Chooses the window of T frames that ends at each frame of a clip.

    The first frame stands in for those before it, the nearest frame with a face for one without.

    Args:
      detected: `[L]` bool, frames in which a face was found.
      frames: T.

    Returns:
      `[L, T]` int frame indices.

    Source: STC-NLSTM specification, section 9.
    """
    valid, every = np.flatnonzero(detected), np.arange(len(detected))
    borders = (valid[1:] + valid[:-1]) / 2
    nearest = valid[np.searchsorted(borders, every)]
    return nearest[np.maximum(every[:, None] + np.arange(1 - frames, 1), 0)]


def thin_frames(detected, fps: float, frames_per_second: float) -> np.ndarray:
    """Leaves the first frame with a face in every 1 / `frames_per_second` of a clip.

    Args:
      detected: `[L]` bool, frames in which a face was found.
      fps: of the clip; 0 where its source does not say, then nothing is left out.
      frames_per_second: to be left; 0, or more than there are, leaves nothing out.

    Returns:
      `[L]` bool, frames to choose from.

    Source: STC-NLSTM specification, section 6 (MMI: 10 frames a second).
    """
    detected = np.asarray(detected, bool)
    if not 0 < frames_per_second < fps:
        return detected
    valid = np.flatnonzero(detected)
    part = np.floor(valid * (frames_per_second / fps) + 1e-6)  # rounding must not fall below
    _, first = np.unique(part, return_index=True)
    kept = np.zeros_like(detected)
    kept[valid[first]] = True
    return kept
