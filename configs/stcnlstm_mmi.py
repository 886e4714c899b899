"""STC-NLSTM on MMI (6 classes, 205 frontal clips), 10 subject folds, 4 times.

Prepare: python -m preprocess mmi --source DIR --out data/mmi_crops64 --crops 64 \\
             --framing eyes
Run:     python run.py --config configs/stcnlstm_mmi.py
Variants: :stc :lstm :slstm :densenet (the paper's rows), :layers3 :layers4 :layers6, :steps
Paper:   table 7, apparently with folds of sequences (--config.protocol.name=by_sequence):
         fer-jax reproduce stc_nlstm table7
Cost:    40 trainings of 500 epochs; a batch needs 1.5 GB for the first layer's maps (a GPU).
The peak is in the middle: DenseNet takes the middle frame, not the last ones.
Ours:    what the paper leaves open is in configs/recipes/stc_nlstm.py.
"""

from configs.recipes import stc_nlstm


def get_config(variant: str = "full"):
    config = stc_nlstm.get_config("mmi", variant)
    config.data.frames_per_second = 10.0
    return config
