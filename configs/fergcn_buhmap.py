"""A small FER-GCN on videos drawn from BUHMAP's real motion (8 classes), 3 subject folds.

Prepare: python -m preprocess manifest --source MANIFEST.csv --render --crops 64 \\
             --out data/buhmap_crops (docs/data/datasets.md)
Run:     python run.py --config configs/fergcn_buhmap.py
Variants: :vgg16 :modules1 :modules2 :modules3 (table V), :mcd (ours: with dropout)
Paper:   none. Motion and labels are BUHMAP's; the faces are drawn. Trains from scratch.
"""

from configs import fergcn_manifest


def get_config(variant: str = "full"):
    config = fergcn_manifest.get_config(f"buhmap,{variant}")
    config.data.path = "data/buhmap_crops"
    return config
