"""A small FER-GCN on your own clips, prepared with crops in data/NAME; 3 subject folds.

Prepare: python -m preprocess manifest --source FILE.csv --crops 64 --out data/NAME
Run:     python run.py --config configs/fergcn_manifest.py:NAME
Variants: :NAME, or :NAME,vgg16 :NAME,modules1 :NAME,modules2 :NAME,modules3 :NAME,mcd
Paper:   none. Trains from scratch (no ImageNet weights). For crops of another size:
         --config.data.crop_size=0
"""

from configs.recipes import fer_gcn


def get_config(choice: str = "manifest"):
    name, _, variant = choice.partition(",")
    config = fer_gcn.get_small(name, variant or "full")
    config.data.path = f"data/{name}"
    config.protocol.folds = 3
    return config
