"""PST-BLN on BUHMAP: searches the topology on all people but one.

Prepare: python -m preprocess manifest --source MANIFEST.csv --out data/buhmap
Run:     python run.py --config configs/pstbln_buhmap.py
Then:    python run.py --config runs/pstbln_buhmap/found.py (leaves out every person in turn)
Paper:   none, see configs/stbln_buhmap.py.
"""

from configs import stbln_buhmap


def get_config():
    config = stbln_buhmap.get_config()
    config.name = "pstbln_buhmap"
    config.method = "PST-BLN"
    config.search.enabled = True
    config.search.epochs = 20
    config.search.max_layers, config.search.max_blocks = 4, 4  # keep it to minutes
    return config
