"""ResNet50 with global average pooling that tells valence, arousal and dominance of FER+ faces.

Prepare: python -m preprocess ferplus --source DIR --out data/ferplus
Run:     python run.py --config configs/bilinear_resnet50_global_vad.py
         It begins with random weights; from ImageNet's:
         --config.pretrained=timm/resnet50.tv_in1k --config.model.pixels=imagenet
Paper:   RMSE / MAE / r .86386 / .61081 / .90916 valence, .68851 / .49335 / .86440 arousal,
         .67653 / .48890 / .84289 dominance, 84.72% within 1;
         trained from VGGFace2 weights.
Cost:    100 epochs of 28,559 faces of 224 pixels: a GPU.
The paper's dominance labels are not those of its norms (docs/data.md): ours deviate less.
"""

from configs import base


def get_config():
    return base.get_bilinear("resnet50", "global", "vad")
