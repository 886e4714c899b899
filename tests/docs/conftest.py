"""A folder in which the commands and the Python blocks of the documentation run."""

import pathlib
import types

import cv2
import numpy as np
import pytest

from fer_jax.experiments import configs
from fer_jax.synthetic.demo import write_clips
from fer_jax.systems import run
from tests.docs.pages import PAGES, blocks
from tests.official_trees import (
    afew_tree,
    bp4d_task,
    ckplus_sequence,
    disfa_labels,
    disfa_video,
    drawn,
    fera_recording,
    mmi_session,
    oulu_tree,
    put,
)


def _config(name: str):
    """Loads a config by its name."""
    path = configs.find(name).partition(":")[0]
    module = types.ModuleType("docs_config")
    exec(compile(pathlib.Path(path).read_text(), path, "exec"), module.__dict__)
    return module.get_config()


@pytest.fixture(scope="session")
def workspace(prepared, tmp_path_factory) -> pathlib.Path:
    """Has `data/synthetic`, `runs/stbln_synthetic`, clips, and the CSVs that the pages show."""
    folder = tmp_path_factory.mktemp("documents")
    (folder / "data").mkdir()
    (folder / "data/synthetic").symlink_to(prepared)
    write_clips(folder / "data/clips", 1)
    (clip,) = (folder / "data/clips").glob("*.mp4")
    for name in ("clip.mp4", "NEW.mp4", "CLIP"):
        (folder / name).symlink_to(clip)
    for block in {block for page in PAGES for block in blocks(page) if block.language == "csv"}:
        put(folder / block.title, block.text)
    for name in ("p01_smile", "p01_frown", "p02_smile", "p02_frown"):
        (folder / "study/videos").mkdir(exist_ok=True)
        (folder / f"study/videos/{name}.mp4").symlink_to(clip)
        codes = folder / f"study/units/{name}.csv"
        if not codes.exists():
            put(codes, "frame,AU01,AU02,AU12\n0,0,0,1\n")
    put(folder / "clips.csv", f"path,subject,label\n{clip},p01,happiness\n")
    put(folder / "p01_smile.csv", "frame, AU01_c\n1, 0\n2, 1\n")
    put(folder / "MANIFEST.csv", "path,subject,label\nBUHMAP_Features/a_1_1.csv,a,neutral\n")
    put(folder / "BUHMAP_Features/a_1_1.csv", "frame\n")

    config = _config("stbln_synthetic")
    config.data.path, config.data.frames = str(prepared), 4
    config.model.widths, config.train.epochs = (4, 4), 1
    config.train.checkpoint_epochs, config.evaluation.passes = 1, 4
    run(config, folder / "runs/stbln_synthetic")
    return folder


@pytest.fixture(scope="session")
def official(tmp_path_factory) -> dict[str, pathlib.Path]:
    """A miniature of the release of every dataset that has to be asked for."""
    root = tmp_path_factory.mktemp("official")
    ckplus_sequence(root / "ckplus", "S005_001", (1, 2, 3))
    oulu_tree(root / "oulu")
    afew_tree(root / "afew")
    mmi_session(root / "mmi", 1767)
    bp4d_task(root / "bp4d", "F001_T1")
    fera_recording(root / "fera", "01-anger-1")
    disfa_labels(root / "disfa", "SN001", [{}] * 12)
    disfa_video(root / "disfa", "SN001", drawn(0, 2))
    put(root / "ravdess/01-01-03-02-01-01-12.csv", "frame\n")
    names = "neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF"
    votes = f"Usage,Image name,{names}\nTraining,fer0000000.png,4,0,0,1,3,2,0,0,0,0\n"
    put(root / "ferplus/fer2013new.csv", votes)
    (root / "ferplus/FER2013Train").mkdir()
    image = np.zeros((48, 48), np.uint8)
    cv2.imwrite(str(root / "ferplus/FER2013Train/fer0000000.png"), image)
    return {path.name: path for path in root.iterdir()}
