"""Which frames of a clip a model sees."""

from __future__ import annotations

import numpy as np

PIECES = ("pieces", "apex_pieces")
CUT = ("windows", *PIECES)  # rules that make several clips of a recording


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
        "pieces", "apex_pieces": as "last"; `piece_frames` cuts whole recordings.

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
    if rule in ("last", *PIECES):
        return valid[np.maximum(np.arange(count - frames, count), 0)]
    if rule == "windows":
        window = window_frames(detected, frames)[-1]
        if window[0] < 0:
            raise ValueError(f"none of the last {frames} frames of this clip has a face")
        return window
    if rule == "middles":
        return valid[(2 * np.arange(frames) + 1) * count // (2 * frames)]
    if rule == "ends":
        tail = np.arange(len(detected) - frames + 1, len(detected))
        wanted = np.maximum(np.concatenate([[0], tail]), 0)
        nearest = np.abs(valid[None] - wanted[:, None]).argmin(1)
        return valid[nearest]
    raise ValueError(
        f"frame rule {rule!r} is unknown: use 'apex_pieces', 'ends', 'last', 'middles', 'padded', "
        f"'pieces', 'uniform' or 'windows'"
    )


def window_frames(detected, frames: int, indices=None) -> np.ndarray:
    """Chooses the window of T frames that ends at each frame of a clip.

    For a frame without a face stands the last one before it that has one. At an edge, the beginning
    of the clip or a jump in the numbers of its frames, the first frame behind it is repeated.

    Args:
      detected: `[L]` bool, frames in which a face was found.
      frames: T.
      indices: `[L]` by which the source knows the frames; None: there is no jump.

    Returns:
      `[L, T]` int frame indices; -1 throughout where a window shows no face at all.

    Source: STC-NLSTM specification, section 9.
    """
    detected, every = np.asarray(detected, bool), np.arange(len(detected))
    jumps = np.zeros(len(detected), bool)
    if indices is not None and len(detected) > 1:
        steps = np.diff(indices)
        jumps[1:] = steps > steps.min()
    edge = np.maximum.accumulate(np.where(jumps, every, 0))
    wanted = np.maximum(every[:, None] + np.arange(1 - frames, 1), edge[:, None])
    latest = np.maximum.accumulate(np.where(detected, every, -1))
    chosen = np.where(latest[wanted] < wanted[:, :1], -1, latest[wanted])
    first = np.where(chosen >= 0, chosen, len(detected)).min(1, keepdims=True)
    chosen = np.where(chosen >= 0, chosen, first)
    return np.where(first < len(detected), chosen, -1)


def piece_frames(detected, frames: int, rule: str = "pieces") -> dict[int, np.ndarray]:
    """Cuts the frames with a face into pieces of T that follow each other; the rest is dropped.

    Args:
      detected: `[L]` bool, frames in which a face was found.
      frames: T.
      rule: "pieces": all of them; "apex_pieces": those that lie in the middle third of the clip,
        else the one nearest to its middle.

    Returns:
      Number of the piece, counted from 0 -> `[T]` int frame indices, ascending; empty where there
      are fewer than T frames with a face.

    Source: 3D Inception-ResNet specification, section 7.
    """
    valid, length = np.flatnonzero(np.asarray(detected, bool)), len(detected)
    pieces = valid[: len(valid) // frames * frames].reshape(-1, frames)
    indices = np.arange(len(pieces))
    if rule == "apex_pieces" and len(pieces):
        inside = (3 * pieces[:, 0] >= length) & (3 * pieces[:, -1] < 2 * length)
        off_middle = np.abs(pieces[:, 0] + pieces[:, -1] - (length - 1))
        indices = indices[inside] if inside.any() else off_middle.argmin(keepdims=True)
    return {int(index): pieces[index] for index in indices}


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
