"""ResNet50 with global average pooling that tells valence and arousal of FER+ faces.

Prepare: python -m preprocess ferplus --source DIR --out data/ferplus
Run:     python run.py --config configs/bilinear_resnet50_global_va.py
         It begins with random weights; from ImageNet's:
         --config.pretrained=timm/resnet50.tv_in1k --config.model.pixels=imagenet
Paper:   RMSE / MAE / r .84067 / .59136 / .91488 valence, .66772 / .47654 / .87444 arousal,
         85.60% within 1;
         trained from VGGFace2 weights, out of the network for three dimensions:
         --config.pretrained=runs/bilinear_resnet50_global_vad/model begins with ours.
Cost:    100 epochs of 28,559 faces of 224 pixels: a GPU.
"""

from configs import base


def get_config():
    return base.get_bilinear("resnet50", "global", "va")
