"""3D Inception-ResNet with landmarks learnt from CK+, GEMEP-FERA and DISFA, scored on MMI.

Prepare: python -m preprocess mmi --source DIR --out data/mmi_crops299 --crops 299,
         and ckplus, fera and disfa alike
Run:     python run.py --config configs/ir3d_cross_mmi.py
         configs/ir3d_cross_mmi.py:plain is without landmarks, :still the 2-D network
Paper:   54.76, learnt from everybody: --config.protocol.folds=0. Here every fifth person of the
         data sets learnt from is held out, to choose the abstain threshold on and to show how
         much doubt rises on the unseen one.
Cost:    as configs/ir3d_mmi.py
"""

from configs import base


def get_config(variant: str = "full"):
    return base.get_ir3d_cross("mmi", ("ckplus", "fera", "disfa"), variant)
