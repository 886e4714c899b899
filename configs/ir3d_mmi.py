"""3D Inception-ResNet with landmarks on MMI (6 classes, every 10 frames of a video).

Prepare: python -m preprocess mmi --source DIR --out data/mmi_crops299 --crops 299 \\
             --framing box
Run:     python run.py --config configs/ir3d_mmi.py
Variants: :plain (without landmarks), :still (the 2-D network frame by frame)
Paper:   table 1, 5 subject folds: fer-jax reproduce inception_resnet_3d table1
         :plain is evaluated on a random fifth of the subjects, as in the paper; five folds:
         --config.protocol.name=subject_kfold
Frames:  videos begin and end neutral; these clips have the video's label too, as in the paper.
         --config.data.frame_rule=apex_pieces leaves them out.
Cost:    as configs/ir3d_ckplus.py
Ours:    what the paper leaves open is in configs/recipes/inception_resnet_3d.py.
"""

from configs.recipes import inception_resnet_3d


def get_config(variant: str = "full"):
    return inception_resnet_3d.get_config("mmi", variant)
