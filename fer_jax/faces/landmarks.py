"""The 68-point face: layout, mirror pairs, centring, Delaunay graph and edge features.

Source: Heidari & Iosifidis, MMSP 2021, section III-A; docs/papers/st_bln.md.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
from typing import NamedTuple

import numpy as np

POINTS = 68
INNER = slice(17, 68)  # the paper drops the 17 jaw points
NOSE_68 = 33  # centre of the nostril line
MASTER = 16  # the same point among the 51
MOUTH = slice(48, 68)
RIGHT_EYE = slice(36, 42)  # the subject's right, on the left of the image
LEFT_EYE = slice(42, 48)

_MIRROR_GROUPS = (
    [(i, 16 - i) for i in range(8)]  # jaw
    + [(17 + i, 26 - i) for i in range(5)]  # brows
    + [(31, 35), (32, 34)]  # nostrils
    + [(36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46)]  # eyes
    + [(48, 54), (49, 53), (50, 52), (55, 59), (56, 58)]  # outer lips
    + [(60, 64), (61, 63), (65, 67)]  # inner lips
)


def _mirror_permutation() -> np.ndarray:
    permutation = np.arange(POINTS)
    for left, right in _MIRROR_GROUPS:
        permutation[[left, right]] = right, left
    return permutation


MIRROR_68 = _mirror_permutation()


def _mean_face() -> np.ndarray:
    """Builds the frontal mean face from its right half; unit: distance of the eye centres."""
    right_half = {
        0: (-1.17, -0.02), 1: (-1.15, 0.24), 2: (-1.10, 0.50), 3: (-1.02, 0.75), 4: (-0.88, 0.99),
        5: (-0.68, 1.19), 6: (-0.45, 1.35), 7: (-0.22, 1.47), 8: (0.0, 1.50),
        17: (-0.98, -0.27), 18: (-0.82, -0.42), 19: (-0.60, -0.47), 20: (-0.38, -0.43),
        21: (-0.18, -0.33), 27: (0.0, -0.05), 28: (0.0, 0.14), 29: (0.0, 0.33), 30: (0.0, 0.50),
        31: (-0.22, 0.62), 32: (-0.11, 0.66), 33: (0.0, 0.69),
        36: (-0.74, 0.02), 37: (-0.60, -0.08), 38: (-0.42, -0.08), 39: (-0.27, 0.03),
        40: (-0.42, 0.08), 41: (-0.60, 0.09),
        48: (-0.42, 0.98), 49: (-0.27, 0.91), 50: (-0.11, 0.87), 51: (0.0, 0.90),
        57: (0.0, 1.14), 58: (-0.13, 1.13), 59: (-0.29, 1.08),
        60: (-0.36, 0.98), 61: (-0.12, 0.95), 62: (0.0, 0.965), 66: (0.0, 1.0), 67: (-0.12, 0.99),
    }  # fmt: skip
    face = np.zeros((POINTS, 2))
    for index, (x, y) in right_half.items():
        face[index] = x, y
        face[MIRROR_68[index]] = -x, y
    face[:, 1] -= face[RIGHT_EYE, 1].mean()
    return (face / eye_distance(face)).astype(np.float32)


def eye_distance(landmarks):
    """Returns the distance of the eye centres, in the unit of `landmarks [..., 68, 2]`."""
    offset = landmarks[..., LEFT_EYE, :].mean(-2) - landmarks[..., RIGHT_EYE, :].mean(-2)
    return (offset**2).sum(-1) ** 0.5


MEAN_FACE = _mean_face()


def inner(landmarks):
    """Drops the jaw: `[..., 68, 2] -> [..., 51, 2]`."""
    return landmarks[..., INNER, :]


def centre(landmarks):
    """Subtracts the nose point of the same frame from every point of `landmarks [..., 51, 2]`."""
    return landmarks - landmarks[..., MASTER : MASTER + 1, :]


class Framing(NamedTuple):
    """Position and size of the face in a crop; horizontally it is always in the middle.

    Attributes:
      eye_distances: side of the square in eye distances; of kind "box" in longer sides of the box
        around the 68 points.
      height: height of a point of the face, as a fraction of the side from the top: halfway between
        eyes and mouth, between the eyes (kind "eyes") or the middle of the box.
      kind: "aligned" (turned until the eyes are level), "eyes" or "box" (neither is turned).
      width: share of the square's width that is filled; the rest is black, half on either side.
    """

    eye_distances: float = 2.5
    height: float = 0.5
    kind: str = "aligned"
    width: float = 1.0


MODES = ("clean", "reference")  # of a graph
ALIGNED = Framing()  # the crops of `python -m preprocess`
# STC-NLSTM paper, section 4.1: a rectangle at a constant distance of the eyes, padded with zeros to
# a square. Ours: its size; the eyes are where the aligned mean face has them.
EYES = Framing(height=0.3, kind="eyes", width=0.8)
# 3D Inception-ResNet paper, section 3.2: the box of a face detector around the whole face. Ours:
# the box is made from the 68 points, with room for the forehead.
BOX = Framing(eye_distances=1.15, height=0.58, kind="box")
FRAMINGS = {"aligned": ALIGNED, "eyes": EYES, "box": BOX}  # that preparation offers
# The median face of FER-2013, whose images are used as crops unchanged; measured by `python -m
# benchmarks.framing data/ferplus`.
FER2013 = Framing(eye_distances=2.74, height=0.593)


@dataclasses.dataclass(frozen=True)
class Graph:
    """The landmark graph of a dataset, built once and then frozen.

    Attributes:
      edges: `[E, 2]` int32, source and target node of every edge.
      reference_shape: `[V, 2]` float32, the shape that was triangulated (pixels, centred).
      mode: "clean" (unique edges) or "reference" (three edges per triangle, repeated, plus a self
        loop, as in the published code; only its sizes 303/309/312 matter).
    """

    edges: np.ndarray
    reference_shape: np.ndarray
    mode: str = "clean"


def make_graph(reference_shape, mode: str = "clean", master: int = MASTER) -> Graph:
    """Triangulates a reference shape and connects every node to the master node.

    Args:
      reference_shape: `[V, 2]` points of any scale.
      mode: "clean" or "reference", see `Graph`.
      master: index of the node that is connected to all others.

    Returns:
      The graph. Delaunay edges run from the lower to the higher index, sorted; then come the
      master edges, from the other node to the master.

    Raises:
      ValueError: unknown mode, or the points span no triangle.

    Source: Heidari & Iosifidis, MMSP 2021, section III-A; docs/papers/st_bln.md.
    """
    from scipy.spatial import Delaunay, QhullError  # slow to import, rarely needed

    shape = np.asarray(reference_shape, np.float64)
    if mode not in MODES:
        raise ValueError(f"graph mode {mode!r} is unknown: use 'clean' or 'reference'")
    if shape.ndim != 2 or shape.shape[1] != 2 or not np.isfinite(shape).all():
        raise ValueError(f"a reference shape is [V, 2] finite numbers, got {shape.shape}")
    if not 0 <= master < len(shape):
        raise ValueError(f"master node {master} is not among the {len(shape)} points")
    try:
        triangles = np.sort(Delaunay(shape).simplices, axis=1)
    except QhullError as error:
        raise ValueError("the reference shape spans no triangle (all points on a line?)") from error
    sides = triangles[:, [[0, 1], [0, 2], [1, 2]]].reshape(-1, 2)
    unique = np.unique(sides, axis=0)
    others = np.arange(len(shape))
    if mode == "clean":
        sides = unique
        touching = unique[(unique == master).any(1)]
        others = np.setdiff1d(others, touching)
        others = others[others != master]
    to_master = np.stack([others, np.full_like(others, master)], axis=1)
    edges = np.concatenate([sides, to_master]).astype(np.int32)
    return Graph(edges, shape.astype(np.float32), mode)


def edge_features(landmarks, edges):
    """Returns source minus target of every edge: `[..., V, 2], [E, 2] -> [..., E, 2]`, pixels."""
    return landmarks[..., edges[:, 0], :] - landmarks[..., edges[:, 1], :]


def save_graph(graph: Graph, path) -> None:
    """Writes a graph as JSON (`graph.json` of a prepared dataset)."""
    content = {
        "mode": graph.mode,
        "nodes": len(graph.reference_shape),
        "edges": graph.edges.tolist(),
        "reference_shape": graph.reference_shape.tolist(),
    }
    pathlib.Path(path).write_text(json.dumps(content) + "\n")


def load_graph(path) -> Graph:
    """Reads what `save_graph` wrote.

    Raises:
      ValueError: the file is missing or is not such a graph.
    """
    try:
        content = json.loads(pathlib.Path(path).read_text())
        edges, mode = np.asarray(content["edges"]), content["mode"]
        shape = np.asarray(content["reference_shape"], np.float32).reshape(-1, 2)
    except (OSError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not a landmark graph ({error})") from error
    if edges.ndim != 2 or edges.shape[1] != 2 or not len(edges) or edges.dtype.kind != "i":
        raise ValueError(f"{path} is not a landmark graph (its edges are no pairs of nodes)")
    if edges.min() < 0 or edges.max() >= len(shape):
        raise ValueError(f"{path} names nodes outside 0..{len(shape) - 1}")
    if not np.isfinite(shape).all() or mode not in MODES:
        raise ValueError(f"{path} is not a landmark graph (its shape or its mode is none)")
    if mode == "clean" and (edges[:, 0] == edges[:, 1]).any():
        raise ValueError(f"{path} is not a landmark graph (an edge ends where it begins)")
    return Graph(edges.astype(np.int32), shape, mode)
