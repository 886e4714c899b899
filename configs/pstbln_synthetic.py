"""PST-BLN on the embedded synthetic faces: searches the topology on the training split.

Prepare: python -m preprocess synthetic --out data/synthetic
Run:     python run.py --config configs/pstbln_synthetic.py
Then:    python run.py --config runs/pstbln_synthetic/found.py (trains what was found from scratch)
"""

from configs import stbln_synthetic


def get_config():
    config = stbln_synthetic.get_config()
    config.name = "pstbln_synthetic"
    config.method = "PST-BLN"
    config.search.enabled = True
    config.search.epochs = 10
    config.search.max_layers, config.search.max_blocks = 4, 4  # keep it to minutes
    return config
