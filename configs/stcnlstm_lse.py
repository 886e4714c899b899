"""A small STC-NLSTM on videos drawn from the motion of LSE_GFE (3 classes), 3 subject folds.

Prepare: python -m preprocess manifest --source MANIFEST.csv --render --crops 64 \\
             --out data/lse_crops (docs/data/datasets.md)
Run:     python run.py --config configs/stcnlstm_lse.py
Variants: :stc :lstm :slstm :densenet (the paper's other rows), :layers3 :layers4 :layers6, :steps
Paper:   none. Motion and labels are of LSE_GFE; the faces are drawn.
"""

from configs import stcnlstm_manifest


def get_config(variant: str = "full"):
    config = stcnlstm_manifest.get_config(f"lse,{variant}")
    config.data.path = "data/lse_crops"
    return config
