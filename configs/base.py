"""Defaults of all experiments; recipes set the fields of a paper, configs those that differ.

`configs/recipes/` has a file a paper; the command line sets `--config.train.epochs=5`.
"""

from ml_collections import ConfigDict

# Section `augment` of networks on face crops, see fer_jax.data.augment.augment_crops.
CROP_AUGMENT = {
    "enabled": False,
    "flip": True,
    "degrees": 0.0,  # rotation, uniform in +- this
    "brightness": 0.0,  # factor, uniform in 1 +- this
    "contrast": 0.0,
}


def get_config(**sections: dict) -> ConfigDict:
    """Returns the defaults, locked: setting an unknown field is an error.

    Args:
      sections: sections added by a recipe: `model`, `{"name": key of fer_jax.systems.SYSTEMS,
        **fields of the network}`, and `augment`, `{"enabled": bool, **options}`.
    """
    config = ConfigDict()
    config.name = "base"  # of the experiment; results are written to runs/NAME
    config.method = ""  # name in tables and next to published figures
    config.seed = 0
    config.task = "classification"
    config.pretrained = ""  # a bundle (runs/NAME/model); a backbone: .safetensors, Hugging Face id
    config.data = ConfigDict(
        {
            "dataset": "manifest",  # its name in messages, reports and published tables
            "path": "data/manifest",
            "frames": 4,  # T
            "window_strides": (9, 1),  # of frame_rule "windows", in training and in evaluation
            "frame_rule": "ends",  # "middles", "uniform" ..., see fer_jax.data.frame_selection
            "frames_per_second": 0.0,  # rate to which a video is reduced first; 0: its own
            "classes": (),  # names of the classes to keep; (): all
            "vote_rule": "majority",  # or "argmax", see faces.emotion_ratings.read_votes
            # For "dimensional", see emotion_ratings.vad; dominance 0: that of its norms
            "words": (),
            "neutral_dominance": 0.0,
            "train_on": (),  # for "cross_database": ((dataset, path, frame_rule), ...)
            "features": "position",  # or "motion", "normalised_motion", see data.model_inputs
            "graph": "clean",  # or "reference": the published code's repeated edges
            "crop_size": 0,  # side of the model's face crops, pixels; 0: as prepared
            "framing": "",  # of the face crops in the paper: "eyes", "box", "aligned"; "": unknown
            "in_memory_gb": 4.0,  # larger landmarks, or crops, are read during training
        }
    )
    config.optimizer = ConfigDict(
        {
            "name": "sgd",  # or "adam"
            "learning_rate": 0.1,
            "momentum": 0.9,
            "nesterov": False,
            "weight_decay": 5e-4,
            "decay": "all",  # parameters, or "kernels": no biases, norms and graph matrices
            "clip_norm": 0.0,  # largest global norm of the gradient; 0: any
            # or "cosine", "steps" (lr_factor at milestones), "plateau" (after `patience` epochs)
            "schedule": "constant",
            "lr_milestones": (),
            "patience": 10,
            "lr_factor": 0.1,
            "lr_milestone_unit": "epoch",  # or "step", of the optimiser
            "warmup_epochs": 0.0,
            "freeze_graph_epochs": 0,  # while learnable graph matrices stay as they begin
        }
    )
    config.train = ConfigDict(
        {
            "batch_size": 128,
            "microbatches": 1,  # parts of a batch, to save memory; gradients are accumulated
            "repeats_per_epoch": 1,  # times each clip is repeated per epoch
            "drop_last": True,  # the incomplete last batch; False: padded with clips of weight 0
            "class_weights": "none",  # or "balanced": classes count alike in the loss
            "epochs": 400,
            "checkpoint_every_epochs": 10,
            "eval_every_epochs": 1,  # epochs from one evaluation to the next
            "select_checkpoint": "last",  # or "best": lowest loss on the validation clips
        }
    )
    config.protocol = ConfigDict(
        {
            "name": "subject_kfold",  # holdout, by_sequence, random_subjects, cross_database
            "folds": 10,  # 0: leave one subject out; of "cross_database" see fer_jax.data.folds
            "mode": "strided",  # or "block", "balanced"
            "seed": 0,
            "share": 0.2,  # of the subjects that "random_subjects" evaluates on
            "repeats": 1,  # of the division, each with other folds and seeds
        }
    )
    config.evaluation = ConfigDict(
        {
            "mc_samples": 100,  # of Monte Carlo dropout
            "figure_clips": (),  # names of evaluated clips whose MC samples the report draws
            "target_accuracy": 0.9,  # of predictions without abstention; sets the threshold
            "confidence": 0.9,  # with which that accuracy is promised for other people
        }
    )
    # or "swa", "swag", "laplace"; networks of a deep ensemble; whether unfamiliar clips are told;
    # calibrator ("none", "temperature", "vector", "isotonic"); level of sets, intervals (0: none)
    trust = {"members": 1, "familiarity": False, "calibration": "auto", "sets": 0.9}
    config.uncertainty = ConfigDict({"posterior": "mc_dropout", **trust})
    for name, fields in {"model": {}, "augment": {"enabled": False}, **sections}.items():
        config[name] = ConfigDict(fields)
    return config.lock()


def set_dataset(config: ConfigDict, system: str, dataset: str, suffix: str = "") -> None:
    """Names an experiment and its prepared dataset: runs/SYSTEM_DATASET, data/DATASET.

    Args:
      system: prefix of the experiment's name.
      dataset: name of the dataset in messages, reports and figures.
      suffix: of the experiment's name, e.g. for a variant.
    """
    if not dataset or set(dataset) & set("/,"):
        raise ValueError(f"dataset {dataset!r} has no usable name: name it as the folder in data/")
    config.name = f"{system}_{dataset}{suffix}"
    config.data.dataset, config.data.path = dataset, f"data/{dataset}"


def choose(variants: dict, variant: str):
    """Returns a variant of a recipe; an unknown one is a ValueError."""
    if variant not in variants:
        raise ValueError(f"variant {variant!r} is unknown: use one of {list(variants)}")
    return variants[variant]
