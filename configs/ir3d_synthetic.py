"""A small 3D Inception-ResNet with landmarks on synthetic faces recorded like CK+, 5 subject folds.

Prepare: python -m preprocess synthetic --database studio --crops 96 \\
             --out data/synthetic_studio_crops96
Run:     python run.py --config configs/ir3d_synthetic.py
Variants: :plain (without landmarks), :still (the 2-D network frame by frame)
Paper:   none. An eighth of the widths, 96 pixels; the last 10 frames, up to the apex.
"""

from configs.recipes import inception_resnet_3d


def get_config(variant: str = "full"):
    config = inception_resnet_3d.shrink(inception_resnet_3d.get_config("synthetic_studio", variant))
    config.name = config.name.replace("_studio", "")
    return config
