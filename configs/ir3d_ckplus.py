"""3D Inception-ResNet with landmarks on CK+ (7 classes, the last 10 frames of 327 sequences).

Five subject folds, mean and deviation.
Prepare: python -m preprocess ckplus --source DIR --out data/ckplus_crops299 --crops 299
Run:     python run.py --config configs/ir3d_ckplus.py
Variants: :plain (without landmarks), :still (the 2-D network frame by frame)
Paper:   93.21 +- 2.32 (89.50 without landmarks, 85.77 the 2-D network)
Cost:    a clip takes 109 GMAC forwards: a GPU. If it does not fit: --config.model.dtype=bfloat16,
         --config.model.remat=True, --config.train.microbatches=4 (docs/speed.md)
"""

from configs.recipes import inception_resnet_3d


def get_config(variant: str = "full"):
    return inception_resnet_3d.get_config("ckplus", variant)
