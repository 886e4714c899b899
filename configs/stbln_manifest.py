"""ST-BLN on your own clips, prepared in data/NAME; leaves one subject out at a time.

Prepare: python -m preprocess manifest --source FILE.csv --out data/NAME
Run:     python run.py --config configs/stbln_manifest.py:NAME
Variants: :NAME
Paper:   none. Ours: 8 frames spread over a clip, 50 epochs, motion instead of position.
NAME is what files, messages and reports call the dataset. Fixed splits in the CSV are used with
--config.protocol.name=holdout, action units with --config.task=action_units
--config.data.frame_rule=windows --config.data.features=position.
"""

from configs.recipes import st_bln


def get_config(name: str = "manifest"):
    config = st_bln.get_small(name, frames=8, epochs=50)
    config.data.features = "motion"  # people differ more in their faces than in their movements
    config.protocol.folds = 0
    return config
