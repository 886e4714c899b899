"""The command `fer-jax reproduce`: runs what is missing, writes tables and figures."""

from __future__ import annotations

import argparse
import os
import pathlib
import sys
from collections.abc import Callable

from absl import logging
from rich.console import Console

from fer_jax import tables
from fer_jax.experiments import configs
from fer_jax.experiments.run import FAILURES
from fer_jax.machine import printable, storage_error, whole_file, write_whole
from fer_jax.papers.paper import Paper, PaperFigure, PaperTable, Run
from fer_jax.reproduce import experiments, items
from fer_jax.reproduce.experiments import FINISHED, MISSING, READY, Experiment, Outcome, UsageError
from fer_jax.reproduce.fill import fill
from fer_jax.reproduce.items import Item
from fer_jax.systems import run
from fer_jax.tasks import published
from fer_jax.training.parallel import keep_compiled


def reproduce(options: argparse.Namespace, overrides: tuple[str, ...]) -> int:
    """Runs a command line, see `fer_jax.commands.reproduce`; returns the exit code."""
    logging.set_verbosity(logging.WARNING)
    keep_compiled(os.environ.get("JAX_COMPILATION_CACHE_DIR"))
    try:
        chosen = items.choose(options.paper, options.item)
        if options.clip:
            items.check_clip(chosen)
        known = [run for _, item in chosen for run in item.runs]
        experiments.check_overrides(overrides, known)
        if not options.paper:
            lines = items.listing(chosen, overrides, options.runs)
        elif options.dry_run:
            lines = items.plan(chosen, overrides, options.runs)
        else:
            return _make(chosen, options, overrides)
        for line in lines:
            print(printable(line) if "\n" not in line else line)
    except (UsageError, configs.LoadError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        raise  # nobody reads the output any more
    except OSError as error:
        print(f"error: {storage_error(error)}", file=sys.stderr)
        return 1
    return 0


def _make(chosen: list[tuple[Paper, Item]], options, overrides) -> int:
    """Runs the experiments one by one; each table is written anew as its rows come in."""
    console, failures = Console(), {}
    outcomes: dict[Run, Outcome] = {}
    for paper, item in chosen:
        out = options.out / paper.key
        for each in item.runs:
            if each not in outcomes:
                outcomes[each] = Outcome(experiments.find(each, overrides, options.runs))
        for each in items.trained_runs(item):
            experiment = outcomes[each].experiment
            if experiment.state[0] == READY and not outcomes[each].failure:
                console.rule(experiment.config.name)
                outcomes[each] = Outcome(experiment, execute(experiment, console))
                if isinstance(item, PaperTable):
                    _write_table(paper, item, outcomes, out)
        own = {each: outcomes[each] for each in item.runs}
        say = _write_table if isinstance(item, PaperTable) else _write_figure
        failures |= {str(o.experiment.workdir): o.failure for o in own.values() if o.failure}
        print(printable(_written(say, paper, item, own, out, options)))
    _say_missing(outcomes)
    for workdir, failure in failures.items():
        print(f"error: {printable(workdir)}: {failure}", file=sys.stderr)
    return 1 if failures else 0


def execute(experiment: Experiment, console: Console) -> str:
    """Runs an experiment to its end, or resumes it; returns why it failed, "" if it did not."""
    try:
        run(experiment.config, experiment.workdir.path, console)
    except FAILURES as error:
        return printable(error)
    finally:
        experiment.forget_state()
    return ""


def _written(say: Callable, paper: Paper, item: Item, own, out: pathlib.Path, options) -> str:
    """Writes an item; a line about it."""
    more = (options.clip,) if isinstance(item, PaperFigure) else ()
    return f"{paper.key} {item.key}: {say(paper, item, own, out, *more)}"


def _write_table(paper: Paper, item: PaperTable, outcomes, out: pathlib.Path) -> str:
    own = {run: outcomes[run] for run in item.runs}
    files = tables.write(fill(paper, item, own), out, item.key)
    trained = [own[run] for run in items.trained_runs(item)]
    done = sum(outcome.finished for outcome in trained)
    rows = f", {done} of {len(trained)} experiments finished" if trained else ""
    rows = rows or (", of the prepared data" if own else ", quoted")
    return f"{files[0]}, .csv, .tex{rows}"


def _write_figure(paper: Paper, item: PaperFigure, own, out: pathlib.Path, clip: str) -> str:
    """Writes a figure as PNG and PDF, and its caption with what is missing as Markdown."""
    if item.reason:
        return f"cannot be: {item.reason}"
    from fer_jax.reproduce.figures import draw

    ready = {READY, FINISHED} if item.drawing in items.DATA_ONLY else {FINISHED}
    shown = {label: own[run] for label, run in item.shown if own[run].experiment.state[0] in ready}
    if item.shown and not shown:
        found = {run: outcome.experiment for run, outcome in own.items()}
        if any(experiment.state[0] == MISSING for experiment in found.values()):
            return f"not drawn, {items.missing_data(item, found)}"
        return f"not drawn: {next(iter(own.values())).reason}"
    try:
        figure = draw(item, shown, clip)
    except UsageError:
        raise
    except Exception as error:  # a figure never costs the tables after it
        return f"not drawn: {str(error).strip() or type(error).__name__}"
    for suffix in ("png", "pdf"):
        with whole_file(out / f"{item.key}.{suffix}") as file:
            figure.savefig(file)
    write_whole(out / f"{item.key}.md", _caption(paper, item, own, shown))
    left = len(item.shown) - len(shown)
    return f"{out / item.key}.png, .pdf" + (
        f", {left} of {len(item.shown)} missing" if left else ""
    )


def _caption(paper: Paper, item: PaperFigure, own, shown) -> str:
    title = f"{item.title} ({paper.name}, figure {item.key.removeprefix('figure')})"
    lines = [f"![{item.title}]({item.key}.png)", "", f"{title}."]
    lines += ["", item.remark] if item.remark else []
    for label, each in item.shown:
        outcome, experiment = own[each], own[each].experiment
        if item.drawing in items.DATA_ONLY and label in shown:
            lines += ["", f"{label}: {experiment.config.data.path}."]
        elif label in shown:
            fields = f", changed: {', '.join(experiment.changed)}" if experiment.changed else ""
            protocol = published.protocol_of(experiment.config)
            lines += ["", f"{label}: {experiment.workdir}, {protocol}{fields}."]
        else:
            lines += ["", f"{label} is missing: {outcome.reason}."]
    return "\n".join(lines) + "\n"


def _say_missing(outcomes: dict[Run, Outcome]) -> None:
    """Says once for each dataset how it is prepared."""
    needed = (o.experiment.missing for o in outcomes.values() if not o.finished)
    for text in dict.fromkeys(text for texts in needed for text in texts):
        print(f"missing: {printable(text)}")
