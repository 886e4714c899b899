"""PST-BLN on LSE_GFE: searches the topology on all signers but one.

Prepare: python -m preprocess manifest --source MANIFEST.csv --out data/lse
Run:     python run.py --config configs/pstbln_lse.py
Then:    python run.py --config runs/pstbln_lse/found.py (leave one subject out)
Paper:   none, see configs/stbln_lse.py.
"""

from configs import pstbln_manifest


def get_config():
    return pstbln_manifest.get_config("lse")
