"""PST-BLN on AFEW: searches the topology on the training split. It needs a GPU.

Prepare: python -m preprocess afew --source DIR --out data/afew (docs/data/datasets.md)
Run:     python run.py --config configs/pstbln_afew.py
Then:    python run.py --config runs/pstbln_afew/found.py (trains the result from scratch)
Paper:   table I, rows PST-BLN, apparently on 252 clips: fer-jax reproduce st_bln table1
         It found the topology {15, 10, 15, 5, 5, 10} on its graph of 312 edges.
Graph:   each edge once, 181 for the mean face; the published code lists 312 with repeats:
         --config.data.graph=reference
Ours:    what the paper leaves open is in configs/recipes/pst_bln.py.
"""

from configs import stbln_afew
from configs.recipes import pst_bln


def get_config():
    return pst_bln.grown(stbln_afew.get_config(), epochs=300)
