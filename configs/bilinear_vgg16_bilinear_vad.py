"""VGG16 with bilinear pooling that tells valence, arousal and dominance of FER+ faces.

Prepare: python -m preprocess ferplus --source DIR --out data/ferplus
Run:     python run.py --config configs/bilinear_vgg16_bilinear_vad.py
         It begins with random weights; from ImageNet's:
         --config.pretrained=WEIGHTS.safetensors --config.model.pixels=imagenet
Paper:   RMSE / MAE / r .90108 / .63394 / .90054 valence, .67111 / .47746 / .87071 arousal,
         .68155 / .48778 / .83787 dominance, 85.00% within 1;
         trained from VGG-Face weights.
Cost:    100 epochs of 28,559 faces of 224 pixels: a GPU.
The paper's dominance labels are not those of its norms (docs/data.md): ours deviate less.
"""

from configs import base


def get_config():
    return base.get_bilinear("vgg16", "bilinear", "vad")
