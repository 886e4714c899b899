"""3D Inception-ResNet with landmarks on DISFA (6 emotions and neutral, by action units).

Prepare: python -m preprocess disfa --source DIR --out data/disfa_crops299 --crops 299 \\
             --framing box
Run:     python run.py --config configs/ir3d_disfa.py
Variants: :plain (without landmarks), :still (the 2-D network frame by frame)
Paper:   table 1, 5 subject folds: fer-jax reproduce inception_resnet_3d table1
         :plain is evaluated on a random fifth of the subjects, as in the paper; five folds:
         --config.protocol.name=subject_kfold
Cost:    as configs/ir3d_ckplus.py
Ours:    what the paper leaves open is in configs/recipes/inception_resnet_3d.py.
"""

from configs.recipes import inception_resnet_3d


def get_config(variant: str = "full"):
    return inception_resnet_3d.get_config("disfa", variant)
