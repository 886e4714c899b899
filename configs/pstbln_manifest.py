"""PST-BLN on your own clips, prepared in data/NAME: searches the topology on all subjects but one.

Prepare: python -m preprocess manifest --source FILE.csv --out data/NAME
Run:     python run.py --config configs/pstbln_manifest.py:NAME
Then:    python run.py --config runs/pstbln_NAME/found.py (leave one subject out)
Variants: :NAME
Paper:   none. Ours: as configs/stbln_manifest.py, at most 4 layers of 4 blocks, 20 epochs a stage,
in the first fold alone (--config.search.folds=all: in every fold).
"""

from configs import stbln_manifest
from configs.recipes import pst_bln


def get_config(name: str = "manifest"):
    return pst_bln.grown_small(stbln_manifest.get_config(name), epochs=20)
