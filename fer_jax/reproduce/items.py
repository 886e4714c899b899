"""What a table or figure needs and how far it is: the list of all, and the plan of a run."""

from __future__ import annotations

import collections
import pathlib
from collections.abc import Iterator

from fer_jax.papers import PAPERS
from fer_jax.papers.paper import Paper, PaperFigure, PaperTable, Run
from fer_jax.reproduce import experiments
from fer_jax.reproduce.experiments import FINISHED, MISSING, READY, Experiment, UsageError
from fer_jax.reproduce.measures import needs_training

DATA_ONLY = {"ratings"}  # drawings of prepared data, without a trained network
# drawings of one clip, which the command line may choose
OF_A_CLIP = {"class_distributions", "feature_maps", "layer_maps", "landmark_filters"}

Item = PaperTable | PaperFigure


def choose(paper: str, item: str) -> list[tuple[Paper, Item]]:
    """The tables and figures that a command line names; empty names stand for all.

    Raises:
      UsageError: there is no such paper, table or figure.
    """
    if paper and paper not in PAPERS:
        raise UsageError(f"there is no paper {paper}: use {', '.join(PAPERS)}")
    papers = [PAPERS[paper]] if paper else list(PAPERS.values())
    found = [(own, each) for own in papers for each in own.items if item in ("", each.key)]
    if not found:
        keys = ", ".join(each.key for each in papers[0].items)
        raise UsageError(f"{papers[0].name}: there is no {item}: use {keys}")
    return found


def check_clip(chosen: list[tuple[Paper, Item]]) -> None:
    """Refuses the choice of a clip where no one figure of a clip is chosen.

    Raises:
      UsageError: names the figures of a clip.
    """
    if len(chosen) == 1 and getattr(chosen[0][1], "drawing", "") in OF_A_CLIP:
        return
    figures = (
        f"{paper.key} {item.key}"
        for paper in PAPERS.values()
        for item in paper.items
        if getattr(item, "drawing", "") in OF_A_CLIP
    )
    raise UsageError(f"--clip is for one figure of a clip: name {', '.join(figures)}")


def trained_runs(item: Item) -> list[Run]:
    """The runs of an item that must be finished, in its order."""
    if isinstance(item, PaperFigure):
        return [] if item.drawing in DATA_ONLY else list(item.runs)
    measured = (ours for row in item.rows for ours in row.ours.values())
    return list(dict.fromkeys(ours.run for ours in measured if needs_training(ours.measure)))


def state(item: Item, found: dict[Run, Experiment]) -> str:
    """How far an item is, in words.

    Args:
      item: table or figure.
      found: its experiments.
    """
    trained = trained_runs(item)
    if not item.runs:
        if isinstance(item, PaperTable):
            return f"quoted: {item.reason}"
        return f"cannot be: {item.reason}" if item.reason else "can be drawn, needs no data"
    states = collections.Counter(found[run].state[0] for run in (trained or item.runs))
    if not trained:
        return missing_data(item, found) if states[MISSING] else "can be made, needs no training"
    all_of_them = "1 experiment" if len(trained) == 1 else f"{len(trained)} experiments"
    if len(states) == 1 and not states[MISSING]:
        return f"{all_of_them} {next(iter(states))}"
    parts = [f"{states[word]} {word}" for word in states if word != MISSING]
    return ", ".join(
        [all_of_them, *parts, *([missing_data(item, found)] if states[MISSING] else [])]
    )


def missing_data(item: Item, found: dict[Run, Experiment]) -> str:
    """Names the prepared datasets that are not there."""
    names = dict.fromkeys(
        path
        for run in item.runs
        if found[run].state[0] == MISSING
        for _, path in found[run].datasets
        if not (pathlib.Path(path) / "dataset_info.json").is_file()
    )
    return f"data missing: {', '.join(names)}"


def listing(chosen: list[tuple[Paper, Item]], overrides, runs: pathlib.Path) -> Iterator[str]:
    """Lists tables and figures with their states, then how missing data are prepared."""
    how: dict[str, None] = {}
    last = None
    for paper, item in chosen:
        if paper is not last:
            yield ("\n" if last else "") + f"{paper.key}: {paper.citation}"
            last = paper
        found = {run: experiments.find(run, overrides, runs) for run in item.runs}
        yield f"  {item.key:8}  {item.title}"
        yield f"  {'':8}    {state(item, found)}"
        for experiment in found.values():
            word, text = experiment.state
            if word == MISSING:
                how |= dict.fromkeys(experiment.missing)
            elif word not in (FINISHED, READY):
                yield f"  {'':8}    {text}"
    if how:
        yield "\nmissing data:"
        yield from (f"  {text}" for text in how)


def plan(chosen: list[tuple[Paper, Item]], overrides, runs: pathlib.Path) -> Iterator[str]:
    """Lists the experiments that would be run, with what their configs say about the cost."""
    wanted = dict.fromkeys(run for _, item in chosen for run in trained_runs(item))
    found = [experiments.find(run, overrides, runs) for run in wanted]
    told = set()  # how a dataset is prepared is said once
    for experiment in found:
        word, text = experiment.state
        config = " ".join([experiment.run.config, *(f"--config.{o}" for o in _fields(experiment))])
        yield f"{word}: {config} in {experiment.workdir}"
        if word == READY and experiment.cost:
            yield f"    cost: {experiment.cost}"
        elif text and text not in told:
            told.add(text)
            yield f"    {text}"
    words = collections.Counter(experiment.state[0] for experiment in found)
    yield f"{words[READY]} to run, {words[FINISHED]} finished, {len(found)} in all"


def _fields(experiment: Experiment) -> tuple[str, ...]:
    return (*experiment.run.overrides, *experiment.changed)
