"""A small 3D Inception-ResNet learnt from two synthetic data sets, scored on a third.

They differ in people, drawing, camera and classes: studio (contempt, no neutral), film (neutral)
and cartoon (joy for happiness, and relief). Clips of a class that the other two do not show are
left out and counted.
Prepare: python -m preprocess synthetic --database studio --crops 96 \\
             --out data/synthetic_studio_crops96, and film and cartoon alike
Run:     python run.py --config configs/ir3d_cross_synthetic.py
         scores studio; configs/ir3d_cross_synthetic.py:film and :cartoon score the other two
Paper:   none.
"""

from configs import base, ir3d_synthetic

NAMES = ("studio", "film", "cartoon")


def get_config(scored: str = "studio"):
    if scored not in NAMES:
        raise ValueError(f"{scored!r} is unknown: use one of {NAMES}")
    others = [f"synthetic_{name}" for name in NAMES if name != scored]
    config = base.get_ir3d_cross(f"synthetic_{scored}", others)
    if scored == "studio":
        config.name = "ir3d_cross_synthetic"
    return ir3d_synthetic.shrink(config)
