"""Miniature official trees of the datasets, for the tests."""

import argparse
import json
import pathlib

import cv2
import numpy as np
import pytest

from fer_jax.faces.emotion_ratings import FERPLUS_EMOTIONS
from fer_jax.faces.landmarks import eye_distance
from fer_jax.synthetic.clips import make_clip, render, write_video
from preprocess.__main__ import main
from preprocess.clip import Clip

STRAY = (".DS_Store", "Thumbs.db", "desktop.ini", "notes.txt")
OULU_FOLDERS = ("Anger", "Disgust", "Fear", "Happiness", "Sadness", "Surprise")
AFEW_FOLDERS = ("Angry", "Disgust", "Fear", "Happy", "Neutral", "Sad", "Surprise")
BP4D_UNITS = (1, 2, 4, 6, 7, 10, 12, 14, 15, 17, 23)
DISFA_UNITS = (1, 2, 4, 5, 6, 9, 12, 15, 17, 20, 25, 26)


def put(path: pathlib.Path, content: str = "") -> None:
    """Writes a file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


def ckplus_sequence(root, sequence: str, frames, label="3.0000000e+00", labels="Emotion"):
    """Writes one sequence; `label` None leaves out its folder, "folder" leaves that empty."""
    folder = sequence.replace("_", "/")
    for frame in frames:
        put(root / "cohn-kanade-images" / folder / f"{sequence}_{frame:08d}.png")
    if label is None:
        return
    (root / labels / folder).mkdir(parents=True)
    if label != "folder":
        put(root / labels / folder / f"{sequence}_{frames[-1]:08d}_emotion.txt", f"   {label}\n")


def oulu_tree(root, people=("P001", "P080"), frames=("000.jpeg", "001.jpeg")):
    """Writes a set in which every camera and light has the same tree."""
    for camera in ("NI", "VL"):
        for light in ("Strong", "Weak", "Dark"):
            for person in people:
                for emotion in OULU_FOLDERS:
                    for frame in frames:
                        put(root / camera / light / person / emotion / frame)


def afew_tree(root):
    """Writes one clip of each class and split, and a second happy one to train on."""
    for split in ("Train_AFEW", "Val_AFEW"):
        for index, emotion in enumerate(AFEW_FOLDERS):
            put(root / split / emotion / f"{index:09d}.avi")
    put(root / "Train_AFEW" / "Happy" / "000046280.avi")


def mmi_session(
    root, session, video="S001-001", emotion="4", person=None, view="0", frames=(), suffix=".avi"
):
    """Writes one session, its video empty unless `frames` are given.

    None leaves out: `person` and `emotion` their Metatag, `view` session.xml.
    """
    folder = root / "Sessions" / str(session)
    tags = {"Duration": "3", "Emotion": emotion, "SubjectID": person}
    lines = [f'  <Metatag Name="{k}" Value="{v}"/>' for k, v in tags.items() if v is not None]
    head = '<?xml version="1.0" encoding="ISO-8859-1"?>\n'
    put(folder / f"{video}.xml", "\n".join([head + "<Recording>", *lines, "</Recording>"]))
    put(folder / f"{video}-oao_aucs.xml", head + "<AUCoding/>")
    if view is not None:
        track = f'<track filename="{video}.avi" view="{view}" type="video"/>'
        put(folder / "session.xml", f"{head}<session>\n  {track}\n</session>\n")
    if frames:
        write_video(folder / f"{video}{suffix}", frames)
    else:
        put(folder / f"{video}{suffix}")


def bp4d_codes(root, clip_id: str, rows: dict[int, dict[int, int]], folder="AU_OCC", units=47):
    """Writes a table of codes: `rows` maps frame -> action unit -> code, 0 if not given.

    As in the release, every number up to `units` has a column, which holds 9 if it is no unit.
    """
    lines = [",".join(map(str, range(units + 1)))]
    for frame, codes in rows.items():
        cells = [codes.get(unit, 0 if unit in BP4D_UNITS else 9) for unit in range(1, units + 1)]
        lines.append(",".join(map(str, [frame, *cells])))
    put(root / folder / f"{clip_id}.csv", "\n".join(lines) + "\n")


def bp4d_task(root, clip_id: str, frames=(1, 2), folder="Sequences", digits=4, **codes):
    """Writes a task of empty images, all of them coded."""
    subject, task = clip_id.split("_")
    for frame in frames:
        put(root / folder / subject / task / f"{frame:0{digits}d}.jpg")
    bp4d_codes(root, clip_id, {frame: {} for frame in frames}, **codes)


def fera_recording(root, name: str, frames=("0001.jpg", "0002.jpg"), folder="training"):
    """Writes a recording as a folder of empty images, or as an empty video if `frames` is None."""
    if frames is None:
        put(root / folder / f"{name}.avi")
        return
    for frame in frames:
        put(root / folder / name / frame)


def disfa_labels(root, subject: str, rows: list[dict[int, int]]):
    """Writes one file per action unit: `rows` give intensities by unit, 0 if not given."""
    for unit in DISFA_UNITS:
        lines = [f"{line},{row.get(unit, 0)}" for line, row in enumerate(rows, 1)]
        path = root / "ActionUnit_Labels" / subject / f"{subject}_au{unit}.txt"
        put(path, "\n".join(lines) + "\n")


def disfa_video(root, subject: str, frames, camera="Left"):
    """Writes a person's video, without labels."""
    path = root / f"Videos_{camera}Camera" / f"{camera}Video{subject}_comp.avi"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_video(path, frames)


FERPLUS_PARTS = {"Training": 24, "PublicTest": 12, "PrivateTest": 13}


def ferplus_votes(folder, rows, names=(*FERPLUS_EMOTIONS, "unknown", "NF")):
    """Writes the file of votes; `rows` are usage, image name and votes, separated by commas."""
    lines = [",".join(["Usage", "Image name", *names]), *map(",".join, rows)]
    put(folder / "fer2013new.csv", "\n".join(lines) + "\n")


def ferplus_table(folder, rows, images):
    """Writes FER-2013's table of images; `rows` begin with the usage."""
    lines = ["emotion,pixels,Usage"]
    for (usage, *_), image in zip(rows, images, strict=True):
        lines.append(f"0,{' '.join(map(str, image.ravel()))},{usage}")
    put(folder / "fer2013.csv", "\n".join(lines) + "\n")


def ferplus_tree(root):
    """Writes FER-2013's table and the votes: happy faces are bright, sad ones dark."""
    rng = np.random.default_rng(0)
    images, rows = [], []
    parts = (usage for usage, count in FERPLUS_PARTS.items() for _ in range(count))
    for index, usage in enumerate(parts):
        happy = index % 2
        images.append(np.clip(rng.normal(70 + 110 * happy, 25, 48 * 48), 0, 255).astype(int))
        own = [0] * 10
        own[FERPLUS_EMOTIONS.index("happiness" if happy else "sadness")] = 9 - index % 3
        own[0] += 1 + index % 3
        rows.append((usage, f"fer{index:07d}.png", ",".join(map(str, own))))
    ferplus_table(root, rows, images)
    ferplus_votes(root, rows)


def cremad_tree(root, names=("1001_DFA_ANG_XX", "1091_WSI_NEU_XX")):
    """Writes empty videos and their votes: of what is heard, of what is seen, and of both."""
    lines = ['"","A","D","F","H","N","S","fileName","numResponses","agreement","emoVote"']
    for shown in (1, 2, 3):
        for clip, name in enumerate(names, 1):
            votes = [0, 1, 0, 0, 0, 0]
            votes[4 if "NEU" in name else 0] = 5 + shown
            cells = [
                f'"{100_000 * shown + clip}"',
                *map(str, votes),
                f'"{name}"',
                "9",
                "0.8",
                '"A"',
            ]
            lines.append(",".join(cells))
    put(root / "processedResults" / "tabulatedVotes.csv", "\n".join(lines) + "\n")
    for name in names:
        put(root / "VideoFlash" / f"{name}.flv")
        put(root / "AudioWAV" / f"{name}.wav")


def drawn(subject: int, frames: int) -> list:
    """Draws frames of a face that the detector finds, RGB."""
    clip = make_clip(0, subject, 1, frames=max(frames, 2))
    return list(render(clip.true_landmarks[:frames], clip.identity))


def blank(count: int) -> list:
    """Makes frames without a face that differ in brightness."""
    return [np.full((32, 48, 3), 5 * index % 250, np.uint8) for index in range(count)]


def write_openface(path, points, **columns) -> pathlib.Path:
    """Writes an OpenFace CSV: columns such as frame and timestamp, then `points [T, 68, 2]`."""
    names = [*columns, *(f"{axis}_{k}" for axis in "xy" for k in range(68))]
    first = [np.broadcast_to(values, len(points)) for values in columns.values()]
    table = np.column_stack([*first, np.reshape(np.swapaxes(points, 1, 2), (len(points), 136))])
    np.savetxt(path, table, delimiter=",", header=",".join(names), comments="", fmt="%.6f")
    return path


def write_landmarks(path, numbers) -> None:
    """Writes an OpenFace CSV of a face with these frame numbers."""
    points = make_clip(0, 0, 1, frames=max(len(numbers), 2)).landmarks[: len(numbers)]
    write_openface(path, points, frame=numbers)


def error_of(landmarks, truth) -> float:
    """Returns the RMSE of landmarks in eye distances."""
    distance = np.sqrt(((landmarks - truth) ** 2).sum(-1).mean())
    return float(distance / eye_distance(truth).mean())


def write_faces(paths, subject: int) -> None:
    """Writes frames of one person's face to image files."""
    for path, image in zip(paths, drawn(subject, len(paths)), strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))


def options_of(dataset, **changes) -> argparse.Namespace:
    """Returns the default options of the command line with `changes`."""
    parser = argparse.ArgumentParser()
    getattr(dataset, "add_options", lambda parser: None)(parser)
    common = {"crops": 0, "landmark_model": None, "dry_run": False, "shard": None}
    return argparse.Namespace(**common | vars(parser.parse_args([])) | changes)


def listed(dataset, source, **options) -> dict[str, Clip]:
    """Returns the clips that a dataset lists, by id."""
    clips = list(dataset.clips(source, options_of(dataset, **options)))
    assert len({clip.clip_id for clip in clips}) == len(clips)
    return {clip.clip_id: clip for clip in clips}


def reason(clip: Clip) -> str:
    """Returns why a clip cannot be used, empty when it can."""
    return clip.problem.reason if clip.problem else ""


def prepare(name: str, source, out, *more: str) -> dict:
    """Runs the command and returns its report."""
    arguments = [name, "--source", str(source), "--out", str(out), "--workers", "1"]
    assert main([*arguments, *more]) == 0
    return json.loads((out / "report.json").read_text())


def examples(out) -> dict:
    """Returns the rows of a prepared dataset, by clip id."""
    import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(out)
    rows = [row for split in builder.info.splits for row in builder.as_data_source(split)]
    return {row["clip_id"].decode(): row for row in rows}


def stored(out) -> dict:
    """The bytes of every field of every clip of a prepared dataset, by split and place."""
    tfds = pytest.importorskip("tensorflow_datasets")
    return {
        (split, place): {name: np.asarray(row[name]).tobytes() for name in row}
        for split, rows in tfds.builder_from_directory(out).as_data_source().items()
        for place, row in enumerate(rows)
    }
