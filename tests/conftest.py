"""Shared fixtures: real data, tiny datasets in memory and on disk, finished runs.

The compilation cache is set before jax is imported, here and for all commands that tests start.
"""

import contextlib
import fcntl
import importlib.metadata
import io
import multiprocessing
import os
import pathlib
import shutil
import signal
import tempfile

# xdist workers ignore SIGINT, and so would the commands that tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

_USER = getattr(os, "getuid", lambda: "user")()
os.environ["JAX_COMPILATION_CACHE_DIR"] = str(
    pathlib.Path(tempfile.gettempdir()) / f"fer_jax-tests-{_USER}"
)
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.1"
# Tests compile much and compute little. The smoke run and the benchmarks compile as users do.
os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"
if importlib.metadata.version("jaxlib").startswith("0.10."):  # XLA ends at a flag it does not know
    # The older code generator takes a third of the time of the newer.
    _FLAGS = "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {_FLAGS}".strip()
os.environ["MATPLOTLIBRC"] = str(pathlib.Path(__file__).parent / "matplotlibrc")

import jax  # noqa: E402
import numpy as np  # noqa: E402
import pytest  # noqa: E402

from fer_jax.data import clips  # noqa: E402
from fer_jax.experiments import report  # noqa: E402
from fer_jax.faces import landmarks  # noqa: E402
from fer_jax.plotting import style  # noqa: E402
from fer_jax.synthetic.clips import make_clip, render, write_video  # noqa: E402
from preprocess.__main__ import main as prepare_command  # noqa: E402
from preprocess.workers import processes  # noqa: E402
from tests import finished_runs  # noqa: E402
from tests.drawn import write_drawn  # noqa: E402
from tests.official_trees import ferplus_tree  # noqa: E402

ROOT = pathlib.Path(__file__).parents[1]
_FIGURES = report._figures


def pytest_collection_modifyitems(items):
    """Whole runs take long: they come first, so that no process is left alone with one."""
    items.sort(key=lambda item: "integration" not in item.path.parts)


@pytest.fixture(scope="module", autouse=True)
def compiled_programs():
    """Drops the compiled programs of a file: hundreds of them slow down all that follows."""
    yield
    jax.clear_caches()


@pytest.fixture(scope="session", autouse=True)
def no_pdfs():
    """Figures are saved as PNG alone, as a PDF takes longer; `written_runs.SAVE_PDF` makes them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(style, "save_pdf", lambda figure, file: None)
        yield


@pytest.fixture
def no_figures(monkeypatch):
    """Reports of runs are written without figures, which other tests draw."""
    monkeypatch.setattr(report, "_figures", lambda *arguments: iter(()))


@pytest.fixture(scope="session", autouse=True)
def forked_workers():
    """Clips are read in forks of a process that has the imports; tests of commands spawn theirs."""
    used = ["preprocess.pipeline", "fer_jax.synthetic.clips", "av", "cv2", "dlib", "pandas"]
    multiprocessing.set_forkserver_preload(used)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(processes, "START_METHOD", "forkserver")
        yield


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
    """Function that makes a dataset in memory; each class moves another part of the face."""

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
        people = [f"s{index // clips_per_subject}" for index in range(count)]
        evaluation = max(1, subjects // 4)
        last = [f"s{index}" for index in range(subjects - evaluation, subjects)]
        return clips.Clips(
            clip_ids=[f"clip{index:03d}" for index in range(count)],
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
def once(tmp_path_factory):
    """Function `(name, make) -> folder` that fills a folder once per test session.

    The first caller runs `make(folder)`; callers in other processes wait for it.
    """
    root = tmp_path_factory.getbasetemp()
    root = root.parent if "PYTEST_XDIST_WORKER" in os.environ else root

    def made(name, make):
        folder = root / "shared" / name
        folder.parent.mkdir(exist_ok=True)
        done = folder.with_suffix(".done")
        with folder.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not done.exists():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                with pytest.MonkeyPatch.context() as patch:  # a first caller may have no_figures
                    patch.setattr(report, "_figures", _FIGURES)
                    make(folder)
                done.touch()
        return folder

    return made


def _prepare(out, dataset, *arguments):
    """Runs the command that prepares a dataset."""
    with contextlib.redirect_stdout(io.StringIO()) as shown:
        code = prepare_command([dataset, *map(str, arguments), "--out", str(out)])
    assert code == 0, shown.getvalue()


@pytest.fixture(scope="session")
def prepared(once) -> pathlib.Path:
    """A tiny dataset prepared by the command: 6 synthetic people, 7 clips each."""
    size = ("--subjects", 6, "--clips-per-subject", 7, "--workers", 1)
    return once("synthetic", lambda out: _prepare(out, "synthetic", *size))


@pytest.fixture(scope="session")
def prepared_crops(once) -> pathlib.Path:
    """A tiny prepared dataset with crops of 32 pixels: 3 synthetic people, 7 clips each."""
    return once("synthetic_crops", lambda out: write_drawn(out, 32))


@pytest.fixture(scope="session")
def prepared_ferplus(once) -> pathlib.Path:
    """A miniature FER+ of 49 images, prepared by the command."""

    def make(out):
        ferplus_tree(out / "source")
        _prepare(out / "prepared", "ferplus", "--source", out / "source", "--workers", 1)

    return once("ferplus", make) / "prepared"


@pytest.fixture(scope="session")
def finished_run(once, request):
    """Function `kind -> FinishedRun`, trained once per test session; copy it to change it."""

    def finished(kind):
        prepared = request.getfixturevalue(finished_runs.PREPARED[kind])
        workdir = once(
            f"run_{kind}", lambda folder: finished_runs.train_kind(kind, prepared, folder)
        )
        return finished_runs.FinishedRun(workdir, prepared, (workdir / "shown.txt").read_text())

    return finished


@pytest.fixture(scope="session")
def face_video(once) -> pathlib.Path:
    """A video of 30 frames, 25 a second, of a face from rest to a smile."""

    def make(folder):
        clip = make_clip(0, 1, 3, frames=30, fps=25.0)
        write_video(folder / "face.mp4", render(clip.true_landmarks, clip.identity), clip.fps)

    return once("face_video", make) / "face.mp4"
