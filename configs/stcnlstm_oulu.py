"""STC-NLSTM on Oulu-CASIA (6 classes, 480 clips, 80 subjects), 10 subject folds, 4 times.

Prepare: python -m preprocess oulu --source DIR --out data/oulu_crops64 --crops 64 \\
             --framing eyes
Run:     python run.py --config configs/stcnlstm_oulu.py
Variants: :stc :lstm :slstm :densenet (the paper's rows), :layers3 :layers4 :layers6, :steps
Paper:   table 5, apparently with folds of sequences (--config.protocol.name=by_sequence):
         fer-jax reproduce stc_nlstm table5
Cost:    40 trainings of 500 epochs; a batch needs 1.5 GB for the first layer's maps (a GPU).
Ours:    what the paper leaves open is in configs/recipes/stc_nlstm.py.
"""

from configs.recipes import stc_nlstm


def get_config(variant: str = "full"):
    return stc_nlstm.get_config("oulu", variant)
