"""STC-NLSTM on BP4D as FERA 2015 divides it (11 action units, 41 people), scored on development.

Prepare: python -m preprocess bp4d --source DIR --out data/bp4d_crops64 --crops 64
Run:     python run.py --config configs/stcnlstm_bp4d.py
         configs/stcnlstm_bp4d.py:stc, :lstm, :slstm are its other readings
Paper:   mean F1 0.58 on the test partition, whose labels are not public: ours is that of the
         development partition (20 people, 71,261 frames).
Windows of 18 frames, labelled at the last: one every 9 frames to learn from, one at every frame
scored. The paper does not say how it cut its clips.
Cost:    500 epochs of 8,400 windows (a GPU).
"""

from configs import base


def get_config(variant: str = "full"):
    config = base.get_stcnlstm("bp4d", variant, frames=18)
    config.task = "action_units"
    config.data.frame_rule = "windows"
    config.train.evaluation_epochs = 25  # what is scored is eight times what an epoch learns from
    config.protocol.name = "holdout"
    config.protocol.repeats = 1
    return config
