"""A small 3D Inception-ResNet with landmarks on synthetic faces recorded like CK+, 5 subject folds.

Prepare: python -m preprocess synthetic --database studio --crops 96 \\
             --out data/synthetic_studio_crops96
Run:     python run.py --config configs/ir3d_synthetic.py
         configs/ir3d_synthetic.py:plain is without landmarks, :still the 2-D network frame by frame
Paper:   none. An eighth of the widths, 96 pixels; the last 10 frames, up to the apex.
"""

from configs import base


def get_config(variant: str = "full"):
    config = shrink(base.get_ir3d("synthetic_studio", variant))
    config.name = config.name.replace("_studio", "")
    return config


def shrink(config):
    """Makes the network and the crops small enough for 2 CPU cores."""
    config.data.path = config.data.path.replace("crops299", "crops96")
    config.data.train_on = tuple(
        (name, path.replace("crops299", "crops96"), rule)
        for name, path, rule in config.data.train_on
    )
    config.data.crop_size = 96
    config.model.divisor = 8
    config.optimizer.name, config.optimizer.learning_rate = "adam", 0.001
    config.train.epochs = 12
    config.train.evaluation_epochs = 3
    return config
