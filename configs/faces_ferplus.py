"""Eight emotions of single faces as distributions, learnt from the votes of FER+: ours.

Prepare: python -m preprocess ferplus --source DIR --out data/ferplus
Run:     python run.py --config configs/faces_ferplus.py
Task:    distribution: cross-entropy to the votes; scored on the images of which more than half of
         the votes agree, single ones dropped (25,060 / 3,199 / 3,153 in all).
Paper:   VGG13 on 64 pixels, trained on distributions of votes: accuracy 84.99% (test images,
         Barsoum et al., ICMI 2016).
Ours:    a VGG of eight convolutions for faces of 44 pixels, fast on a CPU; random rotation, zoom,
         shift, mirroring, light and erasing; the mean of a face and its mirror image. Where the
         release has no test images, the validation images are evaluated.
Cost:    50 epochs of 28,553 images, 2 to 3 hours on 2 CPU cores (the log says how long); resumable.
"""

from configs.recipes import bilinear_cnn

STAGES = ((32, 1), (64, 2), (96, 3), (192, 2))


def get_config():
    config = bilinear_cnn.get_small("global", "vad")
    config.name, config.method = "faces_ferplus", "small VGG"
    config.task, config.data.classes = "distribution", ()
    config.data.crop_size = 44
    config.model.update({"stages": STAGES, "features": 0, "dropout": 0.4})
    config.augment.update(
        {"degrees": 15.0, "zoom": 0.12, "brightness": 0.2, "contrast": 0.3, "erase": 0.4}
    )
    config.optimizer.update(
        {"name": "sgd", "learning_rate": 0.1, "nesterov": True, "weight_decay": 5e-4,
         "decay": "kernels", "schedule": "cosine", "warmup_epochs": 2.0}
    )  # fmt: skip
    config.train.update({"batch_size": 128, "epochs": 50, "select_checkpoint": "last"})
    return config
