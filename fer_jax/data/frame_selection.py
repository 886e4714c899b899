"""Chooses the frames of a clip that a model sees."""

from __future__ import annotations

import numpy as np

PIECES = ("pieces", "apex_pieces")
CUT = ("windows", *PIECES)  # rules that cut a recording into several clips
_VARIES = 3  # steps by which time stamps differ from a constant rate that is taken for varying


def select_frames(detected, frames: int, rule: str, times=None) -> np.ndarray:
    """Chooses T frames of a clip.

    Args:
      detected: `[L]` bool, frames in which a face was found.
      frames: T.
      rule: "ends": the first and the last T - 1 frames (CK+, Oulu-CASIA); the nearest frame with
        a face replaces one without; short clips repeat the first frame.
        "uniform": T frames at equal intervals among those with a face, from the first to the last
        (AFEW); shorter clips repeat frames in order.
        "tile_reference": as "uniform", but shorter clips repeat each frame floor(T / n) times and
        then the last one, as the published code of ST-BLN does.
        "middles": the middle frame of T equal parts of those with a face (FER-GCN).
        "padded": as "uniform" if more than T frames have a face, else all of them, with the last
        one repeated (STC-NLSTM).
        "last": the last T frames with a face; short clips repeat the first of them.
        "windows": the last T frames, see `window_frames`.
        "pieces", "apex_pieces": as "last"; `piece_frames` cuts whole recordings.
      times: `[L]` seconds at which the frames begin, or None. If their rate varies, equal intervals
        ("uniform", "padded") are those of time.

    Returns:
      `[T]` int frame indices, ascending.

    Raises:
      ValueError: no face in any frame, or an unknown rule.

    What each paper says of its frames is in docs/papers/.
    """
    valid = np.flatnonzero(np.asarray(detected, bool))
    count = len(valid)
    if not count:
        raise ValueError("no frame of this clip has a face")
    spread = rule == "uniform" or rule in ("padded", "tile_reference") and count > frames
    if spread and _rate_varies(times):
        seconds = np.asarray(times, np.float64)[valid]
        wanted = np.linspace(seconds[0], seconds[-1], frames)
        return valid[np.round(np.interp(wanted, seconds, np.arange(count))).astype(int)]
    if rule in ("uniform", "tile_reference"):
        if count >= frames:
            return valid[np.round(np.linspace(0, count - 1, frames)).astype(int)]
        if rule == "uniform":
            return valid[np.arange(frames) * count // frames]
        return valid[np.minimum(np.arange(frames) // (frames // count), count - 1)]
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
        f"'pieces', 'tile_reference', 'uniform' or 'windows'"
    )


def _rate_varies(times) -> bool:
    """Whether `[L]` seconds are far from a constant rate; a few missing frames are not."""
    if times is None or len(times) < 3:
        return False
    times = np.asarray(times, np.float64)
    apart = np.abs(times - np.linspace(times[0], times[-1], len(times))).max()
    return bool(apart > _VARIES * np.median(np.diff(times)))


def window_frames(detected, frames: int, indices=None) -> np.ndarray:
    """Chooses the window of T frames that ends at each frame of a clip.

    The last frame before it with a face replaces a frame without one. Windows do not reach back
    over the beginning of the clip or a gap in the source's frame indices: they repeat the first
    frame after it.

    Args:
      detected: `[L]` bool, frames in which a face was found.
      frames: T.
      indices: `[L]` frame indices in the source; None: there is no gap.

    Returns:
      `[L, T]` int frame indices; all -1 for a window without any face.

    A reading of the STC-NLSTM paper: docs/papers/stc_nlstm.md.
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
    """Cuts the frames with a face into consecutive pieces of T and drops the remainder.

    Args:
      detected: `[L]` bool, frames in which a face was found.
      frames: T.
      rule: "pieces": all pieces; "apex_pieces": those in the middle third of the clip, or if there
        are none the one nearest to its middle.

    Returns:
      Index of the piece -> `[T]` int frame indices, ascending; empty if fewer than T frames have a
      face.

    Source: Hasani & Mahoor, CVPRW 2017, section 4.1; docs/papers/inception_resnet_3d.md.
    """
    valid, length = np.flatnonzero(np.asarray(detected, bool)), len(detected)
    pieces = valid[: len(valid) // frames * frames].reshape(-1, frames)
    indices = np.arange(len(pieces))
    if rule == "apex_pieces" and len(pieces):
        inside = (3 * pieces[:, 0] >= length) & (3 * pieces[:, -1] < 2 * length)
        off_middle = np.abs(pieces[:, 0] + pieces[:, -1] - (length - 1))
        indices = indices[inside] if inside.any() else off_middle.argmin(keepdims=True)
    return {int(index): pieces[index] for index in indices}


def thin_frames(detected, times, frames_per_second: float) -> np.ndarray:
    """Keeps the first frame with a face in every 1 / `frames_per_second` seconds of a clip.

    Args:
      detected: `[L]` bool, frames in which a face was found.
      times: `[L]` seconds at which the frames begin; None, unknown, keeps all frames with a face.
      frames_per_second: to keep; 0, or more than the clip has, keeps all frames with a face.

    Returns:
      `[L]` bool, frames to choose from.

    Source: Yu et al., Neurocomputing 317 (2018), section 4.1 (MMI: 10 frames a second).
    """
    detected = np.asarray(detected, bool)
    if times is None or frames_per_second <= 0:
        return detected
    valid = np.flatnonzero(detected)
    seconds = np.asarray(times, np.float64) - times[0] if len(detected) else np.zeros(0)
    interval = np.floor(seconds[valid] * frames_per_second + 1e-6)  # against rounding errors
    _, first = np.unique(interval, return_index=True)
    kept = np.zeros_like(detected)
    kept[valid[first]] = True
    return kept


def at_equal_steps(starts, step: float, frames: int) -> np.ndarray:
    """Chooses T frames of a window at the frame rate of training, up to its last frame.

    Args:
      starts: `[L]` seconds at which the frames of the window begin.
      step: seconds from one to the next.
      frames: T.

    Returns:
      `[T]` int frame indices; the first frame of the window replaces those before it.
    """
    starts = np.asarray(starts)
    wanted = starts[-1] - np.arange(frames)[::-1] * step
    back = len(starts) - 1 - np.interp(wanted, starts, np.arange(len(starts)))
    # of two frames that are equally near the even one, as without rounding errors
    return len(starts) - 1 - np.round(np.round(back, 6)).astype(int)
