"""A small 3D Inception-ResNet on your own clips, prepared with crops in data/NAME; 5 subject folds.

Prepare: python -m preprocess manifest --source FILE.csv --crops 96 --out data/NAME
Run:     python run.py --config configs/ir3d_manifest.py:NAME
Variants: :NAME, or :NAME,plain (without landmarks) :NAME,still (the 2-D network frame by frame)
Paper:   none. An eighth of the widths. For crops of another size: --config.data.crop_size=0
"""

from configs.recipes import inception_resnet_3d


def get_config(choice: str = "manifest"):
    name, _, variant = choice.partition(",")
    config = inception_resnet_3d.get_config(name, variant or "full")
    config = inception_resnet_3d.shrink(config)
    config.data.path = f"data/{name}"
    return config
