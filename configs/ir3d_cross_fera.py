"""3D Inception-ResNet with landmarks learnt from CK+, MMI and DISFA, scored on GEMEP-FERA.

Prepare: python -m preprocess fera --source DIR --out data/fera_crops299 --crops 299,
         and ckplus, mmi and disfa alike
Run:     python run.py --config configs/ir3d_cross_fera.py
         configs/ir3d_cross_fera.py:plain is without landmarks, :still the 2-D network
Paper:   41.93, learnt from everybody: --config.protocol.folds=0. Here every fifth person of the
         data sets learnt from is held out, to choose the abstain threshold on and to show how
         much doubt rises on the unseen one.
Cost:    as configs/ir3d_fera.py
Clips of relief, which the others do not show, are left out and counted.
"""

from configs import base


def get_config(variant: str = "full"):
    return base.get_ir3d_cross("fera", ("ckplus", "mmi", "disfa"), variant)
