"""3D Inception-ResNet with landmarks on CK+ (7 classes, the last 10 frames of 327 sequences).

Prepare: python -m preprocess ckplus --source DIR --out data/ckplus_crops299 --crops 299 \\
             --framing box
Run:     python run.py --config configs/ir3d_ckplus.py
Variants: :plain (without landmarks), :still (the 2-D network frame by frame)
Paper:   table 1, 5 subject folds: fer-jax reproduce inception_resnet_3d table1
         :plain is evaluated on a random fifth of the subjects, as in the paper; five folds:
         --config.protocol.name=subject_kfold
Cost:    109 GMAC a clip forwards: a GPU. If memory is short: --config.model.dtype=bfloat16,
         --config.model.remat=True, --config.train.microbatches=4 (docs/speed.md)
Ours:    what the paper leaves open is in configs/recipes/inception_resnet_3d.py.
"""

from configs.recipes import inception_resnet_3d


def get_config(variant: str = "full"):
    return inception_resnet_3d.get_config("ckplus", variant)
