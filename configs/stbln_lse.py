"""ST-BLN on LSE_GFE (3 classes, 354 clips, 10 signers), leave one signer out.

Prepare: python -m preprocess manifest --source MANIFEST.csv --out data/lse
Run:     python run.py --config configs/stbln_lse.py
Paper:   none; grammatical expressions of Spanish sign language: open and closed question, negation.
"""

from configs import stbln_manifest


def get_config():
    return stbln_manifest.get_config("lse")
