"""STC-NLSTM on BP4D as FERA 2015 divides it (11 action units, 41 people), evaluated on development.

Prepare: python -m preprocess bp4d --source DIR --out data/bp4d_crops64 --crops 64 \\
             --framing eyes
Run:     python run.py --config configs/stcnlstm_bp4d.py
Variants: :stc :lstm :slstm (the paper's other rows)
Paper:   table 9, mean F1 on the test partition, whose labels are not public: ours is that of
         the development partition (20 people, 71,261 frames). fer-jax reproduce stc_nlstm table9
Ours:    windows of 18 frames with the label of the last: every 9 frames in training, every frame in
         evaluation. The paper does not describe its windows.
Cost:    500 epochs of 8,400 windows (a GPU).
"""

from configs.recipes import stc_nlstm


def get_config(variant: str = "full"):
    config = stc_nlstm.get_config("bp4d", variant, frames=18)
    config.task = "action_units"
    config.data.frame_rule = "windows"
    config.train.eval_every_epochs = 25  # an evaluation has eight times the windows of an epoch
    config.protocol.name, config.protocol.repeats = "holdout", 1
    return config
