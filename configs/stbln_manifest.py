"""ST-BLN on your own clips, prepared in data/NAME; leaves one subject out at a time.

Prepare: python -m preprocess manifest --source FILE.csv --out data/NAME
Run:     python run.py --config configs/stbln_manifest.py:NAME
Variants: :NAME
Paper:   none. Ours: the recipe `get_study` of configs/recipes/st_bln.py. For the paper's seven
         layers: --config.model.widths='(8, 16, 16, 32, 32, 64, 64)'
NAME is the name of the dataset in files, messages and reports. For fixed splits in the CSV:
--config.protocol.name=holdout; for action units: --config.task=action_units
--config.data.frame_rule=windows --config.data.features=position.
"""

from configs.recipes import st_bln


def get_config(name: str = "manifest"):
    return st_bln.get_study(name)
