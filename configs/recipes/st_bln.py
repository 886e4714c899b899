"""ST-BLN: spatio-temporal bilinear network on the edges of facial landmarks.

All readings of the paper: docs/papers/st_bln.md.

Paper: Heidari & Iosifidis, "Progressive Spatio-Temporal Bilinear Network with Monte Carlo Dropout
for Landmark-based Facial Expression Recognition with Uncertainty Estimation", MMSP 2021.
The paper's, for CK+ and Oulu-CASIA: 7 layers, the first and the last three frames, SGD at 0.1 with
momentum 0.9 and weight decay 5e-4, batches of 128, 400 epochs, 10 subject folds, dropout 0.2 after
every layer, 100 MC samples. Its values for AFEW are in configs/stbln_afew.py.
Ours, where the paper is silent or its code differs: kernels of 9 frames (they give the published
number of parameters), no Nesterov momentum, weight decay of every parameter, a constant learning
rate, and each edge of the landmark graph once (`--config.data.graph=reference` repeats edges as in
the published code).
"""

from ml_collections import ConfigDict

from configs import base
from configs.recipes.pst_bln import SEARCH

MODEL = {
    "name": "st_bln",
    "widths": (8, 16, 16, 32, 32, 64, 64),
    "subsets": 3,
    "kernel_size": 9,
    "dropout": 0.2,
    "dropout_place": "after",
    "u_init": "normal",
    "dtype": "float32",  # or "bfloat16"
}
AUGMENT = {
    "enabled": False,  # the paper augments AFEW only
    "noise": 10.0,  # standard deviation, pixels of a frame 500 wide
    "degrees": 18.0,  # rotation about the nose, uniform in +- this
    # the paper's 14 copies of each clip, the same in every epoch; False: drawn anew at each visit
    "fixed": False,
    "time_reverse": False,  # reverses time instead of mirroring, as in the published code
    # ours, not of windows: largest share of the time cut off at either end, and change of speed, as
    # fer_jax.data.augment.retime has them
    "cut": 0.0,
    "warp": 0.0,
}


def get_config(dataset: str) -> ConfigDict:
    """ST-BLN as published for CK+ and Oulu-CASIA.

    Args:
      dataset: name under which it is prepared.
    """
    config = base.get_config(model=MODEL, augment=AUGMENT, search=SEARCH)
    base.set_dataset(config, "stbln", dataset)
    config.method = "ST-BLN"
    config.data.frames, config.data.frame_rule = 4, "ends"
    config.optimizer.learning_rate, config.optimizer.weight_decay = 0.1, 5e-4
    config.train.batch_size, config.train.epochs = 128, 400
    return config


def get_small(dataset: str, frames: int, epochs: int) -> ConfigDict:
    """Ours, for data without a published recipe: evenly spaced frames, a cosine schedule."""
    config = get_config(dataset)
    config.data.frames, config.data.frame_rule = frames, "uniform"
    config.optimizer.schedule = "cosine"
    config.train.batch_size, config.train.epochs = 64, epochs
    return config


def get_study(dataset: str) -> ConfigDict:
    """Ours, for recorded people without a published recipe; docs/results.md says how it was chosen.

    16 evenly spaced frames, motion in eye distances with that of the head, half of the clips
    mirrored, all at a changing speed, classes that count alike, a small network, one subject left
    out at a time.
    """
    config = get_small(dataset, frames=16, epochs=40)
    config.data.features = "normalised_motion"
    config.model.widths = (20, 15)
    config.train.batch_size, config.train.class_weights = 32, "balanced"
    mirrored = {"enabled": True, "noise": 0.0, "degrees": 0.0}
    config.augment.update({**mirrored, "cut": 0.15, "warp": 0.3})
    config.protocol.folds = 0
    return config
