"""Bilinear CNN: valence, arousal and dominance of still faces from second-order features.

All readings of the paper: docs/papers/bilinear_cnn.md.

Paper: Zhou, Kong, Fowlkes, Chen & Lei, "Fine-grained facial expression analysis using dimensional
emotion model", arXiv 1805.01024. The paper's: FER+ faces enlarged to 224 pixels, VGG16 or ResNet50
from weights for faces, SGD with momentum 0.9, learning rate 0.001 halved every 20 epochs, 100
epochs, dropout 0.3 behind the layer that bilinear pooling adds (the global baselines have neither),
a = 2 in the loss, the official division of FER+.
Ours: batches of 50 and weight decay 5e-4 (from the authors' code, the paper is silent), ResNet50
cut to 512 channels for bilinear pooling, the epoch with the best validation loss, and initial
weights that are random, from ImageNet or from another run. Pixels: with a file of weights those of
the paper's faces, without weights -1 to 1 (pixels of 0 to 255 make a random network diverge).
"""

from ml_collections import ConfigDict

from configs import base

TRUNKS = {"vgg16": "VGG16", "resnet50": "ResNet50"}
POOLINGS = ("global", "bilinear")
DIMENSIONS = {"va": ("valence", "arousal"), "vad": ("valence", "arousal", "dominance")}


def get_config(trunk: str, pooling: str, dimensions: str, absolute: float = 2.0) -> ConfigDict:
    """The bilinear CNN as published for FER+.

    Args:
      trunk: key of `TRUNKS`.
      pooling: one of `POOLINGS`.
      dimensions: key of `DIMENSIONS`.
      absolute: a of equation 2; 0 is the squared error alone.
    """
    suffix = "" if absolute == 2.0 else f"_a{absolute:g}"
    model = {
        "name": "bilinear_cnn",
        "trunk": trunk,
        "pooling": pooling,  # "global", "bilinear", or "fc": fc6 and fc7 of VGG16
        "compact": "full",  # or "triangle", "reduced", "low_rank", see the model
        "features": 512,  # units between the bilinear feature and the output; 0: none
        "reduced": 100,  # channels left by "reduced"
        "rank": 8,  # of each output's matrix with "low_rank", even
        "reference_grad": False,  # derivative of the root as in the authors' code
        "label_mean": 5.0,  # initial bias of the outputs
        "dropout": 0.3 if pooling == "bilinear" else 0.0,
        "size": 224,  # side to which faces are enlarged, pixels; 0 keeps them
        # by the initial weights, or "vggface", "vggface2", "imagenet", "symmetric"
        "pixels": "auto",
        "channels": "rgb",  # or "bgr": order of the colours that the weights were trained with
        "stride_in_1x1": False,  # of ResNet50: True for weights of Caffe (VGGFace2)
        "ceil_pool": False,  # likewise
        "gray": True,  # FER+ is gray, so other faces are converted
        "mirrored": True,  # averages the outputs for a face and its mirror image
        "stages": (),  # of the trunk; (): the paper's
        "batch_norm": False,  # of VGG16
        "dtype": "float32",  # or "bfloat16"
        "remat": False,  # True: less memory, more time
    }
    augment = base.CROP_AUGMENT | {"enabled": True, "zoom": 0.0, "erase": 0.0}  # see augment_crops
    config = base.get_config(model=model, augment=augment, loss={"absolute": absolute})
    config.name = f"bilinear_{trunk}_{pooling}_{dimensions}{suffix}"
    config.method = f"{TRUNKS[trunk]} {pooling}" + (f", a = {absolute:g}" if suffix else "")
    config.task = "dimensional"
    config.data.dataset, config.data.path = "ferplus", "data/ferplus"
    config.data.frames, config.data.frame_rule = 1, "middles"
    config.data.classes = DIMENSIONS[dimensions]
    config.optimizer.update(
        {"learning_rate": 0.001, "weight_decay": 5e-4, "schedule": "steps",
         "lr_milestones": (20, 40, 60, 80), "lr_factor": 0.5}
    )  # fmt: skip
    config.train.batch_size, config.train.epochs = 50, 100
    config.train.checkpoint_every_epochs, config.train.select_checkpoint = 1, "best"
    config.protocol.name = "holdout"
    return config


def get_small(pooling: str, dimensions: str, absolute: float = 2.0) -> ConfigDict:
    """Ours: a small VGG from scratch on faces of 48 pixels, with dropout in any case."""
    config = get_config("vgg16", pooling, dimensions, absolute)
    config.model.dropout = 0.3
    config.method = f"small VGG, {pooling} pooling"
    config.model.update(
        {"stages": ((24, 2), (48, 2), (96, 2)), "batch_norm": True, "size": 0,
         "pixels": "symmetric", "features": 128}
    )  # fmt: skip
    config.optimizer.update({"name": "adam", "lr_milestones": (6, 8), "lr_factor": 0.2})
    config.train.epochs = 10
    return config
