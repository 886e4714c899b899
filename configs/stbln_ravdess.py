"""ST-BLN on the RAVDESS facial landmark tracking (speech, 8 classes, 24 actors), 6 actor folds.

Prepare: python -m preprocess ravdess --source DIR --out data/ravdess
Run:     python run.py --config configs/stbln_ravdess.py
Paper:   none; the set is free (Zenodo record 3255102), so anyone can repeat the figure.
"""

from configs import base


def get_config():
    config = base.get_config()
    config.name = "stbln_ravdess"
    config.data.dataset = "ravdess"
    config.data.path = "data/ravdess"
    config.data.frames = 16
    config.data.frame_rule = "uniform"
    config.optimizer.schedule = "cosine"
    config.train.batch_size = 64
    config.train.epochs = 60
    config.protocol.folds = 6
    return config
