"""A small 3D Inception-ResNet with landmarks on videos drawn from BUHMAP's motion, 5 subject folds.

Prepare: python -m preprocess manifest --source MANIFEST.csv --render --crops 96 \\
             --out data/buhmap_crops96 (docs/data/datasets.md)
Run:     python run.py --config configs/ir3d_buhmap.py
Variants: :plain (without landmarks), :still (the 2-D network frame by frame)
Paper:   none. Motion and labels are BUHMAP's; the faces are drawn.
"""

from configs import ir3d_manifest


def get_config(variant: str = "full"):
    config = ir3d_manifest.get_config(f"buhmap,{variant}")
    config.data.path = "data/buhmap_crops96"
    return config
