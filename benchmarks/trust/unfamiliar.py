"""Part b: do doubts tell damaged clips, other databases, no faces and held smiles from the usual?

Every fold judges clips of the people that it was not trained on, as a bundle with its weights does.
"""

from __future__ import annotations

import collections
import dataclasses
import json
import pathlib
from collections.abc import Callable, Iterator

import jax
import numpy as np

from benchmarks.trust import corruptions, measures
from benchmarks.trust.measures import Figure, figure
from fer_jax import uncertainty
from fer_jax.data import load
from fer_jax.data.clips import Clips, hold_crops, take
from fer_jax.data.folds import Fold
from fer_jax.data.model_inputs import MOTION
from fer_jax.experiments.setup import Experiment
from fer_jax.experiments.workdir import Workdir
from fer_jax.experiments.write_bundle import write_bundle
from fer_jax.predict.load import load_model
from fer_jax.predict.predictor import Predictor
from fer_jax.tasks import TASKS

CLIPS = 200  # of all folds together, that are damaged
MC_SAMPLES = 30
_MOST = 40  # clips of a call
_SMILES = ("happ", "joy", "smil")
OWN = "as they are"  # the clips that others are told from


@dataclasses.dataclass(frozen=True)
class _Elsewhere(Workdir):
    """The work directory of a run whose bundle is written somewhere else."""

    target: pathlib.Path = pathlib.Path()

    @property
    def model(self) -> pathlib.Path:
        return self.target


def fold_predictor(experiment: Experiment, fold: Fold, folder: pathlib.Path) -> Predictor:
    """Makes the bundle of a fold and loads it; its outputs are not calibrated."""
    metrics = json.loads(experiment.workdir.metrics.read_text())
    metrics.pop("calibration", None)  # it was fitted to the people who are judged here
    workdir = _Elsewhere(experiment.workdir.path, target=folder)
    write_bundle(dataclasses.replace(experiment, workdir=workdir), fold.name, metrics)
    return load_model(folder)


def make_doubts(predictor: Predictor, reads: str, count: int) -> Callable:
    """Makes `doubts(values) -> {name: [N]}`, larger for what the model knows less.

    Args:
      predictor: of a fold.
      reads: see `methods.Method`.
      count: N of most calls, at least 1: batches have one size, which divides it well.
    """
    size = -(-count // -(-count // _MOST))
    task = TASKS[predictor.task]
    networks = predictor.ensemble and predictor.ensemble[1]
    networks = networks or uncertainty.stack_members([predictor.recalibrated])

    @jax.jit
    def plain(networks, inputs):
        return uncertainty.sample_ensemble(
            predictor.module, networks, inputs, jax.random.key(0), probabilities=task.probabilities
        )

    def of_batch(values) -> dict:
        if reads == "recalibrated":
            samples = np.asarray(plain(networks, predictor.features(values)))
        else:
            samples = predictor.samples(values, mc_samples=MC_SAMPLES)
        summary = task.summarise(samples)
        names = ["uncertainty"] if predictor.task == "dimensional" else ["entropy"]
        if hasattr(summary, "mutual_information") and len(samples) > 1:
            names.append("mutual_information")
        found = {name.replace("_", " "): getattr(summary, name) for name in names}
        distance = predictor.unfamiliarity(values)
        return found if distance is None else {"unfamiliarity": distance} | found

    def doubts(values) -> dict:
        count, parts = len(jax.tree.leaves(values)[0]), collections.defaultdict(list)
        for first in range(0, count, size):
            places = np.minimum(np.arange(first, first + size), count - 1)  # one compiled size
            kept = min(size, count - first)
            batch = jax.tree.map(lambda leaf, places=places: leaf[places], values)
            for name, own in of_batch(batch).items():
                parts[name].append(own[:kept])
        return {name: np.concatenate(own) for name, own in parts.items()}

    return doubts


def values_of(clips: Clips, indices, predictor: Predictor):
    """What the predictor takes of some clips."""
    batch = take(clips, np.asarray(indices))
    if not predictor.takes_crops:
        return batch["landmarks"]
    if predictor.module.inputs == "frames":
        return batch["frames"]
    return {name: batch[name] for name in ("frames", "crop_landmarks")}


def variants(values, of_crops: bool) -> Iterator[tuple[str, int, object]]:
    """Yields kind, strength and the damaged clips."""
    frames = values["frames"] if isinstance(values, dict) else values
    kinds = corruptions.CROPS if of_crops else corruptions.LANDMARKS
    for kind in kinds:
        if not of_crops and kind != "jitter" and frames.shape[1] < 2:
            continue
        for strength in corruptions.STRENGTHS:
            yield kind, strength, _with(values, corruptions.alter(kinds, kind, frames, strength))
    if of_crops:
        yield "no faces", 0, _with(values, corruptions.backgrounds(frames))


def _with(values, frames):
    return {**values, "frames": frames} if isinstance(values, dict) else frames


def open_unseen(experiment: Experiment, unseen: dict[str, str], say: Callable) -> dict[str, Clips]:
    """Opens other prepared datasets as the run would; says which are not there."""
    data, opened = experiment.config.data, {}
    for name, path in unseen.items():
        try:
            clips = load.load_clips(
                path, data.frames, data.frame_rule, name,
                None if experiment.clips.crops is None else data.crop_size,
                frames_per_second=data.frames_per_second,
            )  # fmt: skip
        except load.NotPreparedError as error:
            say(f"left out: {error}".partition("\n")[0])
            continue
        opened[name] = hold_crops(clips, 2**30)
    return opened


def measure(
    experiment: Experiment, reads: str, unseen: dict[str, str], folder: pathlib.Path, say: Callable
) -> list[Figure]:
    """Part b of a finished run.

    Args:
      experiment: of the run.
      reads: see `methods.Method`.
      unseen: see `methods.Dataset`.
      folder: receives the bundles of the folds.
      say: takes lines of progress.
    """
    opened, found = open_unseen(experiment, unseen, say), []
    for index, fold in enumerate(experiment.folds):
        say(f"{fold.name}: damaged and unseen clips")
        predictor = fold_predictor(experiment, fold, folder / fold.name)
        chosen = np.random.default_rng(index).permutation(fold.evaluation)
        chosen = np.sort(chosen[: max(1, CLIPS // len(experiment.folds))])
        found.append(_of_fold(experiment, predictor, reads, chosen, opened, index))
    return [*_damaged(found), *_unlike(found)]


class _Scored(dict):
    """`(what, strength) -> ({doubt: [N]}, people [N])`, of one fold."""


def _of_fold(experiment, predictor, reads, chosen, opened, seed: int) -> _Scored:
    clips, scored = experiment.clips, _Scored()
    doubts = make_doubts(predictor, reads, len(chosen))
    values, people = values_of(clips, chosen, predictor), np.asarray(clips.subjects)[chosen]
    scored[OWN, 0] = doubts(values), people
    for kind, strength, altered in variants(values, predictor.takes_crops):
        scored[kind, strength] = doubts(altered), people
    for name, others in opened.items():
        own = np.random.default_rng(seed).permutation(len(others))[: len(chosen)]
        theirs = np.array([f"{name}/{others.subjects[n]}" for n in own])
        scored[name, -1] = doubts(values_of(others, own, predictor)), theirs
    if not predictor.takes_crops and experiment.config.data.features in MOTION:
        smiles, name = _smiles(clips, chosen)
        if len(smiles):
            held = corruptions.held(values_of(clips, smiles, predictor))
            scored[name, -1] = doubts(held), np.asarray(clips.subjects)[smiles]
    return scored


def _smiles(clips: Clips, chosen) -> tuple[np.ndarray, str]:
    """Clips of smiles, or of any expression where no class is a smile."""
    smiling = [name.lower().startswith(_SMILES) for name in clips.classes]
    if not any(smiling) or clips.labels.ndim > 1:
        return chosen, "held expressions"
    return chosen[np.asarray(smiling)[clips.labels[chosen]]], "held smiles"


def _joined(found: list[_Scored], key) -> tuple[dict, np.ndarray]:
    parts = [scored[key] for scored in found if key in scored]
    doubts = {
        name: np.concatenate([own[name] for own, _ in parts]) for name in parts[0][0]
    }  # fmt: skip
    return doubts, np.concatenate([people for _, people in parts])


def _damaged(found: list[_Scored]) -> list[Figure]:
    """Damaged clips against the same clips as they are."""
    own, people = _joined(found, (OWN, 0))
    keys = [key for key in found[0] if key[0] != OWN and key[1] >= 0]
    altered = {key: _joined(found, key)[0] for key in keys}
    figures = []
    for name, clean in own.items():
        for kind, strength in keys:
            measured = f"strength {strength}" if strength else "AUROC"
            given = clean, altered[kind, strength][name][:, None]
            figures.append(
                figure("b", f"{kind}, {name}", measured, measures.paired_auroc, *given,
                       people=people)
            )  # fmt: skip
        for strength in corruptions.STRENGTHS:
            kinds = [altered[key][name] for key in keys if key[1] == strength]
            given = clean, np.stack(kinds, 1)
            figures.append(
                figure("b", f"all kinds, {name}", f"strength {strength}", measures.paired_auroc,
                       *given, people=people)
            )  # fmt: skip
    return figures


def _unlike(found: list[_Scored]) -> list[Figure]:
    """Other clips against those of people never seen."""
    own, people = _joined(found, (OWN, 0))
    keys = dict.fromkeys(key for scored in found for key in scored if key[1] < 0)
    figures = []
    for key in keys:
        theirs, others = _joined(found, key)
        both = np.append(people, others)
        flags = np.repeat([False, True], [len(people), len(others)])
        # people of another database are drawn apart from ours, who are few; held clips are of ours
        drawn = {"people": both, "strata": None if set(people) & set(others) else flags}
        for name, clean in own.items():
            given = np.append(clean, theirs[name]), flags
            figures.append(
                figure("b", f"{key[0]}, {name}", "AUROC", measures.auroc, *given, **drawn)
            )
    return figures
