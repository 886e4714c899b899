"""A small 3D Inception-ResNet with landmarks on videos of synthetic faces, 5 subject folds.

Prepare: python -m preprocess synthetic --out data/synthetic_crops96 --crops 96
Run:     python run.py --config configs/ir3d_synthetic.py
         configs/ir3d_synthetic.py:plain is without landmarks, :still the 2-D network frame by frame
Paper:   none. An eighth of the widths, 96 pixels; 10 frames over the whole clip.
"""

from configs import base


def get_config(variant: str = "full"):
    return shrink(base.get_ir3d("synthetic", variant))


def shrink(config):
    """Makes the network and the crops small enough for 2 CPU cores."""
    config.data.path = config.data.path.replace("crops299", "crops96")
    config.data.train_on = tuple(
        (name, path.replace("crops299", "crops96"), rule)
        for name, path, rule in config.data.train_on
    )
    config.data.crop_size = 0
    config.model.divisor = 8
    config.optimizer.name, config.optimizer.learning_rate = "adam", 0.001
    config.train.epochs = 12
    config.train.evaluation_epochs = 3
    return config
