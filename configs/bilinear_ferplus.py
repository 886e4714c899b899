"""Bilinear CNN on FER+: valence, arousal and dominance of faces, official division.

Prepare: python -m preprocess ferplus --source DIR --out data/ferplus
Run:     python run.py --config configs/bilinear_ferplus.py:vgg16,bilinear,vad
Variants: one of :vgg16 :resnet50 :small, of :bilinear :global, of :vad :va, of :a2 :a0 (a of the
         loss, equation 2; a0 is its ablation), joined by commas
Paper:   RMSE / MAE / r of valence, arousal and dominance, share within 1; the networks for two
         dimensions start from those for three.
  vgg16,global,vad       .95684 .69693 .88706 | .72218 .52767 .84867 | .71722 .53520 .81796 | 81.03%
  vgg16,bilinear,vad     .90108 .63394 .90054 | .67111 .47746 .87071 | .68155 .48778 .83787 | 85.00%
  resnet50,global,vad    .86386 .61081 .90916 | .68851 .49335 .86440 | .67653 .48890 .84289 | 84.72%
  resnet50,bilinear,vad  .74420 .50908 .93361 | .57892 .39557 .90696 | .60678 .42085 .87661 | 89.98%
  vgg16,global,va        .92381 .66761 .89536 | .69702 .50194 .85973 | 81.90%
  vgg16,bilinear,va      .87395 .61468 .90713 | .65678 .46290 .87674 | 84.75%
  resnet50,global,va     .84067 .59136 .91488 | .66772 .47654 .87444 | 85.60%
  resnet50,bilinear,va   .74111 .50712 .93418 | .57488 .39182 .90796 | 89.26%
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
