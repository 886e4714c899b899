"""Compares FER-GCN's intensity weights with the intensity of synthetic expressions.

    python -m benchmarks.intensity [runs/fergcn_synthetic] [data/synthetic_crops]

Needs a finished run on synthetic faces, whose action units are known. Compares the weight of each
step with the mean intensity of the emotions' action units, over the clips of split test.
"""

from __future__ import annotations

import argparse
import pathlib

import numpy as np
import tensorflow_datasets as tfds
from scipy.stats import spearmanr

import fer_jax
from fer_jax.data import frame_selection
from fer_jax.synthetic.face_model import RECIPES
from fer_jax.systems.fer_gcn import figures


def known_intensity(path: pathlib.Path, predictor) -> np.ndarray:
    """Mean intensity of the emotions' action units at each step, `[N]`, without neutral clips."""
    builder = tfds.builder_from_directory(str(path))
    classes = builder.info.features["label"].names
    names = builder.info.metadata["action_units"]
    steps = []
    for example in builder.as_data_source("test"):
        label = classes[example["label"]]
        shown = [names.index(f"AU{unit:02d}") for unit in RECIPES[label]]
        chosen = frame_selection.select_frames(
            example["detected"], predictor.spec.frames, predictor.spec.frame_rule
        )
        if label != "neutral":
            steps.append(example["action_units"][chosen][:, shown].mean(-1))
    return np.mean(steps, 0)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    path = pathlib.Path
    parser.add_argument("run", type=path, nargs="?", default=path("runs/fergcn_synthetic"))
    parser.add_argument("dataset", type=path, nargs="?", default=path("data/synthetic_crops"))
    options = parser.parse_args()
    predictor = fer_jax.load_model(options.run / "model")
    weights = figures.frame_weights(predictor.variables["params"])
    intensity = known_intensity(options.dataset, predictor)
    print("| step | weight (1: its equal share) | mean intensity of the action units |")
    print("|---|---|---|")
    for step, (weight, strength) in enumerate(zip(weights, intensity, strict=True), 1):
        print(f"| {step} | {weight * len(weights):.4f} | {strength:.3f} |")
    correlation = spearmanr(weights, intensity).statistic
    print(
        f"\nlargest weight at step {weights.argmax() + 1}, strongest expression at step "
        f"{intensity.argmax() + 1}; rank correlation {correlation:.2f}"
    )


if __name__ == "__main__":
    main()
