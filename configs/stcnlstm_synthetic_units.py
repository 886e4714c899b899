"""A small STC-NLSTM for the 18 action units of synthetic faces, fixed subject-disjoint splits.

Prepare: python -m preprocess synthetic --out data/synthetic_crops --crops 64
Run:     python run.py --config configs/stcnlstm_synthetic_units.py
Variants: :stc :lstm :slstm (the paper's other rows)
Paper:   none. Minutes on 2 CPU cores.
"""

from configs import stcnlstm_synthetic


def get_config(variant: str = "full"):
    config = stcnlstm_synthetic.get_config(variant)
    config.name = config.name.replace("synthetic", "synthetic_units")
    config.task = "action_units"
    config.data.frame_rule = "windows"
    config.data.frames = 6
    config.data.window_strides = (20, 10)
    config.optimizer.learning_rate = 0.001
    config.train.epochs, config.optimizer.lr_milestones = 20, (16,)
    return config
