"""3D Inception-ResNet with landmarks learnt from MMI, GEMEP-FERA and DISFA, scored on CK+.

Prepare: python -m preprocess ckplus --source DIR --out data/ckplus_crops299 --crops 299,
         and mmi, fera and disfa alike
Run:     python run.py --config configs/ir3d_cross_ckplus.py
         configs/ir3d_cross_ckplus.py:plain is without landmarks, :still the 2-D network
Paper:   67.52, learnt from everybody: --config.protocol.folds=0. Here every fifth person of the
         data sets learnt from is held out, to choose the abstain threshold on and to show how
         much doubt rises on the unseen one.
Cost:    as configs/ir3d_ckplus.py
Clips of contempt, which the others do not show, are left out and counted.
"""

from configs import base


def get_config(variant: str = "full"):
    return base.get_ir3d_cross("ckplus", ("mmi", "fera", "disfa"), variant)
