"""ST-BLN on your own clips, prepared in data/NAME; leaves one subject out at a time.

Prepare: python -m preprocess manifest --source FILE.csv --out data/NAME
Run:     python run.py --config configs/stbln_manifest.py:NAME
Variants: :NAME
Paper:   none. Ours: 8 evenly spaced frames, 50 epochs, motion instead of position.
NAME is the name of the dataset in files, messages and reports. For fixed splits in the CSV:
--config.protocol.name=holdout; for action units: --config.task=action_units
--config.data.frame_rule=windows --config.data.features=position.
"""

from configs.recipes import st_bln


def get_config(name: str = "manifest"):
    config = st_bln.get_small(name, frames=8, epochs=50)
    config.data.features = "motion"  # faces differ more between subjects than movements
    config.protocol.folds = 0
    return config
