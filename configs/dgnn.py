"""DGNN (directed graph network) on any landmark data set, as ST-BLN is run there.

Prepare: as the docstring of configs/stbln_DATASET.py says
Run:     python run.py --config configs/dgnn.py:DATASET
         (afew, buhmap, ckplus, oulu, ravdess, synthetic)
Paper:   32.64 AFEW, 81.46 Oulu-CASIA, 96.02 CK+ (ST-BLN, tables I to III)
The published count needs the published graph: --config.data.graph=reference
"""

from configs import base


def get_config(dataset: str = "buhmap"):
    config = base.get_baseline("dgnn", "DGNN", "dgnn", dataset)
    return config
