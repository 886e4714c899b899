"""A small FER-GCN on videos drawn from BUHMAP's real motion (8 classes), 3 subject folds.

Prepare: python -m preprocess manifest --source MANIFEST.csv --render --crops 64 \\
             --out data/buhmap_crops (docs/data.md)
Run:     python run.py --config configs/fergcn_buhmap.py
         configs/fergcn_buhmap.py:vgg16, :modules1, :modules2, :modules3 are table V's variants
Motion and labels are BUHMAP's; the people are drawn. Trains from scratch (no ImageNet weights).
"""

from configs import fergcn_synthetic


def get_config(variant: str = "full"):
    config = fergcn_synthetic.get_config(variant)
    config.name = config.name.replace("synthetic", "buhmap")
    config.data.dataset, config.data.path = "buhmap", "data/buhmap_crops"
    config.protocol.name = "subject_kfold"
    config.protocol.folds = 3
    return config
