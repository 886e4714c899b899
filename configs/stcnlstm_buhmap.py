"""A small STC-NLSTM on videos drawn from BUHMAP's real motion (8 classes), 3 subject folds.

Prepare: python -m preprocess manifest --source MANIFEST.csv --render --crops 64 \\
             --out data/buhmap_crops (docs/data.md)
Run:     python run.py --config configs/stcnlstm_buhmap.py
         configs/stcnlstm_buhmap.py:stc, :lstm, :slstm, :densenet are the paper's other rows,
         :layers3, :layers4, :layers6 its study of the depth
Paper:   none. Motion and labels are BUHMAP's; the people are drawn.
"""

from configs import stcnlstm_synthetic


def get_config(variant: str = "full"):
    config = stcnlstm_synthetic.get_config(variant)
    config.name = config.name.replace("synthetic", "buhmap")
    config.data.dataset, config.data.path = "buhmap", "data/buhmap_crops"
    config.protocol.name = "subject_kfold"
    config.protocol.folds = 3
    return config
