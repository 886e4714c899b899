"""PST-BLN on Oulu-CASIA VIS strong: searches a topology in each of the 10 folds.

Prepare: python -m preprocess oulu --source DIR --out data/oulu (docs/data/datasets.md)
Run:     python run.py --config configs/pstbln_oulu.py
Then:    python run.py --config runs/pstbln_oulu/found.py (the topology of the first fold,
         from scratch in all ten)
Paper:   table II, rows PST-BLN: fer-jax reproduce st_bln table2
Graph:   each edge once, 181 for the mean face; the published code lists 309 with repeats:
         --config.data.graph=reference
--config.search.folds=first searches in the first fold alone.
Cost:    400 epochs for each stage of each fold's search, on smaller networks than ST-BLN's
Ours:    what the paper leaves open is in configs/recipes/pst_bln.py.
"""

from configs import stbln_oulu
from configs.recipes import pst_bln


def get_config():
    return pst_bln.grown(stbln_oulu.get_config())
