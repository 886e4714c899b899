"""STC-NLSTM on Oulu-CASIA (6 classes, 480 clips, 80 subjects), 10 subject folds, 4 times.

Prepare: python -m preprocess oulu --source DIR --out data/oulu_crops64 --crops 64
Run:     python run.py --config configs/stcnlstm_oulu.py
         configs/stcnlstm_oulu.py:stc, :lstm, :slstm, :densenet are the paper's other rows,
         :layers3, :layers4, :layers6 its study of the depth
Paper:   93.45 +- 0.43 (STC-NLSTM; 84.72, 88.98, 90.12, 87.28 in the order above), divided by
         sequence as it seems: --config.protocol.name=by_sequence is to be compared with these.
Cost:    40 trainings of 500 epochs; a batch needs 1.5 GB for the first layer's maps alone (a GPU).
"""

from configs import base


def get_config(variant: str = "full"):
    return base.get_stcnlstm("oulu", variant)
