"""A small FER-GCN on videos of synthetic faces (7 classes), fixed subject-disjoint splits.

Prepare: python -m preprocess synthetic --out data/synthetic_crops --crops 64
Run:     python run.py --config configs/fergcn_synthetic.py
         configs/fergcn_synthetic.py:vgg16, :modules1, :modules2, :modules3 are table V's variants
Trains from scratch (no ImageNet weights), minutes on 2 CPU cores.
"""

from configs import base


def get_config(variant: str = "full"):
    config = base.get_fergcn("synthetic", variant)
    config.data.crop_size = 56
    config.model.stages = ((16, 1), (32, 1), (64, 1), (64, 1))
    config.model.features = 64
    config.optimizer.learning_rate = 0.01
    config.optimizer.schedule = "cosine"
    config.train.batch_size = 8
    config.train.epochs = 30
    config.protocol.name = "holdout"
    return config
