"""3D Inception-ResNet with landmarks learnt from CK+, MMI and GEMEP-FERA, scored on DISFA.

Prepare: python -m preprocess disfa --source DIR --out data/disfa_crops299 --crops 299,
         and ckplus, mmi and fera alike
Run:     python run.py --config configs/ir3d_cross_disfa.py
         configs/ir3d_cross_disfa.py:plain is without landmarks, :still the 2-D network
Paper:   40.51, learnt from everybody: --config.protocol.folds=0. Here every fifth person of the
         data sets learnt from is held out, to choose the abstain threshold on and to show how
         much doubt rises on the unseen one.
Cost:    as configs/ir3d_disfa.py
Clips of neutral, which the others do not show, are left out and counted.
"""

from configs import base


def get_config(variant: str = "full"):
    return base.get_ir3d_cross("disfa", ("ckplus", "mmi", "fera"), variant)
