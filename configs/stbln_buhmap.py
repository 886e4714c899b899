"""ST-BLN on BUHMAP (8 classes, 360 clips, 9 people), leave one subject out.

Prepare: python -m preprocess manifest --source MANIFEST.csv --out data/buhmap
Run:     python run.py --config configs/stbln_buhmap.py
Paper:   none; three classes are facial affect, the rest acted head motions.
"""

from configs import stbln_manifest


def get_config():
    return stbln_manifest.get_config("buhmap")
