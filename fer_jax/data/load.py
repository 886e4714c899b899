"""Opens a prepared dataset."""

from __future__ import annotations

import math
import pathlib
from collections.abc import Sequence

import numpy as np

from fer_jax.data import crops, damage, how_to_prepare
from fer_jax.data.clips import Clips, Crops, LeftOut, Preparation
from fer_jax.data.frame_selection import PIECES
from fer_jax.data.how_to_prepare import NotPreparedError
from fer_jax.data.records import rows_of_record
from fer_jax.faces import emotion_ratings as ratings
from fer_jax.faces import landmarks as lm
from fer_jax.faces.emotion_ratings import DIMENSIONS, FERPLUS_EMOTIONS, vad
from fer_jax.faces.landmarks import ALIGNED, FER2013, Framing
from fer_jax.installation import needs
from fer_jax.progress import track
from fer_jax.storage import Spool

# Targets read from votes, and what these are for.
_VOTED = {
    "votes": "from which valence and arousal are averaged",
    "distribution": "whose distribution is learnt",
}
_MANY = 2000  # records from which reading shows a progress bar
# Targets in messages.
_TARGET_NAMES = {
    "label": "class", "action_units": "action unit", "votes": "vote", "distribution": "vote"
}  # fmt: skip


def load_clips(
    path,
    frames: int,
    rule: str,
    dataset: str = "manifest",
    crop_size: int | None = None,
    frames_per_second: float = 0.0,
    classes: Sequence[str] = (),
    target: str = "label",
    vote_rule: str = "majority",
    words: Sequence[tuple[str, str]] = (),
    neutral_dominance: float | None = None,
    framing: str = "",
    most: float = math.inf,
) -> Clips:
    """Reads a prepared dataset: its landmarks, and where its crops are, to be decoded later.

    Args:
      path: directory that `python -m preprocess` wrote.
      frames, rule: see `frame_selection`.
      dataset: name for the message if nothing is there.
      crop_size: side of the face crops that a model sees, pixels (0: as prepared); None for
        landmark models.
      frames_per_second: see `thin_frames`.
      classes: names of the classes, action units or dimensions to keep; empty keeps all.
      target: what to train on: "label", "action_units" of the last frame, the "distribution" of
        votes over the classes, or "votes" for emotions, rated as valence, arousal and dominance.
      vote_rule: of "label" and "distribution", how votes are read, see
        `emotion_ratings.read_votes`; a dataset may have labels of its own, with or without votes.
      words, neutral_dominance: see `emotion_ratings.vad`.
      framing: of the crops, for the message if nothing is there.
      most: bytes of landmarks that are held in memory; more are read while training.

    Raises:
      NotPreparedError: `path` holds no prepared dataset, a damaged one, or one without crops,
        landmarks or targets.
      ValueError: the dataset lacks a name in `classes`, or a word is unknown.
    """
    path = pathlib.Path(path)
    builder = _open(path, dataset, crop_size, framing)
    metadata = builder.info.metadata or {}
    _check_target(path, metadata, target, vote_rule)
    with damage.named(path):
        graph = lm.load_graph(path / "graph.json")
    field = "votes" if _is_voted(target, metadata) else target
    points = ("landmarks",) if crop_size is None else ("landmarks", "crop_landmarks")
    spools = {name: Spool((68, 2), most) for name in points}
    rows, faceless, short = _read_rows(builder, frames, rule, frames_per_second, field, spools)
    if short and not rows:
        raise NotPreparedError(
            f"none of the {short} recordings in {path} has the {frames} frames with a face that "
            f"--config.data.frame_rule={rule} needs: choose fewer --config.data.frames"
        )
    undecided = len(rows)
    if target == "votes":
        rows, names = _rated(rows, words, neutral_dominance), DIMENSIONS
    elif field == "votes":
        names = tuple(metadata["votes"])
        rows = _voted(rows, names, target, vote_rule)
    else:
        units = target == "action_units"
        names = tuple(metadata["action_units"] if units else builder.info.features["label"].names)
    undecided -= len(rows)
    if classes:
        keep = {"label": _keep_classes, "distribution": _keep_voted}.get(target, _keep_values)
        rows, names = keep(rows, names, _known(classes, names, path))
    _check_rows(rows, path, target, crop_size)
    column = {name: [row[name] for row in rows] for name in rows[0]}
    points = {name: _points(column, name, rule, s.values()) for name, s in spools.items()}
    return Clips(
        clip_ids=column["clip_id"],
        subjects=column["subject"],
        splits=column["split"],
        labels=np.stack(column["label"]),
        landmarks=points["landmarks"],
        seconds=np.asarray(column["seconds"], np.float32),
        classes=names,
        graph=graph,
        crops=None if crop_size is None else _crops(path, column, points, metadata),
        ranks=_ranks(column["record"]) if rule == "windows" else np.zeros(len(rows), int),
        ends=np.array(column["end"]),
        preparation=Preparation(all(column["scaled"]), int(metadata.get("preprocess_version", 0))),
        left_out=LeftOut(faceless, {dataset: short} if short else {}, undecided=undecided),
        kind="windows" if rule == "windows" else "clips",
    )


def _open(path: pathlib.Path, dataset: str, crop_size: int | None, framing: str):
    """Opens a dataset with TFDS, if it has the crops asked for."""
    if not (path / "dataset_info.json").exists():
        message = how_to_prepare.not_prepared_message(path, dataset, crop_size, framing)
        raise NotPreparedError(message)
    with needs("train"):
        import tensorflow_datasets as tfds  # slow to import: 2 s

    damage.check_files(path)
    with damage.named(path):
        builder = tfds.builder_from_directory(str(path))
        metadata = builder.info.metadata or {}
        damage.check_metadata(path, metadata)
        damage.check_classes(path, builder.info.features["label"].names)
        for split in builder.info.splits:
            damage.check_counts(builder, split)
    if crop_size is not None and not metadata.get("crop_size"):
        raise NotPreparedError(
            f"{path} was prepared without face crops. Prepare it again with the command that made "
            f"it and {how_to_prepare.crops_flag(crop_size)}, into another --out or with --overwrite"
        )
    return builder


def _check_target(path: pathlib.Path, metadata: dict, target: str, vote_rule: str) -> None:
    """Refuses a dataset without the labels that a task needs."""
    if target == "action_units" and not metadata.get("action_units"):
        raise NotPreparedError(
            f"{path} names no action units: --config.task=action_units needs a dataset that does, "
            f"e.g. bp4d, synthetic or your own (docs/data/own_clips.md)"
        )
    voted = metadata.get("votes")
    if target in _VOTED and not voted:
        raise NotPreparedError(
            f"{path} has no votes of several people for the emotion of a face, {_VOTED[target]}: "
            f"ferplus has them (docs/data/datasets.md)"
        )
    if target == "votes" and tuple(voted) != FERPLUS_EMOTIONS:
        raise NotPreparedError(
            f"{path} has votes for {', '.join(voted)}: valence and arousal are averaged from those "
            f"for {', '.join(FERPLUS_EMOTIONS)}"
        )
    by_majority = target in ("label", "distribution") and vote_rule == "majority"
    if by_majority and _is_ferplus(metadata) and not metadata.get("other_votes"):
        raise NotPreparedError(
            f"{path} was prepared without the votes for unknown and NF, which a majority of all "
            f"votes needs. Prepare it again with --overwrite, or choose the emotion with most "
            f"votes: --config.data.vote_rule=argmax"
        )


def _is_ferplus(metadata: dict) -> bool:
    return metadata.get("dataset") == "ferplus"


def _is_voted(target: str, metadata: dict) -> bool:
    """Whether a target is read from votes; the classes of FER+ always are."""
    from_votes = metadata.get("label_from_votes", _is_ferplus(metadata))
    return target in _VOTED or (target == "label" and from_votes)


def _check_rows(rows: list[dict], path: pathlib.Path, target: str, crop_size: int | None) -> None:
    """Refuses a dataset without any clip that a model could train on."""
    if not rows:
        raise NotPreparedError(
            f"{path} holds no clip that shows a face and has a known "
            f"{_TARGET_NAMES[target]}: see {path / 'report.json'}"
        )
    if crop_size is None and not any(row["located"] for row in rows):
        raise NotPreparedError(
            f"{path} has pictures and no landmarks: choose a model that looks at face crops"
        )


def _crops(path: pathlib.Path, column: dict, points: dict, metadata: dict) -> Crops:
    records = tuple((str(path), *record) for record in column["record"])
    return Crops(
        frames=crops.Recorded(records, tuple(column["chosen"]), metadata["crop_size"]),
        landmarks=points["crop_landmarks"],
        framing=_framing(metadata),
    )


def _framing(metadata: dict) -> Framing:
    """Framing of the crops; FER+ data of older versions do not state it."""
    if "framing" in metadata:
        return Framing(**metadata["framing"])
    return FER2013 if _is_ferplus(metadata) else ALIGNED


def _read_rows(
    builder, frames: int, rule: str, frames_per_second: float, target: str, spools: dict[str, Spool]
):
    """Reads the rows of all clips, sorted by recording; their landmarks go to the spools.

    Returns:
      Rows, number of windows without a face, number of recordings too short for a piece.
    """
    rows, labelled, short = [], 0, 0
    classes, path = len(builder.info.features["label"].names), pathlib.Path(builder.data_path)
    for split in sorted(builder.info.splits):
        records = damage.Readable(builder, split, path)
        if len(records) > _MANY:
            records = track(records, f"reading {split}", len(records))
        for index, example in enumerate(records):
            damage.check_record(example, classes, path, builder.info.metadata)
            clip_rows = rows_of_record(example, frames, rule, frames_per_second, target)
            _spool(clip_rows, rule, spools)
            rows += [{**row, "split": split, "record": (split, index)} for row in clip_rows]
            if rule == "windows":
                labelled += int(np.isfinite(example[target]).any(-1).sum())
            short += rule in PIECES and not clip_rows
    rows.sort(key=lambda row: row["recording"])  # stable: windows stay in their order
    return rows, max(0, labelled - len(rows)), short


def _ranks(records: list) -> np.ndarray:
    """Index of each clip within its record; clips of a record are adjacent in `records`."""
    starts = [own != before for own, before in zip(records, [None, *records[:-1]], strict=True)]
    every = np.arange(len(records))
    return every - np.maximum.accumulate(np.where(starts, every, 0))


def _spool(rows: list[dict], rule: str, spools: dict[str, Spool]) -> None:
    """Puts the frame of a spool at which they begin in the place of a record's landmarks.

    Those that have no spool are not needed.
    """
    unused = {"landmarks", "crop_landmarks"} - spools.keys()
    for row in rows:
        for name in unused & row.keys():
            del row[name]
    for name, spool in spools.items():
        first = None
        for row in rows:
            if name not in row:
                continue
            points = row[name]
            if name == "landmarks":
                row["located"] = bool(np.isfinite(points).any())
            if rule != "windows" or first is None:  # windows share the frames of their recording
                first = spool.add(points)
            row[name] = first


def _points(column: dict, name: str, rule: str, values: np.ndarray):
    """Landmarks of the chosen frames, `[N, T, 68, 2]`, an array or `crops.Shared`.

    Args:
      values: of the spool.
    """
    if name not in column:
        return None
    starts, chosen = np.asarray(column[name]), np.stack(column["chosen"])
    if rule != "windows":
        chosen = np.arange(chosen.shape[1])
    shared = crops.Shared(values, starts[:, None] + chosen)
    whole = rule == "windows" or shared.on_disk
    return shared if whole else shared[np.arange(len(shared))]


def _keep_classes(rows: list[dict], names, kept) -> tuple[list[dict], tuple[str, ...]]:
    """Drops the clips of other classes and renumbers the labels of the rest."""
    rows = [
        {**row, "label": np.int32(kept.index(row["label"]))} for row in rows if row["label"] in kept
    ]
    return rows, tuple(names[index] for index in kept)


def _voted(rows: list[dict], names, target: str, rule: str) -> list[dict]:
    """Turns the votes of all clips into classes, or distributions; drops clips that have none."""
    if not rows:
        return rows
    labels = ratings.read_votes(np.stack([row["label"] for row in rows]), len(names), rule)
    known = np.isfinite(labels).all((1, 2))
    if target == "label":
        known, labels = known & labels[:, 1].any(1), labels[:, 1].argmax(1).astype(np.int32)
    read = zip(rows, labels, known, strict=True)
    return [{**row, "label": label} for row, label, keep in read if keep]


def _rated(rows: list[dict], words, neutral_dominance: float | None) -> list[dict]:
    """Turns the votes of all clips into valence, arousal and dominance."""
    if not rows:
        return rows
    own = np.stack([row["label"][: len(FERPLUS_EMOTIONS)] for row in rows])
    values = vad(own, words, neutral_dominance)
    return [{**row, "label": value} for row, value in zip(rows, values, strict=True)]


def _keep_values(rows: list[dict], names, kept) -> tuple[list[dict], tuple[str, ...]]:
    """Drops other action units or dimensions, and clips without any known value of the rest."""
    rows = [{**row, "label": row["label"][kept]} for row in rows]
    rows = [row for row in rows if not np.isnan(row["label"]).all()]
    return rows, tuple(names[index] for index in kept)


def _keep_voted(rows: list[dict], names, kept) -> tuple[list[dict], tuple[str, ...]]:
    """Restricts distributions to some classes; drops clips without a vote for any of them."""
    rows = [{**row, "label": ratings.of_classes(row["label"][None], kept)[0]} for row in rows]
    rows = [row for row in rows if np.isfinite(row["label"]).all()]
    return rows, tuple(names[index] for index in kept)


def _known(kept: Sequence[str], names, path) -> list[int]:
    """Indices of the names to keep, in the dataset's order."""
    unknown = [name for name in kept if name not in names]
    if unknown:
        raise ValueError(
            f"--config.data.classes: {path} has no {unknown[0]!r}, but {', '.join(names)}"
        )
    return [index for index, name in enumerate(names) if name in kept]
