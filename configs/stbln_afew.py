"""ST-BLN on AFEW (7 classes, 773 training and 383 validation clips), trained on train.

Prepare: python -m preprocess afew --source DIR --out data/afew (docs/data.md)
Run:     python run.py --config configs/stbln_afew.py
Paper:   36.11 with MC dropout, 34.13 without (ST-BLN, table I; scored on 252 clips).
"""

from configs import base


def get_config():
    config = base.get_config()
    config.name = "stbln_afew"
    config.data.dataset = "afew"
    config.data.path = "data/afew"
    config.data.frames = 150
    config.data.frame_rule = "uniform"
    config.optimizer.learning_rate = 0.01
    config.train.batch_size = 64
    config.train.epochs = 300
    config.train.copies = 14
    config.augment.enabled = True
    config.protocol.name = "holdout"
    return config
