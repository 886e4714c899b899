"""What the tests share: real data, tiny data sets in memory and on disk, a tiny model.

The compilation cache is set before jax is imported, here and in every command the tests start.
"""

import os
import pathlib
import signal
import subprocess
import sys
import tempfile

# Processes that run tests side by side ignore SIGINT; commands that tests stop by it would, too.
signal.signal(signal.SIGINT, signal.default_int_handler)

_USER = getattr(os, "getuid", lambda: "user")()
os.environ["JAX_COMPILATION_CACHE_DIR"] = str(
    pathlib.Path(tempfile.gettempdir()) / f"fer_jax-tests-{_USER}"
)
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.3"

import numpy as np  # noqa: E402
import pytest  # noqa: E402

from fer_jax.data import clips  # noqa: E402
from fer_jax.faces import landmarks  # noqa: E402

ROOT = pathlib.Path(__file__).parents[1]


@pytest.fixture(scope="session")
def real_data() -> pathlib.Path:
    """The folder of real clips, which is not part of the repository."""
    places = [os.environ.get("FER_JAX_REAL_DATA"), ROOT.parent / "shared" / "data"]
    for place in filter(None, places):
        if pathlib.Path(place).is_dir():
            return pathlib.Path(place)
    pytest.skip("real data is in neither $FER_JAX_REAL_DATA nor ../shared/data")


@pytest.fixture(scope="session")
def small_graph() -> landmarks.Graph:
    """Twelve edges of the face: brows, eyes and mouth to the nose."""
    nodes = np.array([2, 7, 10, 14, 18, 19, 28, 31, 37, 34, 40, 47], np.int32)
    edges = np.stack([nodes, np.full_like(nodes, landmarks.MASTER)], axis=1)
    return landmarks.Graph(edges, landmarks.inner(landmarks.MEAN_FACE))


@pytest.fixture(scope="session")
def make_clips(small_graph):
    """Function that makes a data set in memory: each class moves another part of the face."""

    def make(subjects=4, clips_per_subject=6, frames=4, classes=3, noise=0.5, graph=small_graph):
        rng = np.random.default_rng(0)
        count = subjects * clips_per_subject
        moving = [slice(55, 60), slice(17, 27), slice(36, 48)]  # lower lip, brows, eyes
        names = ("mouth", "brows", "eyes")[:classes]
        labels = np.arange(count, dtype=np.int32) % classes
        faces = np.tile(60 * landmarks.MEAN_FACE + 250, (count, frames, 1, 1))
        ramp = np.linspace(0, 1, frames)[:, None]
        for face, label in zip(faces, labels, strict=True):
            face[:, moving[label], 1] += 8 * ramp
        faces += rng.normal(0, noise, faces.shape)
        people = [f"s{number // clips_per_subject}" for number in range(count)]
        held_out = max(1, subjects // 4)
        last = [f"s{number}" for number in range(subjects - held_out, subjects)]
        return clips.Clips(
            clip_ids=[f"clip{number:03d}" for number in range(count)],
            subjects=people,
            splits=["test" if person in last else "train" for person in people],
            labels=labels,
            landmarks=faces.astype(np.float32),
            seconds=np.full(count, 2.0, np.float32),
            classes=names,
            graph=graph,
        )

    return make


@pytest.fixture(scope="session")
def prepared(tmp_path_factory) -> pathlib.Path:
    """A tiny prepared data set: 6 synthetic people, 7 clips each, made by the real command."""
    out = tmp_path_factory.mktemp("prepared") / "synthetic"
    command = [
        sys.executable, "-m", "preprocess", "synthetic", "--subjects", "6",
        "--clips-per-subject", "7", "--workers", "1", "--out", str(out),
    ]  # fmt: skip
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return out


@pytest.fixture(scope="session")
def prepared_crops(tmp_path_factory) -> pathlib.Path:
    """A tiny prepared data set with face crops of 32 pixels: 3 synthetic people, 7 clips each."""
    out = tmp_path_factory.mktemp("prepared") / "synthetic_crops"
    command = [
        sys.executable, "-m", "preprocess", "synthetic", "--subjects", "3", "--crops", "32",
        "--clips-per-subject", "7", "--workers", "2", "--out", str(out),
    ]  # fmt: skip
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return out
