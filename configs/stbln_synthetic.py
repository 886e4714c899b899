"""ST-BLN on the embedded synthetic faces (7 classes), fixed subject-disjoint splits.

Prepare: python -m preprocess synthetic --out data/synthetic
Run:     python run.py --config configs/stbln_synthetic.py
Paper:   none. About a minute on 2 CPU cores.
"""

from configs.recipes import st_bln


def get_config():
    config = st_bln.get_small("synthetic", frames=8, epochs=40)
    config.data.features = "motion"
    config.protocol.name = "holdout"
    return config
