"""ResNet50 with bilinear pooling that tells valence, arousal and dominance of FER+ faces.

Prepare: python -m preprocess ferplus --source DIR --out data/ferplus
Run:     python run.py --config configs/bilinear_resnet50_bilinear_vad.py
         It begins with random weights; from ImageNet's:
         --config.pretrained=timm/resnet50.tv_in1k --config.model.pixels=imagenet
Paper:   RMSE / MAE / r .74420 / .50908 / .93361 valence, .57892 / .39557 / .90696 arousal,
         .60678 / .42085 / .87661 dominance, 89.98% within 1;
         trained from VGGFace2 weights.
Cost:    100 epochs of 28,559 faces of 224 pixels: a GPU.
The paper's dominance labels are not those of its norms (docs/data.md): ours deviate less.
"""

from configs import base


def get_config():
    return base.get_bilinear("resnet50", "bilinear", "vad")
