"""How unlike the training clips of a run other clips are, by the spread of their activations."""

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


def make_familiarity(program: Program) -> Callable:
    """Makes `measure(recalibrated, clips, run, parts) -> (Familiarity, scores)`.

    It takes the variables of a run and a dict of parts, arrays of clip indices; scores has `[N]`
    of each. No clip is augmented.
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

    def measure(recalibrated, clips: Clips, run: Run, parts: dict):
        chosen = np.random.default_rng(run.seed).permutation(run.fold.train)[:MOST_CLIPS]
        familiar = uncertainty.fit_familiarity(features(recalibrated, clips, np.sort(chosen)))
        scores = {
            name: familiar.score(features(recalibrated, clips, part)) if len(part) else np.zeros(0)
            for name, part in parts.items()
        }
        return familiar, scores

    return measure
