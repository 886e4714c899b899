"""AGCN (adaptive graph convolution) on any landmark data set, as ST-BLN is run there.

Prepare: as the docstring of configs/stbln_DATASET.py says
Run:     python run.py --config configs/agcn.py:DATASET
         (afew, buhmap, ckplus, oulu, ravdess, synthetic)
Paper:   24.21 AFEW, 75.62 Oulu-CASIA, 94.18 CK+ (ST-BLN, tables I to III)
"""

from configs import base


def get_config(dataset: str = "buhmap"):
    config = base.get_baseline("agcn", "AGCN", "agcn", dataset)
    return config
