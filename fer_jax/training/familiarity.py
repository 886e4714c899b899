"""How unlike the training clips of a run other clips are: by activations, and by how heads turn."""

from __future__ import annotations

from collections.abc import Callable

import jax
import numpy as np

from fer_jax import uncertainty
from fer_jax.data.clips import Clips, padded_parts
from fer_jax.training import parallel
from fer_jax.training.evaluate import map_clips
from fer_jax.training.program import Program, Run, stack

MOST_CLIPS = 2000  # training clips that are fitted to; more hardly change the fit
_AT_ONCE = 100  # clips whose heads are measured
_LEAST_TURN = 2.0  # degrees by which the heads of some clips differ, at least: the error of a pose


def make_familiarity(program: Program) -> Callable:
    """Makes `measure(recalibrated, clips, run, parts) -> {kind: (Familiarity, scores)}`.

    It takes the variables of a run and a dict of parts, arrays of clip indices; scores has `[N]`
    of each. No clip is augmented. Kinds are "activations" and, of landmark models, "turns": the
    mean yaw and pitch of the head. A camera above or beside the face changes what a model sees of
    every movement, and a model of motion is not given the face at rest, which shows it.
    """

    def spread(variables, batch, key):
        del key
        return uncertainty.activation_spread(program.module, variables, program.features(batch))

    mapped = parallel.map_batches(spread)

    def features(variables, clips: Clips, part) -> np.ndarray:
        chosen, weight = padded_parts([part], program.evaluated_size)
        keys = jax.random.split(jax.random.key(0), 1)
        own = stack([variables])
        return map_clips(program, mapped, own, clips, chosen, weight, keys)[0, : len(part)]

    def measure(recalibrated, clips: Clips, run: Run, parts: dict) -> dict:
        chosen = np.random.default_rng(run.seed).permutation(run.fold.train)[:MOST_CLIPS]
        chosen = np.sort(chosen)

        def of_kind(features: Callable, own):
            familiar = uncertainty.fit_familiarity(own)
            scores = {
                name: familiar.score(features(part)) if len(part) else np.zeros(0)
                for name, part in parts.items()
            }
            return familiar, scores

        def activations(part):
            return features(recalibrated, clips, part)

        found = {"activations": of_kind(activations, activations(chosen))}
        if clips.crops is None:
            own = turns(clips, chosen)
            if np.ptp(own, 0).max() > _LEAST_TURN:
                found["turns"] = of_kind(lambda part: turns(clips, part), own)
        return found

    return measure


def turns(clips: Clips, part) -> np.ndarray:
    """Mean yaw and pitch of the heads of some clips, at least one: `[N, 2]` degrees."""
    from fer_jax.faces.quality import mean_turn  # loads OpenCV

    firsts = range(0, len(part), _AT_ONCE)
    return np.concatenate(
        [mean_turn(np.asarray(clips.landmarks[part[first : first + _AT_ONCE]])) for first in firsts]
    )
