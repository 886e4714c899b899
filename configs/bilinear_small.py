"""A small VGG-like network on FER+ as it is, 48 pixels, from scratch: global or bilinear pooling.

Prepare: python -m preprocess ferplus --source DIR --out data/ferplus
Run:     python run.py --config configs/bilinear_small.py
         configs/bilinear_small.py:global is the same network with global average pooling
Paper:   none; its networks are larger and know faces before.
Cost:    under an hour on 2 CPU cores (docs/results.md).
"""

from configs import base


def get_config(pooling: str = "bilinear"):
    if pooling not in base.BILINEAR_POOLINGS:
        raise ValueError(f"{pooling!r} is unknown: use one of {list(base.BILINEAR_POOLINGS)}")
    config = base.get_bilinear("vgg16", pooling, "vad")
    config.name = "bilinear_small" + ("" if pooling == "bilinear" else f"_{pooling}")
    config.method = f"small VGG, {pooling} pooling"
    config.model.update(
        {"stages": ((24, 2), (48, 2), (96, 2)), "batch_norm": True, "size": 0,
         "pixels": "symmetric", "features": 128}
    )  # fmt: skip
    config.optimizer.name = "adam"
    config.optimizer.drop_at = (6, 8)
    config.optimizer.drop_factor = 0.2
    config.train.epochs = 10
    return config
