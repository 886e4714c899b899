"""Predicts and draws the clips of one command, with a progress bar."""

from __future__ import annotations

import argparse
import collections
import contextlib
import dataclasses
import functools
import pathlib
from collections.abc import Iterator

import pandas as pd
from rich.console import Console

from fer_jax import shipped
from fer_jax.faces.media import listing
from fer_jax.machine import printable, storage_error
from fer_jax.predict import load, sources
from fer_jax.predict.api import join_tables, reported
from fer_jax.predict.options import Options, chosen_threshold, say_first
from fer_jax.predict.tables import SavedRows, drawn_files, print_table, save_table
from fer_jax.predict.windows import (
    columns,
    predict_source,
)
from fer_jax.progress import Progress, Work
from fer_jax.storage import InUseError, lock, temporary_file
from fer_jax.uncertainty import WeightDraws


def run(options: argparse.Namespace) -> int:
    """Predicts clips, prints and saves their table.

    Args:
      options: of the command line, see `fer_jax.commands.predict`.

    Returns:
      The exit code: 0 if at least one clip was predicted; 1 after a failure; 2 for wrong options,
      or if a video or figure that was asked for could not be drawn; 130 if interrupted.
    """
    console = Console(stderr=True)
    say = _once(console)
    options.bundle = shipped.locate(options.bundle)
    options.clips = listing.clips_of(options.clips, say)
    try:
        targets = drawn_files(options)
    except ValueError as error:
        return _failed(console, error, 2)
    try:
        predictor = load.load_model(options.bundle, functools.partial(_say, console))
        columns(predictor.classes, predictor.task)
    except (OSError, ValueError) as error:
        return _failed(console, error)
    how = Options(**{name: getattr(options, name) for name in Options.__dataclass_fields__})
    try:
        with _writing(options.out):
            return _run(predictor, options, how, targets, console, say)
    except InUseError as error:
        return _failed(console, f"{error} (--out)")


@contextlib.contextmanager
def _writing(out: pathlib.Path | None) -> Iterator[None]:
    """Keeps other processes from writing the same table.

    Raises:
      InUseError: another one writes it.
    """
    with contextlib.ExitStack() as held:
        if out is not None:
            with contextlib.suppress(OSError):  # what cannot be written is said when it is
                out.parent.mkdir(parents=True, exist_ok=True)
                held.enter_context(lock(out))
        yield


def _run(predictor, options, how: Options, targets, console: Console, say) -> int:
    """Predicts, prints and saves with a model that is loaded; returns the exit code."""
    tables, code, saved, stopped = [], 0, None, False
    try:
        if options.out is not None:
            names = columns(predictor.classes, predictor.task)  # older rows may lack some
            fields = dataclasses.asdict(how) | {"columns": names}
            saved = SavedRows(options.out, options.bundle, fields, say)
        code = _predict_all(predictor, options, how, targets, console, say, tables, saved)
    except KeyboardInterrupt:
        code, stopped = 130, True
        _say(console, f"stopped: {_left(options.out, tables, saved)}", "yellow")
    if not tables:
        if saved is not None and saved.empty:
            saved.finish()
        return code if stopped else _failed(console, "none of the clips could be predicted")
    table = join_tables(predictor, tables)
    print_table(table, predictor.classes, predictor.task)
    if options.out is None or (stopped and options.out.exists()):
        return code
    try:
        save_table(table, options.out)
    except OSError as error:
        return _failed(console, storage_error(error))
    _say(console, f"saved: {options.out}")
    if not stopped:
        saved.finish()
    return code


def _left(out: pathlib.Path | None, tables: list, saved) -> str:
    """Says what a run that was stopped leaves."""
    if not tables:
        return "no clip was finished"
    text = "the finished clips are shown"
    if out is not None and out.exists():
        text += f"; {out} is kept as it was, their rows are in {saved.file.name}"
    return f"{text}; give the same command again to go on" if saved else text


def _say(console: Console, text, style: str | None = None) -> None:
    console.print(printable(text), style=style, markup=False, highlight=False, soft_wrap=True)


def _failed(console: Console, text, code: int = 1) -> int:
    _say(console, f"error: {text}", "red")
    return code


def _once(console: Console):
    """Makes what prints a line of text, every line once."""

    @functools.cache
    def say(text: str) -> None:
        _say(console, text, "yellow" if text.startswith("skipped") else None)

    return say


def _predict_all(
    predictor, options, how: Options, targets, console: Console, say, tables: list, saved
) -> int:
    """Predicts and draws clip by clip, adding each table to `tables`; returns the exit code."""
    drawn = True
    say_first(predictor, how, "--threshold", say)
    with Progress(console, transient=True) as progress:
        work, outcome, count = progress.start("predicting"), "done", len(options.clips)
        for path, target in zip(options.clips, targets, strict=True):
            outcome = "skipped"
            if saved is not None and (table := saved.find(path, target)) is not None:
                say(f"predicted before: {path}")
                tables.append(table)
                outcome = "done"
                continue
            with reported(path, say):
                table, whole = _predict_one(predictor, path, how, target, work, say)
                tables.append(table)
                drawn, outcome = drawn and whole, "done"
                if saved is not None:
                    saved.add(path, table)
        work.finish(outcome)
    if skipped := count - len(tables):
        console.print(f"{len(tables)} of {count} clips predicted, {skipped} skipped")
    return 0 if drawn else 2


def _predict_one(
    predictor, path: pathlib.Path, options: Options, target: dict, work: Work, say
) -> tuple[pd.DataFrame, bool]:
    """The table of a clip, and whether everything was drawn that was asked for."""

    def rate() -> str:
        return f"{work.speed:.0f} frames/s" if work.speed else ""

    def advance() -> None:
        work.update(work.done + 1, rate())

    def before_window() -> None:
        if not predictor.is_compiled(options.mc_samples):
            work.update(figures=_making(predictor))

    drawn, inputs = True, collections.deque(maxlen=2)
    work.restart(f"reading {printable(path.name)}")
    source = sources.open_source(predictor, path, options, say)
    work.restart(f"reading {printable(path.name)}", source.announced or None)
    with temporary_file() if target else contextlib.nullcontext() as spool:
        table = predict_source(
            predictor, source, options, say, advance, before_window, spool,
            inputs.append if target else None,
        )  # fmt: skip
        work.update(figures=rate())
        if target:
            work.restart(f"drawing {printable(path.name)}", work.done)
            spool.seek(0)
            only = inputs[0] if len(table) == len(inputs) == 1 else None
            drawn = _draw(predictor, source, table, options, target, spool, advance, say, only)
    return table, drawn


def _making(predictor) -> str:
    """What the first window waits for, in words."""
    drawn = sum(each.count for each in predictor.draws if isinstance(each, WeightDraws))
    return f"drawing {drawn} networks, compiling" if drawn else "compiling the network"


def _draw(predictor, source, table, options, target: dict, spool, advance, say, only) -> bool:
    """Writes the annotated video and the figure of one clip; reports a failure.

    Args:
      only: inputs of the only window, whose MC samples are drawn below the figure, or None.
    """
    from fer_jax.predict import annotate

    classes, threshold = predictor.classes, chosen_threshold(predictor, options)
    drawn = {"task": predictor.task, "advance": advance, **target}
    try:
        if only is not None and predictor.task == "classification":
            drawn["samples"] = predictor.samples(
                only, mc_samples=options.mc_samples, seed=options.seed, frame_width=source.width
            )[:, 0]
        annotate.draw_clip(source, table, classes, threshold, spool, **drawn)
    except OSError as error:  # the predictions are still valid
        say(f"not drawn: {source.path}: {storage_error(error)}")
        return False
    except Exception as error:
        say(f"not drawn: {source.path}: {error}")
        return False
    for path in target.values():
        say(f"drawn: {path}")
    return True
