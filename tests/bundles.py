"""Tiny bundles with initial weights, for tests of what a model's output goes through."""

import jax
import numpy as np

from fer_jax.data.model_inputs import takes_crops
from fer_jax.experiments.bundle import Bundle, InputSpec, Record
from fer_jax.faces.landmarks import MEAN_FACE, centre, inner, make_graph
from fer_jax.systems import build

LANDMARKS = {"name": "st_bln", "widths": [4, 4]}
CROPS = {"name": "fer_gcn", "stages": [[4, 1], [8, 1]], "features": 8, "dropout": 0.5}


def write_bundle(
    path, model, classes, threshold, *, rule, seconds, task="classification", features="position"
):
    """Writes a model of 4 frames; one of crops sees the middle 28 of 32 pixels."""
    graph = make_graph(centre(inner(MEAN_FACE)) * 100)
    module = build(model, len(classes), graph, frames=4)
    crops = takes_crops(module)
    shape = (1, 4, 28, 28, 3) if crops else (1, 4, len(graph.edges), 2)
    inputs = np.zeros(shape, np.float32)
    variables = jax.jit(lambda key: module.init(key, inputs, train=False))(jax.random.key(0))
    sizes = {"crop_size": 28, "prepared_size": 32} if crops else {}
    Bundle(
        name="tiny",
        task=task,
        model=model,
        classes=tuple(classes),
        spec=InputSpec(4, rule, features, graph, seconds, **sizes),
        variables=variables,
        recalibrated_stats=variables["batch_stats"],
        threshold=threshold,
        record=Record(dataset={"scaled": True} if crops else {}),
    ).write(path)
    return path
