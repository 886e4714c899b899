"""ResNet50 with bilinear pooling that tells valence and arousal of FER+ faces.

Prepare: python -m preprocess ferplus --source DIR --out data/ferplus
Run:     python run.py --config configs/bilinear_resnet50_bilinear_va.py
         It begins with random weights; from ImageNet's:
         --config.pretrained=timm/resnet50.tv_in1k --config.model.pixels=imagenet
Paper:   RMSE / MAE / r .74111 / .50712 / .93418 valence, .57488 / .39182 / .90796 arousal,
         89.26% within 1;
         trained from VGGFace2 weights, out of the network for three dimensions:
         --config.pretrained=runs/bilinear_resnet50_bilinear_vad/model begins with ours.
Cost:    100 epochs of 28,559 faces of 224 pixels: a GPU.
"""

from configs import base


def get_config():
    return base.get_bilinear("resnet50", "bilinear", "va")
