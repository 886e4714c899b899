"""FER-GCN on Oulu-CASIA (6 classes, 480 clips, 80 subjects), 10 subject folds.

Prepare: python -m preprocess oulu --source DIR --out data/oulu_crops --crops 256
Run:     python run.py --config configs/fergcn_oulu.py --config.pretrained=WEIGHTS
         (WEIGHTS: VGG16-BN of ImageNet, a .safetensors file or timm/vgg16_bn.tv_in1k)
Variants: :vgg16 :modules1 :modules2 :modules3 (table V), :mcd (ours: with dropout)
Paper:   tables I and V: fer-jax reproduce fer_gcn table5
Cost:    120 epochs of 10 folds: 75 minutes on an H100, see docs/speed.md
Ours:    what the paper leaves open is in configs/recipes/fer_gcn.py.
"""

from configs.recipes import fer_gcn


def get_config(variant: str = "full"):
    return fer_gcn.get_config("oulu", variant)
