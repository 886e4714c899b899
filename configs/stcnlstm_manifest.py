"""A small STC-NLSTM on your own clips, prepared with crops in data/NAME; 3 subject folds.

Prepare: python -m preprocess manifest --source FILE.csv --crops 64 --out data/NAME
Run:     python run.py --config configs/stcnlstm_manifest.py:NAME
Variants: :NAME, or :NAME,VARIANT (stc lstm slstm densenet layers3 layers4 layers6 steps)
Paper:   none. For crops of another size: --config.data.crop_size=0; for action units:
         --config.task=action_units --config.data.frame_rule=windows
"""

from configs.recipes import stc_nlstm


def get_config(choice: str = "manifest"):
    name, _, variant = choice.partition(",")
    config = stc_nlstm.get_small(name, variant or "full")
    config.data.path = f"data/{name}"
    config.protocol.folds = 3
    return config
