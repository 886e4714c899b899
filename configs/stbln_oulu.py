"""ST-BLN on Oulu-CASIA VIS strong (6 classes, 480 clips, 80 subjects), 10 subject folds.

Prepare: python -m preprocess oulu --source DIR --out data/oulu (docs/data.md)
Run:     python run.py --config configs/stbln_oulu.py
Paper:   83.54 with MC dropout, 82.08 without (ST-BLN, table II).
"""

from configs import base


def get_config():
    config = base.get_config()
    config.name = "stbln_oulu"
    config.data.dataset = "oulu"
    config.data.path = "data/oulu"
    return config
