"""A small STC-NLSTM on videos of synthetic faces (7 classes), fixed subject-disjoint splits.

Prepare: python -m preprocess synthetic --out data/synthetic_crops --crops 64
Run:     python run.py --config configs/stcnlstm_synthetic.py
Variants: :stc :lstm :slstm :densenet (the paper's rows), :layers3 :layers4 :layers6, :steps
Paper:   none. Minutes on 2 CPU cores. The peak is in the middle: DenseNet takes that frame.
"""

from configs.recipes import stc_nlstm


def get_config(variant: str = "full"):
    config = stc_nlstm.get_small("synthetic", variant)
    config.protocol.name = "holdout"
    return config
