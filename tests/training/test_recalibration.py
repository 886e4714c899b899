"""Recalibrated BatchNorm statistics are those of training without dropout, augmentation and all."""

import jax
import numpy as np
import pytest

from configs import base
from configs.recipes.st_bln import AUGMENT
from fer_jax.data import model_inputs
from fer_jax.data.folds import Fold
from fer_jax.experiments.setup import make_augmentation
from fer_jax.systems import build
from fer_jax.tasks import TASKS
from fer_jax.training import evaluate, loop
from fer_jax.training.program import Run, create_train_states, make_program, unstack

TRAIN = np.arange(40)


def statistics(clips, module, fixed):
    """First-layer statistics of the stored and of the recalibrated mode.

    The weights do not change in training: the stored statistics are a running average alone.
    """
    config = base.get_config(augment=AUGMENT)
    config.augment.enabled, config.augment.fixed = True, fixed
    config.train.batch_size, config.optimizer.learning_rate = 20, 0.0
    config.train.repeats_per_epoch = 14 if fixed else 4

    def features(batch):
        return model_inputs.batch_inputs(batch, module, clips.graph.edges)

    run = Run(Fold("fold00", TRAIN, np.arange(40, 48)), seed=1)
    change = make_augmentation(config, of_crops=False)
    program = make_program(module, TASKS["classification"], config, features, [run.fold], change)
    inputs = jax.eval_shape(features, {"landmarks": clips.landmarks[:1]})
    states = create_train_states(module, program.optimizer, inputs, [0])
    for epoch in range(1, 13):
        states, _, _ = loop.train_epoch(program, states, clips, [run], epoch)
    recalibrated = evaluate.make_recalibrate(program)(states.variables, clips, [run])
    stored = unstack(states.batch_stats, 0)["data_norm"]
    return stored, unstack(recalibrated["batch_stats"], 0)["data_norm"]


@pytest.mark.parametrize(("network", "fixed"), [("st_bln", False), ("st_gcn", True)])
def test_without_dropout_recalibrated_is_stored(make_clips, network, fixed):
    clips = make_clips(subjects=8, clips_per_subject=6)
    fields = {"name": network, "widths": [2], "kernel_size": 1, "dropout": 0.0}
    module = build(fields, 3, clips.graph, 4)
    stored, again = statistics(clips, module, fixed)
    deviation = np.sqrt(again["var"])
    # running averages over some twenty steps of 80 frames
    assert np.abs((stored["mean"] - again["mean"]) / deviation).max() < 0.2
    np.testing.assert_allclose(stored["var"], again["var"], rtol=0.35)
    # Clips as they are would give others.
    plain = model_inputs.model_inputs(clips.landmarks[TRAIN], clips.graph.edges, module.inputs)
    assert np.median(again["var"] / np.maximum(plain.var((0, 1)).ravel(), 1e-9)) > 3
