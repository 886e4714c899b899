"""PST-BLN on CK+: searches a topology in each of the 10 folds, on its training subjects.

Prepare: python -m preprocess ckplus --source DIR --out data/ckplus (docs/data/datasets.md)
Run:     python run.py --config configs/pstbln_ckplus.py
Then:    python run.py --config runs/pstbln_ckplus/found.py (the topology of the first fold,
         from scratch in all ten)
Paper:   table III, rows PST-BLN: fer-jax reproduce st_bln table3
Graph:   each edge once, 181 for the mean face; the published code lists 303 with repeats:
         --config.data.graph=reference
--config.search.folds=first searches in the first fold alone.
Cost:    400 epochs for each stage of each fold's search, on smaller networks than ST-BLN's
Ours:    what the paper leaves open is in configs/recipes/pst_bln.py.
"""

from configs import stbln_ckplus
from configs.recipes import pst_bln


def get_config():
    return pst_bln.grown(stbln_ckplus.get_config())
