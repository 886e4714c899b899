"""Opens a prepared data set, selects frames and batches it."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Iterator

import numpy as np

from fer_jax import crops
from fer_jax import landmarks as lm

REFERENCE_WIDTH = 500.0  # published pixel figures (noise, mean shapes) refer to frames this wide


class NotPreparedError(RuntimeError):
    """The data set has not been prepared; the message says how to."""


@dataclasses.dataclass(frozen=True)
class Clips:
    """A prepared data set, T frames a clip.

    Attributes:
      clip_ids, subjects, splits: one string a clip.
      labels: `[N]` int32.
      landmarks: `[N, T, 68, 2]` float32, pixels of a frame 500 wide.
      seconds: `[N]` length of the whole clip.
      classes: class names, in the order of the labels.
      graph: the landmark graph.
      scaled: whether the source's frame widths were known, so that pixels could be rescaled.
      preprocess_version: of the program that prepared it.
      frames: face crops `[N, T, S, S, 3]` uint8 RGB in memory, `crops.Recorded` where they are
        decoded while training, or None.
      crop_landmarks: `[N, T, 68, 2]` float32, pixels of the crops, or None.
    """

    clip_ids: list[str]
    subjects: list[str]
    splits: list[str]
    labels: np.ndarray
    landmarks: np.ndarray
    seconds: np.ndarray
    classes: tuple[str, ...]
    graph: lm.Graph
    scaled: bool = True
    preprocess_version: int = 0
    frames: np.ndarray | crops.Recorded | None = None
    crop_landmarks: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def clip_bytes(self) -> int:
        """Size of what a model gets of a clip, before it is converted."""
        if self.frames is None:
            return self.landmarks[0].nbytes
        if isinstance(self.frames, crops.Recorded):
            return self.frames.clip_bytes
        return self.frames[0].nbytes


def select_frames(detected, frames: int, rule: str) -> np.ndarray:
    """Chooses T frames of a clip.

    Args:
      detected: `[L]` bool, frames in which a face was found.
      frames: T.
      rule: "ends": the first and the last T - 1 frames (CK+, Oulu-CASIA), the nearest frame with
        a face standing in for one without; short clips repeat the first frame.
        "uniform": T frames at equal intervals among those with a face, from the first to the last
        (AFEW); clips with fewer repeat frames in place.
        "middles": the middle frame of T equal parts of those with a face (FER-GCN).

    Returns:
      `[T]` int frame indices, ascending.

    Raises:
      ValueError: no face in any frame, or an unknown rule.

    Source: ST-BLN specification, section 3; FER-GCN specification, section 6.
    """
    valid = np.flatnonzero(np.asarray(detected, bool))
    count = len(valid)
    if not count:
        raise ValueError("no frame of this clip has a face")
    if rule == "uniform":
        if count >= frames:
            return valid[np.round(np.linspace(0, count - 1, frames)).astype(int)]
        return valid[np.arange(frames) * count // frames]
    if rule == "middles":
        return valid[(2 * np.arange(frames) + 1) * count // (2 * frames)]
    if rule == "ends":
        tail = np.arange(len(detected) - frames + 1, len(detected))
        wanted = np.maximum(np.concatenate([[0], tail]), 0)
        nearest = np.abs(valid[None] - wanted[:, None]).argmin(1)
        return valid[nearest]
    raise ValueError(f"frame rule {rule!r} is unknown: use 'ends', 'middles' or 'uniform'")


def scale_to_reference(landmarks, frame_width: int):
    """Scales pixels of a source `frame_width` wide to a frame 500 wide (unknown width 0: as is)."""
    return landmarks * (REFERENCE_WIDTH / frame_width) if frame_width else landmarks


def load_clips(
    path, frames: int, rule: str, dataset: str = "manifest", crop_size: int | None = None
) -> Clips:
    """Reads a prepared data set; landmarks into memory, crops are left to be decoded.

    Args:
      path: directory that `python -m preprocess` wrote.
      frames, rule: see `select_frames`.
      dataset: name shown in the message when nothing is there.
      crop_size: side of the face crops that a model will see, pixels (0: as prepared); None: it
        sees none.

    Raises:
      NotPreparedError: nothing (or something else) is at `path`, or it has no crops.
    """
    path = pathlib.Path(path)
    if not (path / "dataset_info.json").exists():
        raise NotPreparedError(not_prepared_message(path, dataset, crop_size))
    import tensorflow_datasets as tfds  # slow to import: 2 s

    builder = tfds.builder_from_directory(str(path))
    metadata = builder.info.metadata or {}
    if crop_size is not None and not metadata.get("crop_size"):
        raise NotPreparedError(
            f"{path} was prepared without face crops. Prepare it again with the command that made "
            f"it and {crops_flag(crop_size)}, into another --out or with --overwrite"
        )
    rows = []
    for split in sorted(builder.info.splits):
        rows += [
            {**_clip_row(example, frames, rule), "split": split, "place": (split, place)}
            for place, example in enumerate(builder.as_data_source(split))
        ]
    rows.sort(key=lambda row: row["clip_id"])
    if not rows:
        raise NotPreparedError(f"{path} holds no clips: see {path / 'report.json'}, prepare again")
    column = {name: [row[name] for row in rows] for name in rows[0]}
    pictures = {}
    if crop_size is not None:
        pictures["frames"] = crops.Recorded(
            str(path), tuple(column["place"]), tuple(column["chosen"]), metadata["crop_size"]
        )
        pictures["crop_landmarks"] = np.stack(column["crop_landmarks"])
    return Clips(
        clip_ids=column["clip_id"],
        subjects=column["subject"],
        splits=column["split"],
        labels=np.asarray(column["label"], np.int32),
        landmarks=np.stack(column["landmarks"]),
        seconds=np.asarray(column["seconds"], np.float32),
        classes=tuple(builder.info.features["label"].names),
        graph=lm.load_graph(path / "graph.json"),
        scaled=all(column["scaled"]),
        preprocess_version=int(metadata.get("preprocess_version", 0)),
        **pictures,
    )


def _clip_row(example, frames: int, rule: str) -> dict:
    chosen = select_frames(example["detected"], frames, rule)
    width = int(example["frame_size"][0])
    fps = float(example["fps"])
    row = {}
    if "crop_landmarks" in example:
        row["crop_landmarks"] = example["crop_landmarks"][chosen].astype(np.float32)
    return {
        **row,
        "chosen": chosen,
        "clip_id": _text(example["clip_id"]),
        "subject": _text(example["subject"]),
        "label": int(example["label"]),
        "landmarks": scale_to_reference(example["landmarks"][chosen], width).astype(np.float32),
        "scaled": width > 0,
        "seconds": len(example["detected"]) / fps if fps > 0 else np.nan,
    }


def _text(value) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def hold_crops(clips: Clips, most: int) -> Clips:
    """Decodes the crops into memory where all of them take no more than `most` bytes."""
    if not isinstance(clips.frames, crops.Recorded) or len(clips) * clips.clip_bytes > most:
        return clips
    return dataclasses.replace(clips, frames=clips.frames.all())


def crops_flag(crop_size: int) -> str:
    """Flag of `python -m preprocess` for crops out of which a model sees `crop_size` pixels."""
    return f"--crops {round(crop_size * 8 / 7) if crop_size else 256}"  # 224 out of 256


def not_prepared_message(path, dataset: str, crop_size: int | None = None) -> str:
    """What is missing, how to get it and how to prepare it."""
    listed = "list its clips in a CSV with the columns path,subject,label (and split), docs/data.md"
    licensed = "It is licensed: request it from {} and unpack it into DIR"
    origin = {
        "synthetic": "It needs no download",
        "ravdess": "It is free: FacialTracking_Actors_01-24.zip of Zenodo record 3255102",
        "buhmap": "It is free (MIT, Porta-Lorenzo et al., Sensors 2022): take the OpenFace CSVs of "
        "BUHMAP_Features and " + listed,
        "ckplus": licensed.format("the owners of the Cohn-Kanade database"),
        "oulu": licensed.format("the University of Oulu"),
        "afew": licensed.format("the EmotiW organisers"),
        "mmi": licensed.format("the owners of the MMI facial expression database"),
    }.get(dataset, listed[0].upper() + listed[1:])
    own = ("synthetic", "ravdess", "ckplus", "oulu", "afew", "mmi")
    reader = dataset if dataset in own else "manifest"
    source = {"synthetic": "", "manifest": " --source FILE.csv"}.get(reader, " --source DIR")
    flags = "" if crop_size is None else f" {crops_flag(crop_size)}"
    if crop_size is not None and dataset == "buhmap":
        flags += " --render"
    return (
        f"{dataset} is not prepared in {path} (no dataset_info.json). {origin}. "
        f"Prepare it: python -m preprocess {reader}{source} --out {path}{flags}"
    )


def take(clips: Clips, numbers: np.ndarray, weight: np.ndarray | None = None) -> dict:
    """Gathers a batch; `numbers` may have any shape, which becomes the leading axes."""
    if not isinstance(clips.frames, crops.Recorded):
        frames = None if clips.frames is None else clips.frames[numbers]
        return _batch(clips, numbers, weight, frames)
    decoded = np.stack([clips.frames.clip(number) for number in numbers.reshape(-1)])
    return _batch(clips, numbers, weight, decoded)


def _batch(clips: Clips, numbers: np.ndarray, weight, frames: np.ndarray | None) -> dict:
    if weight is None:
        weight = np.ones(numbers.shape, np.float32)
    batch = {"label": clips.labels[numbers], "weight": weight}
    if frames is None:
        return {**batch, "landmarks": clips.landmarks[numbers]}
    frames = frames.reshape(*numbers.shape, *clips.frames.shape[1:])
    return {**batch, "frames": frames, "crop_landmarks": clips.crop_landmarks[numbers]}


def batches(clips: Clips, numbers: np.ndarray, weight=None, hop: int = 1) -> Iterator[dict]:
    """Gathers the K batches of R runs, `hop` at a time; recorded crops are decoded ahead.

    Args:
      numbers: `[R, K, B]` clips; `hop` divides K.
      weight: the same shape.

    Yields:
      `take` of `[R, hop, B]`.
    """
    parts = [slice(first, first + hop) for first in range(0, numbers.shape[1], hop)]
    order = [numbers[:, part] for part in parts]
    weights = [None if weight is None else weight[:, part] for part in parts]
    if not isinstance(clips.frames, crops.Recorded):
        yield from (take(clips, *each) for each in zip(order, weights, strict=True))
        return
    flat = np.concatenate([chosen.reshape(-1) for chosen in order])
    decoded = crops.stream(clips.frames, flat, order[0].size)
    for chosen, own, frames in zip(order, weights, decoded, strict=True):
        yield _batch(clips, chosen, own, frames)


def epoch_numbers(train: np.ndarray, steps: int, batch_size: int, seed: tuple) -> np.ndarray:
    """Shuffles the training clips into `[steps, batch_size]`; what does not fill a step waits.

    The incomplete last batch is left out, as in the published code; every epoch leaves out others.
    """
    order = np.random.default_rng(seed).permutation(train)
    return order[: steps * batch_size].reshape(steps, batch_size)


def padded_parts(parts, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
    """Batches the clips of R runs in order, filled with weight 0: `([R, K, B], [R, K, B])`."""
    length = -(-max(map(len, parts)) // batch_size) * batch_size
    shape = (len(parts), -1, batch_size)
    fillers = [part if len(part) else np.zeros(1, int) for part in parts]
    chosen = np.stack([np.resize(np.asarray(part, int), length) for part in fillers])
    weight = np.stack([np.arange(length) < len(part) for part in parts])
    return chosen.reshape(shape), weight.reshape(shape).astype(np.float32)
