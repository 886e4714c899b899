"""A small STC-NLSTM on videos drawn from BUHMAP's real motion (8 classes), 3 subject folds.

Prepare: python -m preprocess manifest --source MANIFEST.csv --render --crops 64 \\
             --out data/buhmap_crops (docs/data/datasets.md)
Run:     python run.py --config configs/stcnlstm_buhmap.py
Variants: :stc :lstm :slstm :densenet (the paper's rows), :layers3 :layers4 :layers6, :steps
Paper:   none. Motion and labels are BUHMAP's; the faces are drawn.
"""

from configs import stcnlstm_manifest


def get_config(variant: str = "full"):
    config = stcnlstm_manifest.get_config(f"buhmap,{variant}")
    config.data.path = "data/buhmap_crops"
    return config
