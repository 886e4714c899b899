"""What the folds of a finished run say about people whom they were not trained on."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np

from fer_jax import uncertainty
from fer_jax.data.folds import member_names
from fer_jax.experiments.setup import Experiment
from fer_jax.tasks.distribution.scores import classes_of
from fer_jax.tasks.trust import NO_CLASS, unit_for
from fer_jax.uncertainty.people import groups_of_people, other_people

GROUPS = 5  # of people, where a run has a single fold
LEAST_PEOPLE = 3  # with fewer nothing is fitted to the others


@dataclasses.dataclass(frozen=True)
class Held:
    """Predictions for N clips of people never seen.

    Attributes:
      samples: `[S, N, C]`; of dimensions, values.
      labels: `[N]` classes, `NO_CLASS` where there is none; of dimensions `[N, D]`.
      votes: `[N, C]`, or None.
      people: `[N]`.
      groups: `[N]`, groups of people; what is fitted to the others is judged on each.
    """

    samples: np.ndarray
    labels: np.ndarray
    votes: np.ndarray | None
    people: np.ndarray
    groups: np.ndarray

    @property
    def dimensional(self) -> bool:
        return self.labels.ndim == 2

    @functools.cached_property
    def summary(self) -> uncertainty.Summary:
        return uncertainty.summarise(self.samples)

    @property
    def unit(self) -> str:
        """What sets take as exchangeable: as in training."""
        return unit_for(self.people)

    def of_one_class(self) -> Held:
        """Those whose label is known."""
        known = self.labels != NO_CLASS
        return Held(
            self.samples[:, known],
            self.labels[known],
            None if self.votes is None else self.votes[known],
            self.people[known],
            self.groups[known],
        )

    @property
    def divided(self) -> bool:
        """Whether there are people to fit to, other than those that are judged."""
        return len(np.unique(self.people)) >= LEAST_PEOPLE

    @property
    def targets(self) -> np.ndarray:
        """What calibrators are fitted to: votes, else classes."""
        return self.labels if self.votes is None else self.votes

    def calibrated(self) -> np.ndarray:
        """Probabilities `[N, C]`, those of each group calibrated on the others."""
        return uncertainty.calibrate_across(
            self.summary.mean, self.targets, self.people, self.groups
        )

    def elsewhere(self):
        """Yields masks `[N]` of the clips of each group, and of those of all other people."""
        return other_people(self.people, self.groups)


def read(experiment: Experiment, reads: str) -> Held:
    """Reads a finished run.

    Args:
      experiment: of the run.
      reads: see `methods.Method`.
    """
    workdir, clips, folds = experiment.workdir, experiment.clips, experiment.folds
    members = experiment.config.uncertainty.members
    parts = []
    for fold in folds:
        results = map(workdir.load_result, member_names(fold.name, members))
        parts.append(np.concatenate([_samples(result, reads) for result in results]))
    indices = np.concatenate([fold.evaluation for fold in folds])
    labels, votes = clips.labels[indices], None
    if experiment.config.task == "distribution":
        labels, votes = classes_of(labels), labels[:, 0].astype(np.float64)
    people = np.asarray(clips.subjects)[indices]
    groups = np.repeat(np.arange(len(folds)), [len(fold.evaluation) for fold in folds])
    if len(folds) == 1:
        groups = groups_of_people(people, GROUPS)
    return Held(np.concatenate(parts, 1), labels, votes, people, groups)


def _samples(result: dict, reads: str) -> np.ndarray:
    found = result[f"evaluation_{reads}"]
    return found[None] if reads == "recalibrated" else found
