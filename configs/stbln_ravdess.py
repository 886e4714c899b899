"""ST-BLN on the RAVDESS facial landmark tracking (speech, 8 classes, 24 actors), 6 actor folds.

Prepare: python -m preprocess ravdess --source DIR --out data/ravdess
Run:     python run.py --config configs/stbln_ravdess.py
Paper:   none; the dataset is free (Zenodo record 3255102), so anyone can reproduce the figure.
"""

from configs.recipes import st_bln


def get_config():
    config = st_bln.get_small("ravdess", frames=16, epochs=60)
    config.protocol.folds = 6
    return config
