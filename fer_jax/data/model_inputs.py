"""Makes model inputs: edges or nodes of the landmark graph, scaled pixels of face crops."""

from __future__ import annotations

import numpy as np

from fer_jax.faces import landmarks as lm

# Mean and standard deviation per colour channel, 0..255, that standardise the pixels for a model.
PIXELS = {
    "imagenet": ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
    "symmetric": ((127.5, 127.5, 127.5), (127.5, 127.5, 127.5)),  # -1..1
    "vggface": ((129.1863, 104.7624, 93.5940), (1.0, 1.0, 1.0)),
    "vggface2": ((131.0912, 103.8827, 91.4953), (1.0, 1.0, 1.0)),
}


FEATURES = ("position", "motion", "normalised_motion")
MOTION = FEATURES[1:]  # those without what stays the same throughout a clip
NORMALISED = FEATURES[2:]  # those in eye distances, whatever the unit of the landmarks
_QUARTER_TURN = np.array([[0.0, -1.0], [1.0, 0.0]], np.float32)  # of points on its left


def model_inputs(landmarks, edges, inputs: str = "edges", features: str = "position", nose=None):
    """Makes landmark inputs: `[B, T, 68, 2] -> [B, T, E, 2]` or `[B, T, 51, 2]`, pixels.

    Args:
      landmarks: pixels; NumPy or JAX.
      edges: `[E, 2]` node indices.
      inputs: "edges" (source minus target) or "nodes" (relative to the nose).
      features: "position" (papers); "motion", which subtracts the clip's first frame and so
        removes the shape of the face; or "normalised_motion", which see.
      nose: `[B, T, 2]`, what nodes of the first two are relative to; None: the nose among the
        landmarks.

    Raises:
      ValueError: unknown inputs or features.
    """
    if features not in FEATURES:
        known = ", ".join(map(repr, FEATURES))
        raise ValueError(f"features {features!r} are unknown: use one of {known}")
    if features == "normalised_motion":
        nodes = normalised_motion(landmarks)
        if inputs == "edges":  # to the nose: to its mean place, so they hold the head's motion too
            nodes = nodes * (np.arange(nodes.shape[-2]) != lm.MASTER)[:, None]
    else:
        nodes = lm.inner(landmarks)
        nodes = lm.centre(nodes) if nose is None else nodes - nose[..., None, :]
        nodes = nodes - nodes[:, :1] if features == "motion" else nodes
    if inputs == "nodes":
        return nodes
    if inputs == "edges":
        return lm.edge_features(nodes, edges)
    raise ValueError(f"inputs {inputs!r} are unknown: a model takes 'edges' or 'nodes'")


def normalised_motion(landmarks):
    """Motion of the inner points, with that of the head: `[B, T, 68, 2] -> [B, T, 51, 2]`.

    The displacement of each point from its mean place in the clip, in eye distances, along and
    across the mean line of the eyes. It does not depend on the place, size and roll of the face.

    Args:
      landmarks: of any unit; NumPy or JAX.
    """
    eyes = landmarks[..., lm.LEFT_EYE, :].mean(-2) - landmarks[..., lm.RIGHT_EYE, :].mean(-2)
    eyes = eyes.mean(1)[:, None, None, None]  # [B, 1, 1, 1, 2]
    square = (eyes**2).sum(-1)
    turn = eyes[..., :1] * np.eye(2, dtype=np.float32) + eyes[..., 1:] * _QUARTER_TURN
    points = lm.inner(landmarks)
    moved = points - points.mean(1, keepdims=True)
    return moved @ turn[:, :, 0] / (square + (square == 0))  # 0 where all landmarks are one point


LUMINANCE = (0.299, 0.587, 0.114)  # weights of red, green and blue (ITU-R BT.601)


def frame_inputs(frames, size: int, pixels: str, gray: bool = False):
    """Crops the middle and standardises it: `[B, T, S, S, 3] -> [B, T, size, size, 3]`.

    Args:
      frames: 0..255, uint8 or float; NumPy or JAX.
      size: side of the square, pixels, at most S; 0 takes all.
      pixels: key of `PIXELS`, an attribute of the model.
      gray: removes the colour, for models trained without.

    Raises:
      ValueError: unknown pixels.
    """
    if pixels not in PIXELS:
        raise ValueError(f"pixels {pixels!r} are unknown: use one of {sorted(PIXELS)}")
    mean, deviation = np.asarray(PIXELS[pixels], np.float32)
    frames = middle(frames, size or frames.shape[-2]).astype(np.float32)
    if gray:
        frames = (frames @ np.asarray(LUMINANCE, np.float32))[..., None]
    return (frames - mean) / deviation


def middle(frames, size: int):
    """Cuts the middle square out of crops: `[..., S, S, 3] -> [..., size, size, 3]`."""
    start = (frames.shape[-2] - size) // 2
    return frames[..., start : start + size, start : start + size, :]


def takes_crops(module) -> bool:
    """Tells whether a model, or its class, takes face crops instead of landmarks alone."""
    return module.inputs in ("frames", "faces")


def batch_inputs(batch: dict, module, edges, features: str = "position", crop_size: int = 0):
    """Makes the inputs of a model from a batch.

    Args:
      batch: `landmarks` if the model's attribute `inputs` is "edges" or "nodes" (with `nose` if
        they are noisy, see `augment.Varied`), `frames` if it is "frames", `frames` and
        `crop_landmarks` if it is "faces".
      module: the model.
      edges, features: see `model_inputs`.
      crop_size: see `frame_inputs`.
    """
    if takes_crops(module):
        gray = getattr(module, "gray", False)
        frames = frame_inputs(batch["frames"], crop_size, module.pixels, gray)
        if module.inputs == "frames":
            return frames
        cut = (batch["frames"].shape[-2] - frames.shape[-2]) // 2  # as in `middle`
        return {"frames": frames, "landmarks": batch["crop_landmarks"] - cut}
    return model_inputs(batch["landmarks"], edges, module.inputs, features, batch.get("nose"))
