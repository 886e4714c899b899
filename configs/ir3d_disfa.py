"""3D Inception-ResNet with landmarks on DISFA (6 emotions and neutral, by action units).

Five subject folds, mean and deviation.
Prepare: python -m preprocess disfa --source DIR --out data/disfa_crops299 --crops 299
Run:     python run.py --config configs/ir3d_disfa.py
Variants: :plain (without landmarks), :still (the 2-D network frame by frame)
Paper:   58.00 +- 5.77 (51.35 without landmarks)
Cost:    a clip takes 109 GMAC forwards: a GPU. If it does not fit: --config.model.dtype=bfloat16,
         --config.model.remat=True, --config.train.microbatches=4 (docs/speed.md)
"""

from configs.recipes import inception_resnet_3d


def get_config(variant: str = "full"):
    return inception_resnet_3d.get_config("disfa", variant)
