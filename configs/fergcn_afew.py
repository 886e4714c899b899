"""FER-GCN on AFEW 8.0 (7 classes, 773 training and 383 validation clips), trained on train.

Prepare: python -m preprocess afew --source DIR --out data/afew_crops --crops 256
Run:     python run.py --config configs/fergcn_afew.py --config.pretrained=WEIGHTS
         (WEIGHTS: VGG16-BN of ImageNet, a .safetensors file or timm/vgg16_bn.tv_in1k)
Variants: :vgg16 :modules1 :modules2 :modules3 (as in table V, not given for AFEW), :mcd (ours)
Paper:   table VI, of other input: fer-jax reproduce fer_gcn table6
Input:   crops as for the other datasets; the paper prepares AFEW as Lu et al. (ICMI 2018).
Cost:    120 epochs: 15 minutes on an H100, see docs/speed.md
Ours:    what the paper leaves open is in configs/recipes/fer_gcn.py.
"""

from configs.recipes import fer_gcn


def get_config(variant: str = "full"):
    config = fer_gcn.get_config("afew", variant)
    config.protocol.name = "holdout"
    return config
