"""VGG16 with global average pooling that tells valence, arousal and dominance of FER+ faces.

Prepare: python -m preprocess ferplus --source DIR --out data/ferplus
Run:     python run.py --config configs/bilinear_vgg16_global_vad.py
         It begins with random weights; from ImageNet's:
         --config.pretrained=WEIGHTS.safetensors --config.model.pixels=imagenet
Paper:   RMSE / MAE / r .95684 / .69693 / .88706 valence, .72218 / .52767 / .84867 arousal,
         .71722 / .53520 / .81796 dominance, 81.03% within 1;
         trained from VGG-Face weights.
Cost:    100 epochs of 28,559 faces of 224 pixels: a GPU.
The paper's dominance labels are not those of its norms (docs/data.md): ours deviate less.
"""

from configs import base


def get_config():
    return base.get_bilinear("vgg16", "global", "vad")
