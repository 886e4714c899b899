"""Defaults that all experiments share; a recipe states what its paper does, a config what differs.

`configs/recipes/` holds one file a paper. Every field can be set on the command line:
`--config.optimizer.learning_rate=0.05`.
"""

from ml_collections import ConfigDict

# Section `augment` of networks that see face crops, see fer_jax.data.augment.augment_crops.
CROP_AUGMENT = {
    "enabled": False,
    "flip": True,
    "degrees": 0.0,  # rotation, uniform in +- this
    "brightness": 0.0,  # factor, uniform in 1 +- this
    "contrast": 0.0,
}


def get_config(**sections: dict) -> ConfigDict:
    """Returns the defaults; no field can be added afterwards, so a misspelt one is an error.

    Args:
      sections: sections that a recipe adds: `model`, `{"name": key of fer_jax.systems.SYSTEMS,
        **fields of the network}`, and `augment`, `{"enabled": bool, **options}`.
    """
    config = ConfigDict()
    config.name = "base"  # of the experiment; results go to runs/NAME
    config.method = ""  # name in tables and beside published figures
    config.seed = 0
    config.task = "classification"
    # a bundle (runs/NAME/model), or of a backbone a .safetensors file or a Hugging Face repo id
    config.pretrained = ""
    config.data = ConfigDict(
        {
            "dataset": "manifest",  # its name in messages, reports and published tables
            "path": "data/manifest",
            "frames": 4,  # T
            "window_strides": (9, 1),  # of frame_rule "windows": frames from one to the next
            # "middles", "uniform", "pieces" ..., see fer_jax.data.frame_selection
            "frame_rule": "ends",
            "frames_per_second": 0.0,  # of a video, from which frames are chosen; 0: from all
            "classes": (),  # names of the classes to keep; (): all
            # Of "dimensional", see faces.emotion_ratings.vad: other words for emotions, e.g.
            # (("anger", "anger"),), and the dominance of "neutral" (0: that of its norms)
            "words": (),
            "neutral_dominance": 0.0,
            # Of "cross_database": those to train on, ((dataset, path, frame_rule), ...)
            "train_on": (),
            "features": "position",  # or "motion": minus the same in the first frame
            "graph": "clean",  # or "reference": the published code's repeated edges
            "crop_size": 0,  # side of the face crops a model sees, pixels; 0: as prepared
            "crops_in_memory_gb": 4.0,  # more than this is decoded while training
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
            "clip_norm": 0.0,  # largest norm of the whole gradient; 0: any
            # or "cosine"; "steps": falls at each milestone; "plateau": where the training loss
            # has not fallen for `patience` epochs
            "schedule": "constant",
            "lr_milestones": (),
            "patience": 10,
            "lr_factor": 0.1,
            "lr_milestone_unit": "epoch",  # or "step", of the optimiser
            "warmup_epochs": 0.0,
        }
    )
    config.train = ConfigDict(
        {
            "batch_size": 128,
            "microbatches": 1,  # into which a batch is divided to save memory; gradients are summed
            "repeats_per_epoch": 1,  # times each clip is repeated per epoch
            "epochs": 400,
            "checkpoint_every_epochs": 10,
            "eval_every_epochs": 1,  # epochs from one evaluation to the next
            # "best": the weights with the lowest loss on the validation clips, where the protocol
            # has such beside those that it scores
            "select_checkpoint": "last",
        }
    )
    config.protocol = ConfigDict(
        {
            "name": "subject_kfold",  # or "holdout", "by_sequence", "cross_database"
            "folds": 10,  # 0: leave one subject out; of "cross_database" see fer_jax.data.folds
            "mode": "strided",  # or "block", "balanced"
            "seed": 0,
            "repeats": 1,  # of the cross-validation, with other folds and seeds
        }
    )
    config.evaluation = ConfigDict(
        {
            "mc_samples": 100,  # of Monte Carlo dropout
            "target_accuracy": 0.9,  # of the predictions not abstained from; sets the threshold
        }
    )
    for name, fields in {"model": {}, "augment": {"enabled": False}, **sections}.items():
        config[name] = ConfigDict(fields)
    return config.lock()


def set_dataset(config: ConfigDict, system: str, dataset: str, suffix: str = "") -> None:
    """Names an experiment and its prepared dataset: runs/SYSTEM_DATASET, data/DATASET.

    Args:
      system: prefix of the experiment's name.
      dataset: what messages, reports and figures call the dataset.
      suffix: of the name, e.g. of a variant.
    """
    if not dataset or "/" in dataset:
        raise ValueError(f"dataset {dataset!r} has no usable name: name it as the folder in data/")
    config.name = f"{system}_{dataset}{suffix}"
    config.data.dataset, config.data.path = dataset, f"data/{dataset}"


def choose(variants: dict, variant: str):
    """Looks a variant up in the table of a recipe.

    Raises:
      ValueError: there is none of this name.
    """
    if variant not in variants:
        raise ValueError(f"variant {variant!r} is unknown: use one of {list(variants)}")
    return variants[variant]
