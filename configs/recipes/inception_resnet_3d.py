"""3D Inception-ResNet whose shortcuts are weighted by facial landmarks, with an LSTM.

All readings of the paper: docs/papers/inception_resnet_3d.md.

Paper: Hasani & Mahoor, "Facial Expression Recognition Using Enhanced Deep 3D Convolutional Neural
Networks", CVPRW 2017. The paper's: 10 frames of 299 pixels, the box around the whole face
(`--framing box`), SGD with momentum 0.9 at 0.01, weight decay 1e-4, an LSTM of 200 units, 5 subject
folds (the network without landmarks: a random fifth of the subjects), the selection of frames for
each dataset, and the cross-database experiment.
Ours, where the paper is silent: a box made from the 68 points, synchronous SGD (the paper's is
asynchronous), widths as in Inception-ResNet v1 (its figure 2 is not legible), BatchNorm, batches of
8, 100 epochs, a constant learning rate, no augmentation, dropout 0.2 before the LSTM. The
cross-database experiment holds out every fifth subject of the training datasets, to choose the
abstain threshold and to compare the uncertainty with that on the unseen dataset;
`--config.protocol.folds=0` trains on all subjects, as in the paper.
"""

from ml_collections import ConfigDict

from configs import base

# The network, the same without landmarks, and frame by frame.
VARIANTS = {
    "full": ({}, "3D Inception-ResNet + landmarks"),
    "plain": ({"landmarks": False}, "3D Inception-ResNet"),
    "still": ({"landmarks": False, "still": True}, "2D Inception-ResNet"),
}
# Frame rules of the paper for each dataset (section 4.1).
RULES = {
    "ckplus": "last", "mmi": "pieces", "fera": "pieces", "disfa": "pieces",
    "synthetic_studio": "last", "synthetic_film": "apex_pieces",
    "synthetic_cartoon": "apex_pieces",
}  # fmt: skip
MODEL = {
    "name": "inception_resnet_3d",
    "version": "v1",  # or "v2": widths of Inception-ResNet-v2
    "divisor": 1,  # of all widths except the LSTM's
    "landmarks": True,  # weights the shortcuts by the landmarks
    "outside": 0.0,  # weight far from all landmarks
    "factorised": 3,  # frames spanned by 1x7, 7x1, 1x3 and 3x1 kernels
    "still": False,  # True: frame by frame, no LSTM
    "residual_scale": (1.0, 1.0, 1.0),  # (0.17, 0.1, 0.2) if training diverges
    "batch_norm": True,
    "hidden": 200,
    "dropout": 0.2,
    "dtype": "float32",  # or "bfloat16"
    "remat": False,  # True: less memory, more time
}


def get_config(dataset: str, variant: str = "full") -> ConfigDict:
    """3D Inception-ResNet as published.

    Args:
      dataset: name under which it is prepared, with crops of 299 pixels.
      variant: key of `VARIANTS`.
    """
    fields, method = base.choose(VARIANTS, variant)
    config = base.get_config(model=MODEL | fields, augment=base.CROP_AUGMENT)
    base.set_dataset(config, "ir3d", dataset, "" if variant == "full" else f"_{variant}")
    config.method = method
    config.data.path, config.data.crop_size = f"data/{dataset}_crops299", 299
    config.data.frames, config.data.frame_rule = 10, RULES.get(dataset, "uniform")
    config.optimizer.learning_rate, config.optimizer.weight_decay = 0.01, 1e-4
    config.train.batch_size, config.train.epochs = 8, 100
    config.train.checkpoint_every_epochs = 1
    config.protocol.folds, config.data.framing = 5, "box"
    if variant == "plain":
        config.protocol.name, config.protocol.share = "random_subjects", 0.2
    return config


def get_cross(dataset: str, others, variant: str = "full") -> ConfigDict:
    """The cross-database experiment.

    Args:
      dataset: for evaluation.
      others: names of the training datasets.
      variant: key of `VARIANTS`.
    """
    config = get_config(dataset, variant)
    config.name = config.name.replace("ir3d_", "ir3d_cross_")
    own = [get_config(other, variant).data for other in others]
    config.data.train_on = tuple((each.dataset, each.path, each.frame_rule) for each in own)
    config.protocol.name = "cross_database"
    return config


def shrink(config: ConfigDict) -> ConfigDict:
    """Ours: an eighth of the widths, crops of 96 pixels, 5 subject folds; for 2 CPU cores."""
    config.data.path = config.data.path.replace("crops299", "crops96")
    config.data.train_on = tuple(
        (name, path.replace("crops299", "crops96"), rule)
        for name, path, rule in config.data.train_on
    )
    config.data.crop_size, config.data.framing = 96, ""
    if config.protocol.name == "random_subjects":
        config.protocol.name = "subject_kfold"
    config.model.divisor = 8
    config.optimizer.name, config.optimizer.learning_rate = "adam", 0.001
    config.train.epochs, config.train.eval_every_epochs = 12, 3
    return config
