"""PST-BLN on CK+: searches the topology on the training subjects of the first fold.

Prepare: python -m preprocess ckplus --source DIR --out data/ckplus (docs/data.md)
Run:     python run.py --config configs/pstbln_ckplus.py
Then:    python run.py --config runs/pstbln_ckplus/found.py (trains what was found in all ten folds)
Paper:   93.34 with MC dropout, 93.10 without, 9.79k parameters without U (PST-BLN, table III).
"""

from configs import stbln_ckplus


def get_config():
    config = stbln_ckplus.get_config()
    config.name = "pstbln_ckplus"
    config.method = "PST-BLN"
    config.search.enabled = True
    return config
