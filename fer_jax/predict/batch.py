"""Predicts and draws the clips of one command, with a progress bar."""

from __future__ import annotations

import argparse
import functools
import pathlib
import tempfile

import pandas as pd
from rich.console import Console

from fer_jax.machine import printable
from fer_jax.predict import load, sources
from fer_jax.predict.api import join_tables, reported
from fer_jax.predict.options import Options
from fer_jax.predict.tables import drawn_files, print_table, save_table
from fer_jax.predict.windows import (
    chosen_threshold,
    columns,
    predict_source,
    warn_of_threshold,
)
from fer_jax.progress import Progress, Work


def run(options: argparse.Namespace) -> int:
    """Predicts clips, prints and saves their table.

    Args:
      options: of the command line, see `fer_jax.commands.predict`.

    Returns:
      The exit code: 0 if at least one clip was predicted.
    """
    console = Console(stderr=True)
    say = _once(console)
    options.clips = sources.clips_of(options.clips, say)
    try:
        targets = drawn_files(options)
        predictor = load.load_model(options.bundle, functools.partial(_say, console))
        columns(predictor.classes, predictor.task)
    except (OSError, ValueError) as error:
        return _failed(console, error)
    tables, stopped = [], False
    try:
        _predict_all(predictor, options, targets, console, say, tables)
    except KeyboardInterrupt:
        stopped = True
        console.print("stopped: the finished clips are shown", style="yellow")
    table = join_tables(predictor, tables)
    if not tables:
        return _failed(console, "none of the clips could be predicted")
    print_table(table, predictor.classes, predictor.task)
    if options.out is not None:
        try:
            save_table(table, options.out)
        except OSError as error:
            return _failed(console, f"{options.out} cannot be written: {error}")
        _say(console, f"saved: {options.out}")
    return 130 if stopped else 0


def _say(console: Console, text, style: str | None = None) -> None:
    console.print(printable(text), style=style, markup=False, highlight=False, soft_wrap=True)


def _failed(console: Console, text) -> int:
    _say(console, f"error: {text}", "red")
    return 1


def _once(console: Console):
    """Makes what prints a line of text, every line once."""

    @functools.cache
    def say(text: str) -> None:
        _say(console, text, "yellow" if text.startswith("skipped") else None)

    return say


def _predict_all(predictor, options, targets, console: Console, say, tables: list) -> None:
    """Predicts and draws clip by clip, adding each table to `tables`."""
    how = Options(**{name: getattr(options, name) for name in Options.__dataclass_fields__})
    warn_of_threshold(predictor, how, "--threshold", say)
    with Progress(console, transient=True) as progress:
        work, outcome, count = progress.start("predicting"), "done", len(options.clips)
        for path, target in zip(options.clips, targets, strict=True):
            outcome = "skipped"
            with reported(path, say):
                tables.append(_predict_one(predictor, path, how, target, work, say))
                outcome = "done"
        work.finish(outcome)
    if skipped := count - len(tables):
        console.print(f"{len(tables)} of {count} clips predicted, {skipped} skipped")


def _predict_one(
    predictor, path: pathlib.Path, options: Options, target: dict, work: Work, say
) -> pd.DataFrame:
    def rate() -> str:
        return f"{work.speed:.0f} frames/s" if work.speed else "frames"

    def advance() -> None:
        work.update(work.done + 1, rate())

    def before_window() -> None:
        if not predictor.is_compiled(options.mc_samples):
            work.update(figures="compiling the network")

    work.restart(f"reading {printable(path.name)}")
    source = sources.open_source(predictor, path, options, say)
    work.restart(f"reading {printable(path.name)}", source.announced or None)
    with tempfile.TemporaryFile() as spool:
        table = predict_source(
            predictor, source, options, say, advance, before_window, spool if target else None
        )
        work.update(figures=rate())
        if target:
            work.restart(f"drawing {printable(path.name)}", work.done)
            spool.seek(0)
            _draw(predictor, source, table, options, target, spool, advance, say)
    return table


def _draw(predictor, source, table, options, target: dict, spool, advance, say) -> None:
    """Writes the annotated video and the figure of one clip; reports a failure."""
    from fer_jax.predict import annotate

    classes, threshold = predictor.classes, chosen_threshold(predictor, options)
    drawn = {"task": predictor.task, "advance": advance, **target}
    try:
        annotate.draw_clip(source, table, classes, threshold, spool, **drawn)
    except Exception as error:  # the predictions are still valid
        say(f"not drawn: {source.path}: {error}")
        return
    for path in target.values():
        say(f"drawn: {path}")
