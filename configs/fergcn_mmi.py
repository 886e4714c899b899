"""FER-GCN on MMI (6 classes, 205 frontal clips), 10 subject folds; the peak is in the middle.

Prepare: python -m preprocess mmi --source DIR --out data/mmi_crops --crops 256
Run:     python run.py --config configs/fergcn_mmi.py --config.pretrained=WEIGHTS
         (WEIGHTS: VGG16-BN of ImageNet, a .safetensors file or timm/vgg16_bn.tv_in1k)
Variants: :vgg16 :modules1 :modules2 :modules3 (table V), :mcd (ours: with dropout)
Paper:   tables I and V: fer-jax reproduce fer_gcn table5
Cost:    120 epochs of 10 folds: 30 minutes on an H100, see docs/speed.md
Ours:    what the paper leaves open is in configs/recipes/fer_gcn.py.
"""

from configs.recipes import fer_gcn


def get_config(variant: str = "full"):
    return fer_gcn.get_config("mmi", variant)
