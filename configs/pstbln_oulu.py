"""PST-BLN on Oulu-CASIA VIS strong: searches the topology on the training subjects of fold 1.

Prepare: python -m preprocess oulu --source DIR --out data/oulu (docs/data/datasets.md)
Run:     python run.py --config configs/pstbln_oulu.py
Then:    python run.py --config runs/pstbln_oulu/found.py (trains the result in all ten folds)
Paper:   79.79 with MC dropout, 78.74 without, 7.59k parameters without U (PST-BLN, table II).
Graph:   each edge once; --config.data.graph=reference repeats them as published (309 edges).
Ours:    what the paper leaves open is in configs/recipes/pst_bln.py.
"""

from configs import stbln_oulu
from configs.recipes import pst_bln


def get_config():
    return pst_bln.grown(stbln_oulu.get_config())
