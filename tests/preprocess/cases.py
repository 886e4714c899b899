"""A miniature of every dataset with an official tree, and what its reader makes of it."""

from collections.abc import Callable
from typing import NamedTuple

from tests.official_trees import (
    afew_tree,
    blank,
    bp4d_task,
    ckplus_sequence,
    cremad_tree,
    disfa_labels,
    disfa_video,
    fera_recording,
    ferplus_tree,
    mmi_session,
    oulu_tree,
    put,
)

DOUBLE = "duplicate clip"  # reason why the second clip of a name is dropped


class Case(NamedTuple):
    """A dataset with an official tree.

    Attributes:
      tree: writes two or more clips with empty files.
      clips: ids of the first and the last clip, and their number.
      layout: words of the layout that an error shows.
      entered: folders of the tree that may be named as the source.
      double: error about a tree that exists twice; `DOUBLE`: it is read, the clips count once.
      unlabelled: adds a clip without a label, None if the folder or the name is the label.
      reason: why that clip cannot be used.
      owner: who distributes the data, as the message on a dataset that is not prepared says.
      official: clips of the release, split -> number in each class.
      whole: words of the note on another number.
      parts: folder -> name of this part in the error if it is missing.
    """

    tree: Callable
    clips: tuple[str, str, int]
    layout: tuple[str, ...]
    entered: tuple[str, ...] = ()
    double: str = DOUBLE
    unlabelled: Callable | None = None
    reason: str = ""
    owner: str = ""
    official: dict = {}
    whole: str = ""
    parts: dict = {}


def ckplus_tree(root):
    ckplus_sequence(root, "S005_001", [1, 2])
    ckplus_sequence(root, "S010_004", [1, 2, 5, 11], "7.0")


def mmi_tree(root):
    mmi_session(root, 9, "S002-001")
    mmi_session(root, 10, "S001-001", "6")


def bp4d_tree(root):
    bp4d_task(root, "F001_T1")
    bp4d_task(root, "M002_T6", (9, 10, 100))


def bp4d_without_codes(root):
    bp4d_task(root, "F003_T1")
    (root / "AU_OCC" / "F003_T1.csv").unlink()


def fera_tree(root):
    fera_recording(root, "p0-joy-1")
    fera_recording(root, "p1-anger-2", ("0009.jpg", "0010.jpg"))


def disfa_tree(root):
    for subject in ("SN001", "SN032"):
        disfa_labels(root, subject, [{6: 2, 12: 3}] * 12)
        disfa_video(root, subject, blank(12))


def ravdess_tree(root):
    for name in ("01-01-03-02-01-01-12", "01-01-08-01-02-02-01"):
        put(root / f"Actor_{name[-2:]}" / f"{name}.csv")


def ferplus_without_votes(root):
    for name, row in (("fer2013new", f"Training,fer0000099.png{',0' * 8},5,5"),
                      ("fer2013", f"0,{' '.join(['7'] * 2304)},Training")):  # fmt: skip
        path = root / f"{name}.csv"
        put(path, f"{path.read_text()}{row}\n")


CASES = {
    "ravdess": Case(
        ravdess_tree, ("01-01-03-02-01-01-12", "01-01-08-01-02-02-01", 2),
        ("3255102", "FacialTracking_Actors_01-24.zip", "13243600", "CC BY-NC-SA"), (),
        "exists twice", None, "", "Zenodo record 3255102",
    ),
    "ckplus": Case(
        ckplus_tree, ("S005_001", "S010_004", 2),
        ("cohn-kanade-images/S005/001/S005_001_00000011.png", "_emotion.txt"),
        ("cohn-kanade-images", "Emotion"), "CK+ folder of images exists 2 times",
        lambda root: ckplus_sequence(root, "S005_002", [1, 2], None), "no label",
        "the owners of the Cohn-Kanade database",
        {"train": (45, 18, 59, 25, 69, 28, 83)}, "327 labelled of 593 sequences",
        {"cohn-kanade-images": "images", "Emotion": "emotion labels"},
    ),
    "oulu": Case(
        lambda root: oulu_tree(root / "OriginalImg", ["P001"]), ("P001_Anger", "P001_Surprise", 6),
        ("OriginalImg/VL/Strong/P001/Anger/000.jpeg", "P080"),
        ("OriginalImg", "OriginalImg/VL", "OriginalImg/VL/Strong"), "VL/Strong exists 2 times",
        None, "", "the University of Oulu", {"train": (80,) * 6}, "480 sequences",
    ),
    "afew": Case(
        afew_tree, ("Train_AFEW/Angry/000000000", "Val_AFEW/Surprise/000000006", 15),
        ("Train_AFEW/Angry/000046280.avi", "Val_AFEW/Angry/"), ("Train_AFEW", "Val_AFEW/Happy"),
        "AFEW folder of split train exists 2 times", None, "", "the EmotiW organisers",
        {"train": (133, 74, 81, 150, 144, 117, 74), "validation": (64, 40, 46, 63, 63, 61, 46)},
        "773 in train", {"Train_AFEW": "split train", "Val_AFEW": "split validation"},
    ),
    "mmi": Case(
        mmi_tree, ("9/S002-001", "10/S001-001", 2), ("Sessions/1767/S031-001.avi",),
        ("Sessions",), DOUBLE,
        lambda root: mmi_session(root, 11, emotion=None), "no label",
        "the owners of the MMI facial expression database",
        {"train": (32, 31, 28, 42, 32, 40)}, "205",
    ),
    "bp4d": Case(
        bp4d_tree, ("F001_T1", "M002_T6", 2),
        ("AU_OCC/F001_T1.csv", "Sequences/F001/T1/2440.jpg", "Binghamton University"),
        ("AU_OCC", "Sequences"), "BP4D folder of occurrence codes exists 2 times",
        bp4d_without_codes, "no codes", "Binghamton University",
        parts={"AU_OCC": "occurrence codes", "Sequences": "images"},
    ),
    "fera": Case(
        fera_tree, ("training/p0-joy-1", "training/p1-anger-2", 2),
        ("training/RECORDING/*.jpg", "subjects.csv"), ("training",),
        "GEMEP-FERA folder of training recordings exists 2 times",
        lambda root: fera_recording(root, "p2"), "unknown emotion", "the owners of GEMEP-FERA",
        {"train": (32, 31, 30, 31, 31)}, "155 training recordings",
        {"training": "training recordings"},
    ),
    "disfa": Case(
        disfa_tree, ("SN001_0001-0012", "SN032_0001-0012", 2),
        ("Videos_LeftCamera/LeftVideoSN001_comp.avi", "SN001_au1.txt"),
        ("ActionUnit_Labels", "Videos_LeftCamera"),
        "DISFA folder of videos of the left camera exists 2 times",
        lambda root: disfa_video(root, "SN033", blank(12)), "no codes", "the owners of DISFA",
        parts={"Videos_LeftCamera": "videos of the left camera",
               "ActionUnit_Labels": "action unit labels"},
    ),
    "ferplus": Case(
        ferplus_tree, ("fer0000000", "fer0000048", 49),
        ("FER2013Train/fer0000000.png", "fer2013.csv (Kaggle"), (),
        "fer2013new.csv of FER+ exists 2 times",
        ferplus_without_votes, "no votes", "github.com/microsoft/FERPlus",
    ),
    "cremad": Case(
        cremad_tree, ("1001_DFA_ANG_XX", "1091_WSI_NEU_XX", 2),
        ("processedResults/tabulatedVotes.csv", "VideoFlash/1001_DFA_ANG_XX.flv", "Git LFS"),
        ("VideoFlash", "processedResults"), "tabulatedVotes.csv of CREMA-D exists 2 times",
        lambda root: put(root / "VideoFlash" / "1002_IEO_SAD_HI.flv"), "no votes",
        "github.com/CheyneyComputerScience/CREMA-D",
        {"train": (1271, 1271, 1271, 1271, 1087, 1271)}, "7,442 clips",
    ),
}  # fmt: skip
