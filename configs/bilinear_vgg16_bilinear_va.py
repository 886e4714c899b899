"""VGG16 with bilinear pooling that tells valence and arousal of FER+ faces.

Prepare: python -m preprocess ferplus --source DIR --out data/ferplus
Run:     python run.py --config configs/bilinear_vgg16_bilinear_va.py
         It begins with random weights; from ImageNet's:
         --config.pretrained=WEIGHTS.safetensors --config.model.pixels=imagenet
Paper:   RMSE / MAE / r .87395 / .61468 / .90713 valence, .65678 / .46290 / .87674 arousal,
         84.75% within 1;
         trained from VGG-Face weights, out of the network for three dimensions:
         --config.pretrained=runs/bilinear_vgg16_bilinear_vad/model begins with ours.
Cost:    100 epochs of 28,559 faces of 224 pixels: a GPU.
"""

from configs import base


def get_config():
    return base.get_bilinear("vgg16", "bilinear", "va")
