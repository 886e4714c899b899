"""3D Inception-ResNet with landmarks trained on three of four databases, evaluated on the fourth.

Prepare: python -m preprocess ckplus --source DIR --out data/ckplus_crops299 --crops 299 \\
             --framing box, and mmi, fera and disfa alike
Run:     python run.py --config configs/ir3d_cross.py:DATASET
Variants: :ckplus :mmi :fera :disfa, or :DATASET,plain (without landmarks) :DATASET,still (2-D)
Paper:   table 2, trained on all subjects (--config.protocol.folds=0):
         fer-jax reproduce inception_resnet_3d table2
Ours:    every fifth subject of the training datasets is excluded from training, to choose the
         abstain threshold and to compare the uncertainty with that on the unseen dataset.
Cost:    as configs/ir3d_ckplus.py
Clips of a class that the others lack (contempt of CK+, neutral of DISFA, relief of
GEMEP-FERA) are left out and counted.
"""

from configs import base
from configs.recipes import inception_resnet_3d

DATASETS = ("ckplus", "mmi", "fera", "disfa")


def get_config(choice: str = "ckplus"):
    dataset, _, variant = choice.partition(",")
    base.choose(dict.fromkeys(DATASETS), dataset)
    others = [name for name in DATASETS if name != dataset]
    return inception_resnet_3d.get_cross(dataset, others, variant or "full")
