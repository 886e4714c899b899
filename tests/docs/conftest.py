"""A folder in which the commands and the Python blocks of the documentation run."""

import pathlib

import pytest

from tests.docs.pages import PAGES, blocks
from tests.official_trees import (
    afew_tree,
    bp4d_task,
    ckplus_sequence,
    cremad_tree,
    disfa_labels,
    disfa_video,
    drawn,
    fera_recording,
    ferplus_tree,
    mmi_session,
    oulu_tree,
    put,
)

STUDY = ("p01_smile", "p01_frown", "p02_smile", "p02_frown")  # clips of the pages' example


@pytest.fixture(scope="session")
def workspace(prepared, finished_run, face_video, tmp_path_factory) -> pathlib.Path:
    """Has `data/synthetic`, runs of `stbln_synthetic`, clips, and the CSVs that the pages show."""
    folder = tmp_path_factory.mktemp("documents")
    links = {
        "data/synthetic": prepared,
        "runs/stbln_synthetic": finished_run("landmarks").workdir,
        "runs/stbln_synthetic_small": finished_run("landmarks").workdir,
        "data/clips/s001_0003_happiness.mp4": face_video,
        **dict.fromkeys(("clip.mp4", "NEW.mp4", "CLIP"), face_video),
        "data/portrait/blurring.mp4": face_video,
        **{f"study/videos/{name}.mp4": face_video for name in STUDY},
    }
    for name, target in links.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).symlink_to(target)
    for name in STUDY:
        put(folder / f"study/units/{name}.csv", "frame,AU01,AU02,AU12\n0,0,0,1\n")
    put(folder / "clips.csv", "path,subject,label\nclip.mp4,p01,happiness\n")
    put(folder / "p01_smile.csv", "frame, AU01_c\n1, 0\n2, 1\n")
    put(folder / "MANIFEST.csv", "path,subject,label\nBUHMAP_Features/a_1_1.csv,a,neutral\n")
    put(folder / "BUHMAP_Features/a_1_1.csv", "frame\n")
    for page in PAGES:
        for block in blocks(page):
            if block.language == "csv":
                put(folder / block.title, block.text)
    return folder


@pytest.fixture(scope="session")
def official(tmp_path_factory) -> dict[str, pathlib.Path]:
    """A miniature of the release of every dataset that does not come with the project."""
    root = tmp_path_factory.mktemp("official")
    ckplus_sequence(root / "ckplus", "S005_001", (1, 2, 3))
    oulu_tree(root / "oulu")
    afew_tree(root / "afew")
    mmi_session(root / "mmi", 1767)
    bp4d_task(root / "bp4d", "F001_T1")
    fera_recording(root / "fera", "01-anger-1")
    disfa_labels(root / "disfa", "SN001", [{}] * 12)
    disfa_video(root / "disfa", "SN001", drawn(0, 12))
    ferplus_tree(root / "ferplus")
    cremad_tree(root / "cremad")
    put(root / "ravdess/01-01-03-02-01-01-12.csv", "frame\n")
    return {path.name: path for path in root.iterdir()}
