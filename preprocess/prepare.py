"""Prepares one dataset: lists its clips, reads them and writes the prepared dataset."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import functools
import pathlib
from collections.abc import Sequence as Series

import numpy as np
from rich.console import Console
from rich.text import Text

from fer_jax.faces.detector import landmark_model
from fer_jax.faces.labels import NO_FACE, PREDICTION_COLUMNS, columns_among, impossible_labels
from fer_jax.faces.landmarks import ALIGNED, FRAMINGS, Framing
from fer_jax.faces.sequence import ClipError, Sequence
from fer_jax.installation import needs
from fer_jax.progress import Progress

from . import parts, pipeline, report, store
from .clip import Clip, SourceError, UsageError
from .datasets import DATASETS
from .read import needs_detection, no_pictures, read_clip
from .workers import launch

# Options common to all datasets; the others belong to one dataset.
_EVERY_FRAME = "every-frame"
DETECT = ("follow", _EVERY_FRAME)  # how faces are found in the frames of a clip
_COMMON = ("dataset", "source", "out", "workers", "dry_run", "overwrite", "landmark_model", "crops",
           "detect", "framing", "cluster", "shard", "merge")  # fmt: skip


def prepare(options: argparse.Namespace, console: Console) -> tuple[dict, bool] | None:
    """Prepares a dataset, or the clips of a shard of it.

    Args:
      options: options of the command line, those of the dataset included.
      console: shows progress.

    Returns:
      The summary of `report.make_report`, and whether clips have codes of action units; None if
      the clips were only listed.

    Raises:
      SourceError, LandmarkModelError, NotInstalledError, InUseError, ClusterError, OSError: nothing
        was written.
    """
    _check_where(options)
    clips, classes = _listed(options)
    if options.dry_run:
        own_notes = getattr(DATASETS[options.dataset], "notes", None)
        report.print_listing(console, clips, classes, own_notes)
        return None
    with needs("preprocess"):  # before reading clips, which may take hours
        import tensorflow_datasets  # noqa: F401
    model = None
    if any(map(needs_detection, clips)):
        model = landmark_model(options.landmark_model).absolute()  # as in `_check_where`
        text = f"Landmarks by dlib with {model.name}; dlib's own is for non-commercial use only."
        console.print(Text(text))
    request = make_request(options, model)
    store.check_target(options.out, request, options.overwrite)
    cache = options.out / store.CACHE
    cache.mkdir(parents=True, exist_ok=True)

    def say(line: str) -> None:
        console.print(Text(line, "yellow"), soft_wrap=True)

    with (
        parts.lock(options.out, cache, options.shard),
        launch.workers(
            options.cluster, options.workers, cache, options.source, model, say
        ) as workers,
    ):
        made = _prepare_part if options.shard else _prepare_whole
        summary = made(options, clips, classes, request, model, workers, console)
    report.print_summary(console, summary)
    return summary, any(clip.codes for clip in clips)


def _listed(options: argparse.Namespace) -> tuple[list[Clip], list[str]]:
    """Returns the clips and the classes of a dataset."""
    dataset, framing = DATASETS[options.dataset], _framing(options)
    clips = _without_doubles(dataset.clips(options.source, options))
    if votes := _votes(options):
        names = {"votes": votes, "other_votes": getattr(dataset, "OTHER_VOTES", ())}
        clips = [
            dataclasses.replace(clip, problem=clip.problem or _vote_problem(clip, names))
            for clip in clips
        ]
    if options.crops:
        clips = [
            dataclasses.replace(clip, problem=clip.problem or no_pictures(clip), framing=framing)
            for clip in clips
        ]
    found = sorted({clip.label for clip in clips if not clip.problem})
    named = getattr(dataset, "class_names", lambda options: getattr(dataset, "CLASSES", found))
    classes = named(options)
    _refuse_columns([*classes, *votes], clips)
    return clips, classes


def _prepare_part(options, clips, classes, request, model, workers, console) -> dict:
    """Reads the clips of a shard; returns its summary, without notes, which are on a dataset."""
    clips = options.shard.of(clips)
    outcomes, files = _read(clips, options, model, workers, console)
    options.shard.write_record(options.out / store.CACHE, outcomes, files)
    return {**_summary(options, clips, classes, request, outcomes), "notes": []}


def _prepare_whole(options, clips, classes, request, model, workers, console) -> dict:
    """Reads all clips, or takes those of shards, and writes the dataset; returns its summary."""
    outcomes, files = _read(clips, options, model, workers, console)
    if options.merge:
        outcomes = parts.merged(options.out / store.CACHE, clips, outcomes, files)
    summary = _summary(options, clips, classes, request, outcomes)
    if not summary["counts"]["kept"]:
        report.print_summary(console, summary)
        raise SourceError(f"none of the {len(clips)} clips can be used; nothing was written")
    _store(options, clips, outcomes, files, classes, summary, workers, console)
    return summary


def _summary(options, clips, classes, request, outcomes) -> dict:
    dataset = DATASETS[options.dataset]
    own_notes, images = getattr(dataset, "notes", None), getattr(dataset, "IMAGES", 0)
    return report.make_report(request, clips, outcomes, classes, own_notes, images)


def _check_where(options: argparse.Namespace) -> None:
    """Refuses options of places and processes that contradict each other.

    Raises:
      UsageError: naming them.
    """
    if options.out is None and not options.dry_run:
        raise UsageError("--out is missing: name the directory of the prepared dataset")
    if options.shard and options.merge:
        raise UsageError("--shard and --merge: prepare every shard, then merge them")
    if options.shard and options.cluster:
        raise UsageError("--shard is for machines without a dask scheduler: omit it, or --cluster")
    if options.cluster in launch.QUEUES and not options.workers:
        raise UsageError(f"--cluster {options.cluster}: give --workers, the processes to start")
    if options.cluster and options.cluster not in launch.QUEUES and options.workers:
        raise UsageError("--workers: a running dask scheduler has its own, omit it")
    if options.cluster:  # workers have another working directory
        options.out = options.out and options.out.absolute()
        options.source = options.source and options.source.absolute()


def make_request(options: argparse.Namespace, model: pathlib.Path | None) -> dict:
    """Returns what identifies a preparation: dataset, source, options, crop size, model."""
    return {
        "dataset": options.dataset,
        "source": str(options.source.resolve()) if options.source else None,
        "options": {k: v for k, v in vars(options).items() if k not in _COMMON},
        "crop_size": options.crops,
        "landmark_model": model.name if model else None,
        "detect": _EVERY_FRAME if model and options.detect == _EVERY_FRAME else None,
        "framing_of_crops": None if _framing(options) == ALIGNED else options.framing,
    }


def _framing(options: argparse.Namespace) -> Framing:
    """Framing of the crops that are cut.

    Raises:
      UsageError: no crops are cut.
    """
    framing = FRAMINGS[options.framing]
    if framing != ALIGNED and not options.crops:
        raise UsageError(f"--framing {options.framing} is of face crops: give --crops PIXELS too")
    if framing != ALIGNED and hasattr(DATASETS[options.dataset], "FRAMING"):
        raise UsageError(
            f"--framing {options.framing}: the pictures of {options.dataset} are taken as they are"
        )
    return framing


def _without_doubles(clips) -> list[Clip]:
    """Marks clips whose id is already taken as unusable."""
    by_id: dict[str, Clip] = {}
    for clip in clips:
        if clip.clip_id in by_id:
            clip_id = f"{clip.clip_id} (again, {len(by_id)})"
            problem = ClipError("duplicate clip", f"{clip.clip_id} was listed before")
            clip = Clip(clip_id, clip.subject, clip.label, None, problem=problem)
        by_id[clip.clip_id] = clip
    return list(by_id.values())


def _vote_problem(clip: Clip, names: dict[str, Series[str]]) -> ClipError | None:
    """Returns what is wrong with the votes of a clip, None if they are numbers of people.

    Args:
      clip: as it is listed.
      names: "votes" and "other_votes" -> what people could choose.
    """
    for field, own in names.items():
        votes = getattr(clip, field) or ()
        if len(votes) != len(own):
            found = f"{len(votes)} {field}, not one for each of {', '.join(own)}"
            return ClipError("impossible votes", found)
        bad = np.flatnonzero(impossible_labels(field, votes))
        if len(bad):
            found = ", ".join(f"{votes[index]:g} for {own[index]}" for index in bad)
            return ClipError("impossible votes", f"{found}: no number of people")
    return None


def _refuse_columns(classes, clips: list[Clip]) -> None:
    """Refuses classes that no table of predictions could hold; of coded clips any label will do."""
    if any(clip.codes for clip in clips):
        return
    if faceless := [name for name in classes if name.casefold() == NO_FACE]:
        raise SourceError(
            f"class {faceless[0]} is how predictions call a window without a face: give it "
            "another name"
        )
    if parted := [name for name in classes if "|" in name]:
        raise SourceError(
            f"class {parted[0]} has a |, which separates the classes of a prediction set: give it "
            "another name"
        )
    if taken := columns_among(classes):
        raise SourceError(
            f"class {taken[0]} is named like a column of the table of predictions "
            f"({', '.join(PREDICTION_COLUMNS)}): give it another name"
        )


def _read(clips: list[Clip], options, model, workers, console: Console):
    """Reads all clips under a progress bar; returns outcomes and files in the clips' order."""
    outcomes: list = [None] * len(clips)
    files: list = [None] * len(clips)
    kept = dropped = 0
    reading = pipeline.read_all(
        clips,
        options.out / store.CACHE,
        workers=workers,
        model_path=model,
        crop_size=options.crops,
        every_frame=options.detect == _EVERY_FRAME,
        only_finished=options.merge,
    )
    with contextlib.closing(reading), Progress(console) as progress:
        title = "looking for finished clips" if options.merge else "reading clips"
        work = progress.start(title, len(clips))
        for position, outcome, file in reading:
            outcomes[position], files[position] = outcome, file
            kept, dropped = kept + (not outcome.reason), dropped + bool(outcome.reason)
            rate = f"{work.speed:.1f} clips/s, " if work.speed else ""
            many = "1 worker" if workers.count == 1 else f"{workers.count} workers"
            there = f", {many}" if options.cluster else ""
            text = f"{kept} found" if options.merge else f"{rate}{kept} kept, {dropped} dropped"
            work.update(kept + dropped, f"{text}{there}")
        work.finish(keep_bar=True)
    return outcomes, files


def _action_units(dataset, clips: list[Clip]) -> tuple[str, ...] | None:
    """Returns the action units of the dataset, or else those that its clips code."""
    coded = (clip.codes.units for clip in clips if clip.codes)
    return getattr(dataset, "ACTION_UNITS", None) or next(coded, None)


def _votes(options) -> tuple[str, ...]:
    """Returns what clips have votes for: the emotions of the dataset, or those of its source."""
    dataset = DATASETS[options.dataset]
    named = getattr(dataset, "vote_names", lambda options: getattr(dataset, "VOTES", ()))
    return tuple(named(options))


def _sequence(clip: Clip, file: pathlib.Path | None, crop_size: int) -> Sequence:
    """Returns the sequence of a clip; without a cache file it is read again."""
    return pipeline.load_sequence(file) if file else read_clip(clip, crop_size=crop_size)[0]


def _store(options, clips, outcomes, files, classes, summary, workers, console) -> None:
    out, cache = options.out, options.out / store.CACHE
    usable = [
        (clip, functools.partial(_sequence, clip, file, options.crops))
        for clip, outcome, file in zip(clips, outcomes, files, strict=True)
        if not outcome.reason
    ]
    current = {file.name for file in files if file}
    if options.cluster:
        needed = (f for f, outcome in zip(files, outcomes, strict=True) if f and not outcome.reason)
        launch.await_files(cache, {file.name for file in needed})
    with Progress(console) as progress:
        work = progress.start("writing clips", len(usable))
        store.write_dataset(
            out,
            usable,
            splits=list(summary["splits"]),
            classes=classes,
            action_units=_action_units(DATASETS[options.dataset], clips),
            crop_size=options.crops,
            votes=_votes(options),
            other_votes=getattr(DATASETS[options.dataset], "OTHER_VOTES", ()),
            label_from_votes=getattr(DATASETS[options.dataset], "LABEL_FROM_VOTES", False),
            framing=getattr(DATASETS[options.dataset], "FRAMING", _framing(options)),
            report=summary,
            workers=workers,
            written=lambda clips: work.update(work.done + clips),
        )
        work.finish(keep_bar=True)
    # Finished clips stay, so that a longer list later reads only its new clips.
    for file in cache.iterdir():
        if file.name not in current and file.is_file():
            file.unlink()
