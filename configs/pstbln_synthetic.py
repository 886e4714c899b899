"""PST-BLN on the embedded synthetic faces: searches the topology on the training split.

Prepare: python -m preprocess synthetic --out data/synthetic
Run:     python run.py --config configs/pstbln_synthetic.py
Then:    python run.py --config runs/pstbln_synthetic/found.py (trains the result from scratch)
Paper:   none. At most 4 layers of 4 blocks, minutes on 2 CPU cores.
"""

from configs import stbln_synthetic
from configs.recipes import pst_bln


def get_config():
    return pst_bln.grown_small(stbln_synthetic.get_config(), epochs=10)
