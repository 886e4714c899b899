"""Miniatures of the official trees in which faces are found, prepared for all systems at once.

One face a person, the same in every frame: what the networks learn does not matter here.
"""

import pathlib
import shutil

import cv2

from fer_jax.synthetic.clips import write_video
from tests import official_trees as trees

FRAMES = 2  # of a clip
SIDE = 56  # of the crops, pixels
# dataset -> folders of prepared data that the configs of the papers name
FOLDERS = {
    "ckplus": ("", "_crops", "_crops64", "_crops299"),
    "oulu": ("", "_crops", "_crops64"),
    "afew": ("", "_crops"),
    "mmi": ("_crops", "_crops64", "_crops299"),
    "bp4d": ("_crops64",),
    "fera": ("_crops299",),
    "disfa": ("_crops299",),
    "ferplus": ("",),
}
# Fields that make every experiment of the papers tiny: a second or so of computing each.
TINY = (
    "train.epochs=1", "train.batch_size=4", "train.repeats_per_epoch=1", "protocol.folds=2",
    "protocol.repeats=1", "evaluation.mc_samples=3", "data.frames=2", "data.crop_size=0",
    "data.window_strides=(4,4)", "data.frames_per_second=0.", "optimizer.schedule=constant",
    "pretrained=", "model.widths=(4,)", "model.stages=((2,1),(2,1))", "model.features=4",
    "model.channels=(2,2)", "model.hidden=3", "model.blocks=(1,1)", "model.growth=2",
    "model.initial=4", "model.divisor=32", "model.size=0", "search.epochs=1",
    "search.max_layers=1", "search.max_blocks=1", "search.block_size=2",
)  # fmt: skip


def write_all(root: pathlib.Path) -> None:
    """Writes the trees of all datasets into folders of their names."""
    faces = {person: trees.drawn(person, 1)[0] for person in (1, 2)}
    ckplus(root / "ckplus", faces)
    oulu(root / "oulu", faces)
    videos(root, faces)
    images(root, faces)
    trees.ferplus_tree(root / "ferplus")


def save(path: pathlib.Path, image) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))


def ckplus(root, faces) -> None:
    for person, face in faces.items():
        for label in range(1, 8):
            frames = range(1, FRAMES + 1)
            sequence = f"S{person + 10:03d}_{label:03d}"
            trees.ckplus_sequence(root, sequence, frames, f"{label}.0000000e+00")
            for frame in frames:
                folder = root / "cohn-kanade-images" / sequence.replace("_", "/")
                save(folder / f"{sequence}_{frame:08d}.png", face)


def oulu(root, faces) -> None:
    people = [f"P{person:03d}" for person in faces]
    frames = [f"{frame:03d}.jpeg" for frame in range(FRAMES)]
    trees.oulu_tree(root / "OriginalImg", people, frames)
    for path in (root / "OriginalImg" / "VL" / "Strong").rglob("*.jpeg"):
        save(path, faces[int(path.parts[-3][1:])])


def videos(root, faces) -> None:
    """AFEW, MMI and DISFA."""
    trees.afew_tree(root / "afew")
    for path in (root / "afew").rglob("*.avi"):
        write_video(path, [faces[1]] * FRAMES, 25.0)
    for person in (1, 2):
        for emotion in range(1, 7):
            session, name = 10 * person + emotion, f"S{person:03d}-{emotion:03d}"
            frames = [faces[person]] * FRAMES
            trees.mmi_session(root / "mmi", session, name, str(emotion), frames=frames)
    shown = ({6: 2, 12: 3}, {9: 3}, {1: 2, 2: 2, 5: 2}, {})  # happiness, disgust, surprise, neutral
    for person, subject in ((1, "SN001"), (2, "SN002")):
        rows = [units for units in shown for _ in range(10)]
        trees.disfa_labels(root / "disfa", subject, rows)
        trees.disfa_video(root / "disfa", subject, [faces[person]] * len(rows))


def images(root, faces) -> None:
    """GEMEP-FERA and BP4D."""
    names = [f"{frame:04d}.jpg" for frame in range(1, FRAMES + 1)]
    for person in (1, 2):
        for emotion in ("anger", "fear", "joy", "relief", "sadness"):
            recording = f"p{person}-{emotion}-1"
            trees.fera_recording(root / "fera", recording, names)
            for name in names:
                save(root / "fera" / "training" / recording / name, faces[person])
    for subject in ("F001", "M002"):  # of training, of development
        frames = range(1, 4 * FRAMES)
        trees.bp4d_task(root / "bp4d", f"{subject}_T1", frames)
        units = {unit: 1 for unit in trees.BP4D_UNITS}
        trees.bp4d_codes(
            root / "bp4d", f"{subject}_T1", {f: units if f % 2 else {} for f in frames}
        )
        for frame in frames:
            save(root / "bp4d" / "Sequences" / subject / "T1" / f"{frame:04d}.jpg", faces[1])


def prepare_all(trees_root: pathlib.Path, data: pathlib.Path, names=tuple(FOLDERS)) -> None:
    """Prepares trees once each, in all folders that the papers' configs name."""
    for name in names:
        first, *others = (data / f"{name}{suffix}" for suffix in FOLDERS[name])
        crops = () if name == "ferplus" else ("--crops", str(SIDE))
        trees.prepare(name, trees_root / name, first, *crops)
        for other in others:
            shutil.copytree(first, other)
