"""ST-BLN on the embedded synthetic faces (7 classes), fixed subject-disjoint splits.

Prepare: python -m preprocess synthetic --out data/synthetic
Run:     python run.py --config configs/stbln_synthetic.py
Variants: :small (two layers, 15 epochs: a minute on 2 CPU cores, what `make demo` trains)
Paper:   none. Minutes on 2 CPU cores.
"""

from configs import base
from configs.recipes import st_bln

SMALL = {"model.widths": (16, 16), "train.batch_size": 32, "train.epochs": 15}
VARIANTS = {"full": {}, "small": SMALL}


def get_config(variant: str = "full"):
    config = st_bln.get_small("synthetic", frames=8, epochs=40)
    config.data.features = "motion"
    config.protocol.name = "holdout"
    config.update_from_flattened_dict(base.choose(VARIANTS, variant))
    if variant != "full":
        config.name += f"_{variant}"
    return config
