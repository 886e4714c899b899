"""Prepares a data set: finds the faces in its clips and stores landmarks and crops for training.

    python -m preprocess DATASET --source DIR --out DIR

A run that was stopped goes on where it was when the same command is given again.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import itertools
import os
import pathlib
import shlex
import sys

from rich.console import Console
from rich.text import Text

from fer_jax.faces import crop
from fer_jax.faces.detector import LandmarkModelError, landmark_model
from fer_jax.faces.landmarks import ALIGNED
from fer_jax.faces.sequence import ClipError, Sequence
from fer_jax.progress import Progress
from preprocess import pipeline, report, store
from preprocess.clip import Clip, SourceError
from preprocess.datasets import DATASETS
from preprocess.read import needs_detection, no_pictures, read_clip

_COMMON = ("dataset", "source", "out", "workers", "dry_run", "overwrite", "landmark_model", "crops")
# Pixels of the crops that a system's configs expect, and those of its small ones.
_CROPS = {"stcnlstm": 64, "fergcn": 256, "ir3d": 299}
_SMALL_CROPS = {"stcnlstm": 64, "fergcn": 64, "ir3d": 96}
# Synthetic data sets whose clips end at rest: their last frames show nothing.
_THERE_AND_BACK = ("film", "cartoon")


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line; returns the exit code: 0 when at least one clip was kept."""
    options = _parser().parse_args(arguments)
    console = Console()
    try:
        return _run(options, console)
    except (SourceError, LandmarkModelError, OSError) as error:
        Console(stderr=True).print(Text(f"error: {error}", "red"))
        return 1
    except KeyboardInterrupt:
        console.print(Text(_stopped(options), "yellow"), soft_wrap=True)
        return 130


def _stopped(options: argparse.Namespace) -> str:
    if options.dry_run:  # --out may be missing
        return "Stopped."
    finished = len(list((options.out / store.CACHE).glob("*.npz")))
    return (
        f"Stopped. {finished} finished clips are kept in {options.out}; give the same command "
        "again to go on."
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m preprocess",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="dataset", metavar="DATASET", required=True)
    for name, dataset in DATASETS.items():
        command = commands.add_parser(
            name,
            help=dataset.__doc__.splitlines()[0],
            description=dataset.__doc__,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.add_argument("--source", type=pathlib.Path, help="where the data lies")
        command.add_argument("--out", type=pathlib.Path, help="directory of the prepared data set")
        command.add_argument(
            "--crops",
            type=_crop_size,
            default=0,
            metavar="PIXELS",
            help="also store aligned face crops, squares of this side (default: landmarks only)",
        )
        command.add_argument(
            "--workers",
            type=_positive,
            default=_cores(),
            help="processes (default: one a core)",
        )
        command.add_argument(
            "--dry-run", action="store_true", help="list what would be read and stop"
        )
        command.add_argument(
            "--overwrite", action="store_true", help="replace another data set in --out"
        )
        command.add_argument(
            "--landmark-model",
            type=pathlib.Path,
            help="a dlib 68-point model; default: $FER_JAX_LANDMARK_MODEL, else the installed one",
        )
        getattr(dataset, "add_options", lambda command: None)(command)
    return parser


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _positive(text: str) -> int:
    if not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"{text} is not a number of processes")
    return int(text)


def _crop_size(text: str) -> int:
    if not text.isdigit() or not crop.SMALLEST <= int(text) <= crop.LARGEST:
        raise argparse.ArgumentTypeError(
            f"{text} is not the side of a crop: give {crop.SMALLEST} to {crop.LARGEST} pixels"
        )
    return int(text)


def _run(options: argparse.Namespace, console: Console) -> int:
    dataset = DATASETS[options.dataset]
    if options.out is None and not options.dry_run:
        raise SourceError("--out is missing: name the directory of the prepared data set")
    clips = _without_doubles(dataset.clips(options.source, options))
    if options.crops:
        clips = [dataclasses.replace(c, problem=c.problem or no_pictures(c)) for c in clips]
    found = sorted({clip.label for clip in clips if not clip.problem})
    named = getattr(dataset, "class_names", lambda options: getattr(dataset, "CLASSES", found))
    classes = named(options)
    own_notes = getattr(dataset, "notes", None)
    if options.dry_run:
        report.print_listing(console, clips, classes, own_notes)
        return 0
    model = None
    if any(map(needs_detection, clips)):
        model = landmark_model(options.landmark_model)
        text = f"Landmarks by dlib with {model.name}; dlib's own is for non-commercial use only."
        console.print(Text(text))
    request = _request(options, model)
    store.check_target(options.out, request, options.overwrite)
    outcomes, files = _read(clips, options, model, console)
    summary = report.make_report(request, clips, outcomes, classes, own_notes)
    if not summary["counts"]["kept"]:
        report.print_summary(console, summary)
        raise SourceError(f"none of the {len(clips)} clips can be used; nothing was written")
    _store(options, clips, outcomes, files, classes, summary)
    report.print_summary(console, summary)
    coded = any(clip.codes for clip in clips)
    text = f"Prepared in {options.out}. Next:\n  {_next_command(options, summary, coded)}"
    console.print(Text(text), soft_wrap=True)
    return 0


def _next_command(options: argparse.Namespace, summary: dict, coded: bool) -> str:
    """The command that trains: with the data set's own config, else with one that fits any.

    `coded`: the clips have codes of action units.
    """
    name, path = options.out.resolve().name, shlex.quote(str(options.out))
    systems = ("stbln",)
    if options.dataset == "ferplus":
        return f"python run.py --config configs/bilinear_small.py --config.data.path={path}"
    if options.crops:  # the system whose own size is nearest comes first
        systems = ("fergcn", "stcnlstm") if options.crops >= 128 else ("stcnlstm", "fergcn")
        small = 80 <= options.crops < 128 and options.dataset in ("synthetic", "manifest")
        systems = ("ir3d", *systems) if small or options.crops > 280 else (*systems, "ir3d")
    own = [
        (system, known)
        for known, system in itertools.product((options.dataset, name), systems)
        if known.isidentifier() and pathlib.Path(f"configs/{system}_{known}.py").exists()
    ]
    if getattr(options, "whole_videos", False):
        own = []  # DISFA's configs learn emotions
    system, known = own[0] if own else (systems[0], "buhmap")
    command = f"python run.py --config configs/{system}_{known}.py"
    if not own:
        command += f" --config.name={shlex.quote(name)}"
    command += f" --config.data.path={path}"
    if getattr(options, "database", None) in _THERE_AND_BACK:
        command += f" --config.name={shlex.quote(name)}" if own else ""
        if system == "ir3d":
            dataset = f"synthetic_{options.database}"
            command += f" --config.data.dataset={dataset} --config.data.frame_rule=apex_pieces"
    expected = _SMALL_CROPS if known in ("synthetic", "buhmap") else _CROPS
    if options.crops and options.crops != expected[system]:
        command += " --config.data.crop_size=0"
    return command if own else command + _task_flags(options, summary, coded)


def _task_flags(options: argparse.Namespace, summary: dict, coded: bool) -> str:
    """What a config of BUHMAP is told of other data: its labels and how to divide its people."""
    flags = ""
    if coded:
        flags = " --config.task=action_units --config.data.frame_rule=windows"
        # its motion input does not see what is held throughout a window
        flags += "" if options.crops else " --config.data.features=position"
    if "train" in summary["splits"] and len(summary["splits"]) > 1:
        return f"{flags} --config.protocol.name=holdout"
    # else people are left out in turn: of crops in 3 parts, which two people do not make
    few = options.crops and summary["subjects"] < 3
    return f"{flags} --config.protocol.folds=0" if few else flags


def _request(options: argparse.Namespace, model: pathlib.Path | None) -> dict:
    """What makes two preparations the same: data set, source, its own options, crops, the model."""
    return {
        "dataset": options.dataset,
        "source": str(options.source.resolve()) if options.source else None,
        "options": {k: v for k, v in vars(options).items() if k not in _COMMON},
        "crop_size": options.crops,
        "landmark_model": model.name if model else None,
    }


def _without_doubles(clips) -> list[Clip]:
    """Marks clips whose id was used before."""
    by_id: dict[str, Clip] = {}
    for clip in clips:
        if clip.clip_id in by_id:
            clip_id = f"{clip.clip_id} (again, {len(by_id)})"
            problem = ClipError("duplicate clip", f"{clip.clip_id} was listed before")
            clip = Clip(clip_id, clip.subject, clip.label, None, problem=problem)
        by_id[clip.clip_id] = clip
    return list(by_id.values())


def _read(clips: list[Clip], options, model, console: Console):
    """Reads all clips under a progress bar; returns outcomes and files in the clips' order."""
    outcomes: list = [None] * len(clips)
    files: list = [None] * len(clips)
    kept = dropped = 0
    reading = pipeline.read_all(
        clips,
        options.out / store.CACHE,
        workers=options.workers,
        model_path=model,
        crop_size=options.crops,
    )
    with contextlib.closing(reading), Progress(console) as progress:
        work = progress.start("reading clips", len(clips))
        for position, outcome, file in reading:
            outcomes[position], files[position] = outcome, file
            kept, dropped = kept + (not outcome.reason), dropped + bool(outcome.reason)
            rate = f"{work.speed:.1f} clips/s, " if work.speed else ""
            work.update(kept + dropped, f"{rate}{kept} kept, {dropped} dropped")
        work.finish(keep_bar=True)
    return outcomes, files


def _action_units(dataset, clips: list[Clip]) -> tuple[str, ...] | None:
    """Names of the action units: those of the data set, else those that its clips have codes of."""
    coded = (clip.codes.units for clip in clips if clip.codes)
    return getattr(dataset, "ACTION_UNITS", None) or next(coded, None)


def _sequence(clip: Clip, file: pathlib.Path | None, crop_size: int) -> Sequence:
    """What was read of a clip; without a file it is read once more."""
    return pipeline.load_sequence(file) if file else read_clip(clip, crop_size=crop_size)[0]


def _store(options, clips, outcomes, files, classes, summary) -> None:
    out = options.out
    usable = [
        (clip, file)
        for clip, outcome, file in zip(clips, outcomes, files, strict=True)
        if not outcome.reason
    ]
    store.write_dataset(
        out,
        lambda: ((clip, _sequence(clip, file, options.crops)) for clip, file in usable),
        splits=list(summary["splits"]),
        classes=classes,
        action_units=_action_units(DATASETS[options.dataset], clips),
        crop_size=options.crops,
        votes=getattr(DATASETS[options.dataset], "VOTES", ()),
        framing=getattr(DATASETS[options.dataset], "FRAMING", ALIGNED),
        report=summary,
    )
    # Finished clips stay, so that a longer list later only costs its new clips.
    current = {file for file in files if file}
    for file in (out / store.CACHE).iterdir():
        if file not in current:
            file.unlink()


if __name__ == "__main__":
    sys.exit(main())
