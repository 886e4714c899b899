"""FER-GCN on CK+ (7 classes, 327 clips, 118 subjects), 10 subject folds.

Prepare: python -m preprocess ckplus --source DIR --out data/ckplus_crops --crops 256
Run:     python run.py --config configs/fergcn_ckplus.py --config.pretrained=WEIGHTS
         (WEIGHTS: VGG16-BN of ImageNet, a .safetensors file or timm/vgg16_bn.tv_in1k)
Variants: :vgg16 :modules1 :modules2 :modules3 (table V), :mcd (ours: with dropout)
Paper:   99.54 (FER-GCN, table V; 97.78, 98.39, 99.09, 99.00 in the order above).
Ours:    what the paper leaves open is in configs/recipes/fer_gcn.py.
"""

from configs.recipes import fer_gcn


def get_config(variant: str = "full"):
    return fer_gcn.get_config("ckplus", variant)
