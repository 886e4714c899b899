"""3D Inception-ResNet with landmarks on GEMEP-FERA (5 classes, every 10 frames of 155 videos).

Five subject folds, mean and deviation.
Prepare: python -m preprocess fera --source DIR --out data/fera_crops299 --crops 299
Run:     python run.py --config configs/ir3d_fera.py
Variants: :plain (without landmarks), :still (the 2-D network frame by frame)
Paper:   77.42 +- 3.67 (67.74 without landmarks, 49.64 the 2-D network)
Cost:    a clip takes 109 GMAC forwards: a GPU. If it does not fit: --config.model.dtype=bfloat16,
         --config.model.remat=True, --config.train.microbatches=4 (docs/speed.md)
"""

from configs.recipes import inception_resnet_3d


def get_config(variant: str = "full"):
    return inception_resnet_3d.get_config("fera", variant)
