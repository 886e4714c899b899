"""FER-GCN: VGG16, graph modules over the frames and fusion by their intensity.

All readings of the paper: docs/papers/fer_gcn.md.

Paper: Liu, Zhang & Zhou, "Video-based Facial Expression Recognition using Graph Convolutional
Networks", ICPR 2020. The paper's: 16 frames, crops of 224 out of 256 pixels, 256 features, VGG16
with BatchNorm from ImageNet weights, equation 6 over the frames, no dropout, SGD at 0.001, weight
decay 5e-5, 120 epochs, mirrored and brightened crops, 10 subject folds, the ablations of table V.
Ours, where the paper is silent: batches of 4 clips, momentum 0.9 (the paper names none: literally
`--config.optimizer.momentum=0.0`), a constant learning rate, brightness and contrast within 20%,
ReLU after the reduction to 256, PyTorch's first weights behind the trunk, LSTMs for the states of
equation 6 (`--config.model.recurrence=concat`: a usual bidirectional LSTM), the choice of frames.
Ours besides: `:mcd` adds dropout 0.2 before the classifier, for MC dropout.
"""

from ml_collections import ConfigDict

from configs import base

# Table V: number of graph modules, fusion by intensity, name in tables.
VARIANTS = {
    "full": (2, True, "FER-GCN"),
    "vgg16": (0, False, "VGG16"),
    "modules1": (1, False, "VGG16 + 1 module"),
    "modules2": (2, False, "VGG16 + 2 modules"),
    "modules3": (3, False, "VGG16 + 3 modules"),
    "mcd": (2, True, "FER-GCN with MC dropout"),  # ours: the full network with dropout
}
# Frame rules; clips of these datasets end at the peak.
RULES = {"ckplus": "uniform", "oulu": "uniform"}


def get_config(dataset: str, variant: str = "full") -> ConfigDict:
    """FER-GCN as published.

    Args:
      dataset: name under which it is prepared, with crops of 256 pixels.
      variant: key of `VARIANTS`.
    """
    modules, fusion, method = base.choose(VARIANTS, variant)
    model = {
        "name": "fer_gcn",
        "features": 256,
        "modules": modules,
        "fusion": fusion,
        "feature_relu": True,
        "stages": ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)),  # VGG16
        "recurrence": "eq6",  # or "concat"
        "dropout": 0.2 if variant == "mcd" else 0.0,
        "dtype": "float32",  # or "bfloat16"
        "remat": False,  # True: less memory, more time
    }
    augment = base.CROP_AUGMENT | {"enabled": True, "brightness": 0.2, "contrast": 0.2}
    config = base.get_config(model=model, augment=augment)
    base.set_dataset(config, "fergcn", dataset, "" if variant == "full" else f"_{variant}")
    config.method = method
    config.data.path = f"data/{dataset}_crops"
    config.data.frames, config.data.frame_rule = 16, RULES.get(dataset, "middles")
    config.data.crop_size = 224
    config.optimizer.learning_rate, config.optimizer.weight_decay = 0.001, 5e-5
    config.train.batch_size, config.train.epochs = 4, 120
    config.train.checkpoint_every_epochs = 1
    return config


def get_small(dataset: str, variant: str = "full") -> ConfigDict:
    """Ours: a small network from scratch, crops of 64 pixels, minutes on 2 CPU cores.

    It has dropout for MC dropout, whatever the variant, and a usual bidirectional LSTM.
    """
    config = get_config(dataset, variant)
    config.model.dropout, config.model.recurrence = 0.2, "concat"
    config.data.crop_size = 56
    config.model.stages = ((16, 1), (32, 1), (64, 1), (64, 1))
    config.model.features = 64
    config.optimizer.learning_rate, config.optimizer.schedule = 0.01, "cosine"
    config.train.batch_size, config.train.epochs = 8, 30
    return config
