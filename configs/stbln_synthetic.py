"""ST-BLN on the embedded synthetic faces (7 classes), fixed subject-disjoint splits.

Prepare: python -m preprocess synthetic --out data/synthetic
Run:     python run.py --config configs/stbln_synthetic.py
"""

from configs import base


def get_config():
    config = base.get_config()
    config.name = "stbln_synthetic"
    config.data.dataset = "synthetic"
    config.data.path = "data/synthetic"
    config.data.frames = 8
    config.data.frame_rule = "uniform"
    config.data.features = "motion"
    config.optimizer.schedule = "cosine"
    config.train.batch_size = 64
    config.train.epochs = 40
    config.protocol.name = "holdout"
    return config
