"""PST-BLN on BUHMAP: searches the topology on all subjects but one.

Prepare: python -m preprocess manifest --source MANIFEST.csv --out data/buhmap
Run:     python run.py --config configs/pstbln_buhmap.py
Then:    python run.py --config runs/pstbln_buhmap/found.py (leave one subject out)
Paper:   none, see configs/stbln_buhmap.py.
"""

from configs import pstbln_manifest


def get_config():
    return pstbln_manifest.get_config("buhmap")
