"""What all experiments share; an experiment's file states only what differs."""

import importlib

from ml_collections import ConfigDict

LANDMARK_SETS = ("afew", "buhmap", "ckplus", "oulu", "ravdess", "synthetic")


def get_config() -> ConfigDict:
    """ST-BLN as published for CK+ and Oulu-CASIA (ST-BLN specification, sections 4 and 6)."""
    config = ConfigDict()
    config.name = "base"
    config.method = "ST-BLN"  # name in tables and beside published figures
    config.seed = 0
    config.task = "classification"
    # a bundle (runs/NAME/model), or of a backbone a .safetensors file or a Hugging Face repo id
    config.pretrained = ""
    config.data = ConfigDict(
        {
            "dataset": "manifest",  # name under which `python -m preprocess` prepares it
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
            # Of "cross_database": those to learn from, ((dataset, path, frame_rule), ...)
            "train_on": (),
            "features": "position",  # or "motion": minus the same in the first frame
            "graph": "clean",  # or "reference": the published code's repeated edges
            "crop_size": 0,  # side of the face crops a model sees, pixels; 0: as prepared
            "crops_in_memory_gb": 4.0,  # more than this is decoded while training
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
            "dtype": "float32",  # or "bfloat16"
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
            # or "cosine"; "steps": falls at each of drop_at; "plateau": where the training loss
            # has not fallen for `patience` epochs
            "schedule": "constant",
            "drop_at": (),
            "patience": 10,
            "drop_factor": 0.1,
            "drop_unit": "epoch",  # or "step", of the optimiser
            "warmup_epochs": 0.0,
        }
    )
    config.train = ConfigDict(
        {
            "batch_size": 128,
            "batch_parts": 1,  # into which a batch is divided to save memory; gradients are summed
            "copies": 1,  # an epoch draws every clip so often
            "epochs": 400,
            "checkpoint_epochs": 10,
            "evaluation_epochs": 1,  # scores what is held out every so many epochs
            # "best": the weights with the lowest loss on the validation clips, where the protocol
            # has such beside those that it scores
            "keep": "last",
        }
    )
    config.augment = ConfigDict(
        {
            "enabled": False,  # the paper augments AFEW only
            "noise": 10.0,  # standard deviation, pixels of a frame 500 wide
            "degrees": 18.0,  # rotation about the nose, uniform in +- this
            "time_reverse": False,  # reverses time instead of mirroring, as the published code
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
            "passes": 100,  # of Monte Carlo dropout
            "target_accuracy": 0.9,  # that answered clips shall reach; sets the abstain threshold
        }
    )
    config.search = ConfigDict(
        {
            "enabled": False,  # True: grows the topology (PST-BLN) instead of taking model.widths
            "epochs": 400,  # of every stage; the fine-tuning at the end takes train.epochs
            "block_size": 5,  # channels that a layer begins with and gains at a time
            "width_threshold": 1e-4,  # least relative fall of the training loss by a block
            "depth_threshold": 1e-4,  # and by a layer
            "max_layers": 10,
            "max_blocks": 50,  # of a layer
        }
    )
    return config.lock()  # a misspelt field in an experiment's file is an error


def get_baseline(model: str, method: str, name: str, dataset: str) -> ConfigDict:
    """Another landmark model under the protocol and the recipe that ST-BLN has on a data set.

    The papers name no recipe of their own for these models (graph baselines specification).

    Args:
      model: key of `fer_jax.systems.SYSTEMS`.
      method: its name in tables.
      name: of the experiment, before the name of the data set.
      dataset: one of `LANDMARK_SETS`.
    """
    if dataset not in LANDMARK_SETS:
        raise ValueError(f"data set {dataset!r} is unknown: use one of {LANDMARK_SETS}")
    config = importlib.import_module(f"configs.stbln_{dataset}").get_config()
    config.name, config.method = f"{name}_{dataset}", method
    fields = {"name": model, "widths": config.model.widths, "dropout": 0.0}
    fields["kernel_size"], fields["dtype"] = config.model.kernel_size, config.model.dtype
    with config.unlocked():
        config.model = ConfigDict(fields)
    return config


# Ablations of the FER-GCN paper's table V: graph modules, and whether frames are weighted.
FERGCN_VARIANTS = {
    "full": (2, True, "FER-GCN"),
    "vgg16": (0, False, "VGG16"),
    "modules1": (1, False, "VGG16 + 1 module"),
    "modules2": (2, False, "VGG16 + 2 modules"),
    "modules3": (3, False, "VGG16 + 3 modules"),
}


def get_fergcn(dataset: str, variant: str) -> ConfigDict:
    """FER-GCN as published (FER-GCN specification, sections 5 and 6), 10 subject folds.

    Args:
      dataset: name under which it is prepared, with crops of 256 pixels.
      variant: key of `FERGCN_VARIANTS`.
    """
    if variant not in FERGCN_VARIANTS:
        raise ValueError(f"variant {variant!r} is unknown: use one of {list(FERGCN_VARIANTS)}")
    modules, fusion, method = FERGCN_VARIANTS[variant]
    config = get_config()
    config.name = f"fergcn_{dataset}" + ("" if variant == "full" else f"_{variant}")
    config.method = method
    config.data.dataset, config.data.path = dataset, f"data/{dataset}_crops"
    config.data.frames, config.data.frame_rule = 16, "middles"
    config.data.crop_size = 224
    config.optimizer.learning_rate, config.optimizer.weight_decay = 0.001, 5e-5
    config.train.batch_size, config.train.epochs = 4, 120
    config.train.checkpoint_epochs = 1
    with config.unlocked():
        config.model = ConfigDict(
            {
                "name": "fer_gcn",
                "features": 256,
                "modules": modules,
                "fusion": fusion,
                "feature_relu": True,
                "stages": ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)),  # VGG16
                "dropout": 0.2,  # in front of the classifier, for MC dropout; the paper has none
                "dtype": "float32",  # or "bfloat16"
                "remat": False,  # True: less memory, more time
            }
        )
        config.augment = ConfigDict(
            {
                "enabled": True,
                "flip": True,
                "degrees": 0.0,  # rotation, uniform in +- this
                "brightness": 0.2,  # factor, uniform in 1 +- this
                "contrast": 0.2,
            }
        )
    return config


# The STC-NLSTM paper's other readings of the maps, its baseline, and its study of the depth.
STCNLSTM_VARIANTS = {
    "full": ({}, "STC-NLSTM"),
    "stc": ({"nesting": "none"}, "STC"),
    "lstm": ({"nesting": "last"}, "STC-LSTM"),
    "slstm": ({"nesting": "sum"}, "STC-SLSTM"),
    "densenet": ({"name": "densenet"}, "DenseNet"),
    "layers3": ({"channels": (64,) * 3}, "STC-NLSTM, 3 layers"),
    "layers4": ({"channels": (64,) * 4}, "STC-NLSTM, 4 layers"),
    "layers6": ({"channels": (64,) * 6}, "STC-NLSTM, 6 layers"),
}


def get_stcnlstm(dataset: str, variant: str, frames: int = 22) -> ConfigDict:
    """STC-NLSTM as published (STC-NLSTM specification, sections 5 to 8), 10 subject folds x 4.

    Args:
      dataset: name under which it is prepared, with crops of 64 pixels.
      variant: key of `STCNLSTM_VARIANTS`.
      frames: of a clip, but for DenseNet, which sees the peak only.
    """
    if variant not in STCNLSTM_VARIANTS:
        raise ValueError(f"variant {variant!r} is unknown: use one of {list(STCNLSTM_VARIANTS)}")
    fields, method = STCNLSTM_VARIANTS[variant]
    config = get_config()
    config.name = f"stcnlstm_{dataset}" + ("" if variant == "full" else f"_{variant}")
    config.method = method
    config.data.dataset, config.data.path = dataset, f"data/{dataset}_crops64"
    config.data.frames, config.data.frame_rule = frames, "padded"
    config.data.crop_size = 64
    config.optimizer.update(
        {"learning_rate": 0.0025, "weight_decay": 0.0015, "decay": "kernels", "clip_norm": 5.0,
         "schedule": "steps", "drop_at": (300,), "drop_factor": 0.01}
    )  # fmt: skip
    config.train.batch_size, config.train.epochs = 64, 500
    config.protocol.repeats = 4
    if variant == "densenet":
        peak = (3, "last") if dataset in ("ckplus", "oulu") else (1, "middles")
        config.data.frames, config.data.frame_rule = peak
        model = {"blocks": (6, 12, 24, 16), "growth": 32, "initial": 64}  # DenseNet-121
    else:
        model = {"name": "stc_nlstm", "channels": (64,) * 5, "hidden": 128, "nesting": "nested"}
    # dropout: in front of the classifier; the paper has none, MC dropout needs some, e.g. 0.5
    model |= {"dropout": 0.0, "dtype": "float32", "remat": False}
    with config.unlocked():
        config.model = ConfigDict(model | fields)
        config.augment = ConfigDict(
            {
                "enabled": True,
                "flip": True,
                "degrees": 0.0,
                "angles": (-7.5, -5.0, -2.5, 0.0, 2.5, 5.0, 7.5),  # one of these a clip
                "brightness": 0.0,
                "contrast": 0.0,
            }
        )
    return config


# The 3D Inception-ResNet paper's network, the same without landmarks, and frame by frame.
IR3D_VARIANTS = {
    "full": ({}, "3D Inception-ResNet + landmarks"),
    "plain": ({"landmarks": False}, "3D Inception-ResNet"),
    "still": ({"landmarks": False, "still": True}, "2D Inception-ResNet"),
}
# Which frames the paper takes of each data set (specification, section 7).
IR3D_RULES = {
    "ckplus": "last", "mmi": "pieces", "fera": "pieces", "disfa": "pieces",
    "synthetic_studio": "last", "synthetic_film": "apex_pieces",
    "synthetic_cartoon": "apex_pieces",
}  # fmt: skip


def get_ir3d(dataset: str, variant: str = "full") -> ConfigDict:
    """3D Inception-ResNet as published (its specification, sections 6, 7 and 9), 5 subject folds.

    Args:
      dataset: name under which it is prepared, with crops of 299 pixels.
      variant: key of `IR3D_VARIANTS`.
    """
    if variant not in IR3D_VARIANTS:
        raise ValueError(f"variant {variant!r} is unknown: use one of {list(IR3D_VARIANTS)}")
    fields, method = IR3D_VARIANTS[variant]
    config = get_config()
    config.name = f"ir3d_{dataset}" + ("" if variant == "full" else f"_{variant}")
    config.method = method
    config.data.dataset, config.data.path = dataset, f"data/{dataset}_crops299"
    config.data.frames, config.data.frame_rule = 10, IR3D_RULES.get(dataset, "uniform")
    config.data.crop_size = 299
    config.optimizer.update({"learning_rate": 0.01, "weight_decay": 1e-4, "schedule": "constant"})
    config.train.batch_size, config.train.epochs = 8, 100
    config.train.checkpoint_epochs = 1
    config.protocol.folds = 5
    model = {
        "name": "inception_resnet_3d",
        "version": "v1",  # or "v2": widths of Inception-ResNet-v2
        "divisor": 1,  # of all widths but the LSTM's
        "landmarks": True,  # weigh the shortcuts
        "outside": 0.0,  # weight far from all landmarks
        "factorised": 3,  # frames that 1x7, 7x1, 1x3 and 3x1 kernels span
        "still": False,  # True: frame by frame, no LSTM
        "residual_scale": (1.0, 1.0, 1.0),  # (0.17, 0.1, 0.2) if training diverges
        "batch_norm": True,
        "hidden": 200,
        "dropout": 0.2,
        "dtype": "float32",  # or "bfloat16"
        "remat": False,  # True: less memory, more time
    }
    with config.unlocked():
        config.model = ConfigDict(model | fields)
        config.augment = ConfigDict(
            {"enabled": False, "flip": True, "degrees": 0.0, "brightness": 0.0, "contrast": 0.0}
        )
    return config


def get_ir3d_cross(dataset: str, others, variant: str = "full") -> ConfigDict:
    """The same, learnt from other data sets (specification, section 9).

    Args:
      dataset: to be scored.
      others: names of those to learn from.
      variant: key of `IR3D_VARIANTS`.
    """
    config = get_ir3d(dataset, variant)
    config.name = config.name.replace("ir3d_", "ir3d_cross_")
    own = [get_ir3d(other, variant).data for other in others]
    config.data.train_on = tuple((each.dataset, each.path, each.frame_rule) for each in own)
    config.protocol.name = "cross_database"
    return config


# The bilinear CNN paper's networks: trunk and what becomes of its maps.
BILINEAR_TRUNKS = {"vgg16": "VGG16", "resnet50": "ResNet50"}
BILINEAR_PIXELS = {"vgg16": "vggface", "resnet50": "vggface2"}
BILINEAR_POOLINGS = {"global": "global", "bilinear": "bilinear"}
BILINEAR_DIMENSIONS = {"va": ("valence", "arousal"), "vad": ("valence", "arousal", "dominance")}


def get_bilinear(trunk: str, pooling: str, dimensions: str) -> ConfigDict:
    """The bilinear CNN as published for FER+ (its specification, sections 2 to 5 and 7).

    Args:
      trunk, pooling, dimensions: keys of the tables above.
    """
    config = get_config()
    config.name = f"bilinear_{trunk}_{pooling}_{dimensions}"
    config.method = f"{BILINEAR_TRUNKS[trunk]} {BILINEAR_POOLINGS[pooling]}"
    config.task = "dimensional"
    config.data.dataset, config.data.path = "ferplus", "data/ferplus"
    config.data.frames, config.data.frame_rule = 1, "middles"
    config.data.classes = BILINEAR_DIMENSIONS[dimensions]
    config.optimizer.update(
        {"learning_rate": 0.001, "weight_decay": 5e-4, "schedule": "steps",
         "drop_at": (20, 40, 60, 80), "drop_factor": 0.5}
    )  # fmt: skip
    config.train.batch_size, config.train.epochs = 50, 100
    config.train.checkpoint_epochs, config.train.keep = 1, "best"
    config.protocol.name = "holdout"
    with config.unlocked():
        config.model = ConfigDict(
            {
                "name": "bilinear_cnn",
                "trunk": trunk,
                "pooling": pooling,  # "global", "bilinear", or "fc": fc6 and fc7 of VGG16
                "compact": "full",  # or "triangle", "reduced", "low_rank", see the model
                "features": 512,  # units between the bilinear feature and the output; 0: none
                "reduced": 100,  # channels that "reduced" leaves
                "rank": 8,  # of each output's matrix with "low_rank", even
                "reference_grad": False,  # slope of the root as in the authors' code
                "label_mean": 5.0,  # that outputs begin with
                "dropout": 0.3,
                "size": 224,  # pixels of a side to which faces are enlarged; 0: as they are
                # of the paper's weights, "vggface" or "vggface2"; "imagenet" with ImageNet's
                "pixels": BILINEAR_PIXELS[trunk],
                "gray": True,  # FER+ has no colour, so none is seen in other faces
                "mirrored": True,  # the mean of a face and its mirror image is scored
                "stages": (),  # of the trunk; (): the paper's
                "batch_norm": False,  # of VGG16
                "dtype": "float32",  # or "bfloat16"
                "remat": False,  # True: less memory, more time
            }
        )
        config.augment = ConfigDict(
            {"enabled": True, "flip": True, "degrees": 0.0, "brightness": 0.0, "contrast": 0.0}
        )
    return config
