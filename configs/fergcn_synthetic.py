"""A small FER-GCN on videos of synthetic faces (7 classes), fixed subject-disjoint splits.

Prepare: python -m preprocess synthetic --out data/synthetic_crops --crops 64
Run:     python run.py --config configs/fergcn_synthetic.py
Variants: :vgg16 :modules1 :modules2 :modules3 (table V), :mcd (ours: with dropout)
Paper:   none. Trains from scratch (no ImageNet weights), minutes on 2 CPU cores.
"""

from configs.recipes import fer_gcn


def get_config(variant: str = "full"):
    config = fer_gcn.get_small("synthetic", variant)
    config.protocol.name = "holdout"
    return config
