"""ST-BLN on CK+ (7 classes, 327 clips, 118 subjects), 10 subject folds.

Prepare: python -m preprocess ckplus --source DIR --out data/ckplus (docs/data/datasets.md)
Run:     python run.py --config configs/stbln_ckplus.py
Paper:   95.47 with MC dropout, 93.19 without (ST-BLN, table III).
Graph:   each edge once; --config.data.graph=reference repeats them as published (303 edges).
Ours:    what the paper leaves open is in configs/recipes/st_bln.py.
"""

from configs.recipes import st_bln


def get_config():
    return st_bln.get_config("ckplus")
