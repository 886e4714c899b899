"""What all experiments share; an experiment's file states only what differs."""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    """ST-BLN as published for CK+ and Oulu-CASIA (ST-BLN specification, sections 4 and 6)."""
    config = ConfigDict()
    config.name = "base"
    config.seed = 0
    config.task = "classification"
    config.data = ConfigDict(
        {
            "dataset": "manifest",  # name under which `python -m preprocess` prepares it
            "path": "data/manifest",
            "frames": 4,  # T
            "frame_rule": "ends",  # or "uniform", see fer_jax.data.select_frames
            "features": "edges",  # or "motion": minus the same edge in the first frame
            "graph": "clean",  # or "reference": the published code's repeated edges
        }
    )
    config.model = ConfigDict(
        {
            "name": "st_bln",
            "widths": (8, 16, 16, 32, 32, 64, 64),
            "subsets": 3,
            "kernel_size": 9,
            "dropout": 0.2,
            "dropout_place": "after",
            "u_init": "normal",
        }
    )
    config.optimizer = ConfigDict(
        {
            "learning_rate": 0.1,
            "momentum": 0.9,
            "nesterov": False,
            "weight_decay": 5e-4,
            "schedule": "constant",  # or "cosine"
            "warmup_epochs": 0.0,
        }
    )
    config.train = ConfigDict(
        {
            "batch_size": 128,
            "copies": 1,  # an epoch draws every clip so often
            "epochs": 400,
            "checkpoint_epochs": 10,
        }
    )
    config.augment = ConfigDict(
        {
            "enabled": False,  # the paper augments AFEW only
            "noise": 10.0,  # standard deviation, pixels of a frame 500 wide
            "degrees": 18.0,  # rotation about the nose, uniform in +- this
        }
    )
    config.protocol = ConfigDict(
        {
            "name": "subject_kfold",  # or "holdout"
            "folds": 10,  # 0: leave one subject out
            "mode": "strided",  # or "block", "balanced"
            "seed": 0,
        }
    )
    config.evaluation = ConfigDict(
        {
            "passes": 100,  # of Monte Carlo dropout
            "target_accuracy": 0.9,  # that answered clips shall reach; sets the abstain threshold
        }
    )
    return config.lock()  # a misspelt field in an experiment's file is an error
