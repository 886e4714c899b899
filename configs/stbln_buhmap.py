"""ST-BLN on BUHMAP (8 classes, 360 clips, 9 people), leave one subject out.

Prepare: python -m preprocess manifest --source MANIFEST.csv --out data/buhmap
Run:     python run.py --config configs/stbln_buhmap.py
Paper:   none; three classes are facial affect, the rest acted head motions.
"""

from configs import base


def get_config():
    config = base.get_config()
    config.name = "stbln_buhmap"
    config.data.dataset = "buhmap"
    config.data.path = "data/buhmap"
    config.data.frames = 8
    config.data.frame_rule = "uniform"
    config.data.features = "motion"  # people differ more in their faces than in their movements
    config.optimizer.schedule = "cosine"
    config.train.batch_size = 64
    config.train.epochs = 50
    config.protocol.folds = 0
    return config
