"""A small 3D Inception-ResNet trained on two synthetic datasets, evaluated on a third.

They differ in people, drawing, camera and classes: studio (contempt, no neutral), film (neutral)
and cartoon (joy for happiness, and relief). Clips of a class that the other two lack are left out
and counted.
Prepare: python -m preprocess synthetic --database studio --crops 96 \\
             --out data/synthetic_studio_crops96, and film and cartoon alike
Run:     python run.py --config configs/ir3d_cross_synthetic.py
Variants: :studio :film :cartoon (the evaluated dataset)
Paper:   none.
"""

from configs import base
from configs.recipes import inception_resnet_3d

NAMES = ("studio", "film", "cartoon")


def get_config(evaluated: str = "studio"):
    base.choose(dict.fromkeys(NAMES), evaluated)
    others = [f"synthetic_{name}" for name in NAMES if name != evaluated]
    config = inception_resnet_3d.get_cross(f"synthetic_{evaluated}", others)
    if evaluated == "studio":
        config.name = "ir3d_cross_synthetic"
    return inception_resnet_3d.shrink(config)
