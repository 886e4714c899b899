"""A small STC-NLSTM on videos of synthetic faces (7 classes), fixed subject-disjoint splits.

Prepare: python -m preprocess synthetic --out data/synthetic_crops --crops 64
Run:     python run.py --config configs/stcnlstm_synthetic.py
         configs/stcnlstm_synthetic.py:stc, :lstm, :slstm, :densenet are the paper's other rows,
         :layers3, :layers4, :layers6 its study of the depth
Paper:   none. Minutes on 2 CPU cores. The peak is in the middle: DenseNet sees that frame.
"""

from configs import base


def get_config(variant: str = "full"):
    config = base.get_stcnlstm("synthetic", variant, frames=8)
    config.data.path = "data/synthetic_crops"
    config.model.dropout = 0.2  # in front of the classifier, for MC dropout
    if variant == "densenet":
        config.model.update({"blocks": (2, 4, 4, 2), "growth": 8, "initial": 16})
    else:
        config.model.channels = (16,) * len(config.model.channels)
        config.model.hidden = 32
    config.optimizer.name = "adam"  # begins to learn earlier
    # at 0.001 nets without BatchNorm do not begin to learn from some first weights
    config.optimizer.learning_rate = 0.001 if variant == "densenet" else 0.0003
    config.optimizer.drop_at, config.optimizer.drop_factor = (24,), 0.1
    config.train.batch_size = 8
    config.train.epochs = 30
    config.protocol.name = "holdout"
    config.protocol.repeats = 1
    return config
