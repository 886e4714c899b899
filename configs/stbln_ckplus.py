"""ST-BLN on CK+ (7 classes, 327 clips, 118 subjects), 10 subject folds.

Prepare: python -m preprocess ckplus --source DIR --out data/ckplus (docs/data/datasets.md)
Run:     python run.py --config configs/stbln_ckplus.py
Paper:   table III, rows ST-BLN: fer-jax reproduce st_bln table3
Graph:   each edge once, 181 for the mean face; the published code lists 303 with repeats:
         --config.data.graph=reference
Cost:    400 epochs of 10 folds: 2.3 hours on 2 CPU cores (docs/speed.md)
Ours:    what the paper leaves open is in configs/recipes/st_bln.py.
"""

from configs.recipes import st_bln


def get_config():
    return st_bln.get_config("ckplus")
