"""Bilinear CNN on FER+: valence, arousal and dominance of faces, official division.

Prepare: python -m preprocess ferplus --source DIR --out data/ferplus
Run:     python run.py --config configs/bilinear_ferplus.py:vgg16,bilinear,vad
Variants: one of :vgg16 :resnet50 :small, of :bilinear :global, of :vad :va, of :a2 :a0 (a of the
         loss, equation 2; a0 is its ablation), joined by commas
Paper:   tables II to IV: fer-jax reproduce bilinear_cnn. Its networks for two dimensions start from
         those for three.
Ours:    small: a small VGG from scratch on faces of 48 pixels. The others start from random
         weights, the paper's from VGG-Face (VGG16) or VGGFace2 (ResNet50):
         --config.pretrained=WEIGHTS.safetensors, docs/systems/bilinear_cnn.md says which files
         fit. To start from ImageNet, add --config.model.pixels=imagenet
         (ResNet50: timm/resnet50.tv_in1k); from ours for three dimensions:
         --config.pretrained=runs/bilinear_vgg16_bilinear_vad/model
Cost:    100 epochs of 28,559 faces of 224 pixels: a GPU; small: under an hour on 2 CPU cores
         (docs/results.md).
The paper's dominance labels differ from its norms (docs/papers/bilinear_cnn.md); ours vary less.
"""

from configs.recipes import bilinear_cnn

PARTS = (("vgg16", "resnet50", "small"), bilinear_cnn.POOLINGS[::-1], ("vad", "va"), ("a2", "a0"))


def get_config(variant: str = "vgg16,bilinear,vad"):
    words = variant.split(",")
    unknown = [word for word in words if not any(word in part for part in PARTS)]
    if unknown or any(len(set(part) & set(words)) > 1 for part in PARTS):
        raise ValueError(f"variant {variant!r} is unknown: join at most one of each of {PARTS}")
    trunk, pooling, dimensions, loss = (
        next((word for word in part if word in words), part[0]) for part in PARTS
    )
    absolute = float(loss[1:])
    if trunk != "small":
        return bilinear_cnn.get_config(trunk, pooling, dimensions, absolute)
    config = bilinear_cnn.get_small(pooling, dimensions, absolute)
    chosen = [word for word in (pooling, dimensions, loss) if word not in ("bilinear", "vad", "a2")]
    config.name = "_".join(["bilinear_small", *chosen])
    return config
