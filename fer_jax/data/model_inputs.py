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


def model_inputs(landmarks, edges, inputs: str = "edges", features: str = "position", nose=None):
    """Makes landmark inputs: `[B, T, 68, 2] -> [B, T, E, 2]` or `[B, T, 51, 2]`, pixels.

    Args:
      landmarks: pixels; NumPy or JAX.
      edges: `[E, 2]` node indices.
      inputs: "edges" (source minus target) or "nodes" (relative to the nose).
      features: "position" (papers) or "motion", which subtracts the clip's first frame and so
        removes the shape of the face.
      nose: `[B, T, 2]`, what nodes are relative to; None: the nose among the landmarks.

    Raises:
      ValueError: unknown inputs or features.
    """
    nodes = lm.inner(landmarks)
    nodes = lm.centre(nodes) if nose is None else nodes - nose[..., None, :]
    if features == "motion":
        nodes = nodes - nodes[:, :1]
    elif features != "position":
        raise ValueError(f"features {features!r} are unknown: use 'position' or 'motion'")
    if inputs == "nodes":
        return nodes
    if inputs == "edges":
        return lm.edge_features(nodes, edges)
    raise ValueError(f"inputs {inputs!r} are unknown: a model takes 'edges' or 'nodes'")


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
