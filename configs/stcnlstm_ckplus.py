"""STC-NLSTM on CK+ (6 classes, no contempt: 309 clips), 10 subject folds, 4 times.

Prepare: python -m preprocess ckplus --source DIR --out data/ckplus_crops64 --crops 64 \\
             --framing eyes
Run:     python run.py --config configs/stcnlstm_ckplus.py
Variants: :stc :lstm :slstm :densenet (the paper's rows), :layers3 :layers4 :layers6, :steps
Paper:   table 3, apparently with folds of sequences (--config.protocol.name=by_sequence):
         fer-jax reproduce stc_nlstm table3
Cost:    40 trainings of 500 epochs; a batch needs 1.2 GB for the first layer's maps (a GPU).
Ours:    what the paper leaves open is in configs/recipes/stc_nlstm.py.
"""

from configs.recipes import stc_nlstm
from fer_jax.faces.labels import EMOTIONS


def get_config(variant: str = "full"):
    config = stc_nlstm.get_config("ckplus", variant, frames=18)
    config.data.classes = EMOTIONS
    return config
