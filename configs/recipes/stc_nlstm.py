"""STC-NLSTM: a 3D CNN with a nested LSTM over the maps of all layers.

All readings of the paper: docs/papers/stc_nlstm.md.

Paper: Yu, Liu, Liu & Deng, "Spatio-temporal convolutional features with nested LSTM for facial
expression recognition", Neurocomputing 317, 2018. The paper's: crops of 64 pixels framed by the
eyes alone (`--framing eyes`), 18 frames (CK+, BP4D) or 22, the last one repeated in short clips, 5
layers of 64 channels, learning rate 0.0025 and after 300 iterations 0.000025 for 200 more, weight
decay 0.0015, seven angles and mirroring, 10 folds in 4 repeats, its ablations (the variants).
Ours, where the paper is silent: 128 units in every LSTM, SGD with momentum 0.9, batches of 64, an
"iteration" taken as an epoch of the clips without their 14 copies (`:steps`: as a step of the
optimiser, 14 copies an epoch), weight decay of kernels only, gradients clipped at norm 5, folds by
subject, size and place of the rectangle around the eyes, the pyramid of the last maps in STC-LSTM
(`--config.model.flat=True`: the maps as they are). DenseNet is trained like the others here; the
paper trains it as its reference 57 does. The paper has no dropout; for MC dropout set e.g.
`--config.model.dropout=0.5`.
"""

from ml_collections import ConfigDict

from configs import base

# The paper's ablations of the nesting, its baseline, and its depths.
VARIANTS = {
    "full": ({}, "STC-NLSTM"),
    "stc": ({"nesting": "none"}, "STC"),
    "lstm": ({"nesting": "last"}, "STC-LSTM"),
    "slstm": ({"nesting": "sum"}, "STC-SLSTM"),
    "densenet": ({"name": "densenet"}, "DenseNet"),
    "layers3": ({"channels": (64,) * 3}, "STC-NLSTM, 3 layers"),
    "layers4": ({"channels": (64,) * 4}, "STC-NLSTM, 4 layers"),
    "layers6": ({"channels": (64,) * 6}, "STC-NLSTM, 6 layers"),
    "steps": ({}, "STC-NLSTM, 500 steps"),
}
STEPS = (300, 500)  # of the optimiser: where the learning rate falls, and where training is over
# Epochs with 14 copies of each clip that have 500 steps.
STEP_EPOCHS = {"ckplus": 9, "oulu": 6, "mmi": 13, "bp4d": 1}
NESTED = {"name": "stc_nlstm", "channels": (64,) * 5, "hidden": 128, "nesting": "nested"}
DENSENET121 = {"blocks": (6, 12, 24, 16), "growth": 32, "initial": 64}
# DenseNet takes only the peak: at the end of these, otherwise in the middle.
PEAKS = {"ckplus": (3, "last"), "oulu": (3, "last")}


def get_config(dataset: str, variant: str = "full", frames: int = 22) -> ConfigDict:
    """STC-NLSTM as published.

    Args:
      dataset: name under which it is prepared, with crops of 64 pixels.
      variant: key of `VARIANTS`.
      frames: of a clip; DenseNet takes only the peak.
    """
    fields, method = base.choose(VARIANTS, variant)
    own = DENSENET121 if variant == "densenet" else NESTED
    config = base.get_config(
        model={**own, "dropout": 0.0, "dtype": "float32", "remat": False, **fields},
        augment={
            **base.CROP_AUGMENT,
            "enabled": True,
            "angles": (-7.5, -5.0, -2.5, 0.0, 2.5, 5.0, 7.5),  # one of these per clip
        },
    )
    base.set_dataset(config, "stcnlstm", dataset, "" if variant == "full" else f"_{variant}")
    config.method = method
    config.data.path, config.data.crop_size = f"data/{dataset}_crops64", 64
    config.data.frames, config.data.frame_rule = frames, "padded"
    if variant == "densenet":
        config.data.frames, config.data.frame_rule = PEAKS.get(dataset, (1, "middles"))
    config.optimizer.update(
        {"learning_rate": 0.0025, "weight_decay": 0.0015, "decay": "kernels", "clip_norm": 5.0,
         "schedule": "steps", "lr_milestones": (300,), "lr_factor": 0.01}
    )  # fmt: skip
    config.train.batch_size, config.train.epochs = 64, 500
    config.protocol.repeats = 4
    config.data.framing = "eyes"
    if variant == "steps":
        _by_steps(config, STEP_EPOCHS.get(dataset, 10))
    return config


def _by_steps(config: ConfigDict, epochs: int) -> None:
    """Counts iterations as steps of the optimiser; what is left of the last epoch changes nothing.

    At 500 steps the learning rate falls again, to 2.5e-7.
    """
    config.optimizer.update({"lr_milestone_unit": "step", "lr_milestones": STEPS})
    config.train.epochs, config.train.repeats_per_epoch = epochs, 14
    config.train.checkpoint_every_epochs = 1


def get_small(dataset: str, variant: str = "full") -> ConfigDict:
    """Ours: a small network on 8 frames, without repeats of the folds, minutes on 2 CPU cores."""
    config = get_config(dataset, variant, frames=8)
    config.data.path = f"data/{dataset}_crops"
    config.model.dropout = 0.2  # for MC dropout
    if variant == "densenet":
        config.model.update({"blocks": (2, 4, 4, 2), "growth": 8, "initial": 16})
    else:
        config.model.channels = (16,) * len(config.model.channels)
        config.model.hidden = 32
    config.optimizer.name = "adam"  # the loss decreases earlier
    # At 0.001 some initialisations without BatchNorm never leave chance level.
    config.optimizer.learning_rate = 0.001 if variant == "densenet" else 0.0003
    config.optimizer.lr_milestone_unit = "epoch"
    config.optimizer.lr_milestones, config.optimizer.lr_factor = (24,), 0.1
    config.train.repeats_per_epoch = 1
    config.train.batch_size, config.train.epochs = 8, 30
    config.protocol.repeats, config.data.framing = 1, ""
    if variant == "steps":
        _by_steps(config, 3)
    return config
