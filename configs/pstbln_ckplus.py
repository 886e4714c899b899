"""PST-BLN on CK+: searches the topology on the training subjects of the first fold.

Prepare: python -m preprocess ckplus --source DIR --out data/ckplus (docs/data/datasets.md)
Run:     python run.py --config configs/pstbln_ckplus.py
Then:    python run.py --config runs/pstbln_ckplus/found.py (trains the result in all ten folds)
Paper:   93.34 with MC dropout, 93.10 without, 9.79k parameters without U (PST-BLN, table III).
Graph:   each edge once; --config.data.graph=reference repeats them as published (303 edges).
Ours:    what the paper leaves open is in configs/recipes/pst_bln.py.
"""

from configs import stbln_ckplus
from configs.recipes import pst_bln


def get_config():
    return pst_bln.grown(stbln_ckplus.get_config())
