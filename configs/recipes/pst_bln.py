"""PST-BLN: grows the topology of ST-BLN instead of taking given widths.

Paper: Heidari & Iosifidis, "Progressive Spatio-Temporal Bilinear Network with Monte Carlo Dropout
for Landmark-based Facial Expression Recognition with Uncertainty Estimation", MMSP 2021,
section III-C. The paper's: blocks of 5 channels, both thresholds 1e-4, and the recipe of ST-BLN for
every stage. Ours: the limits on layers and blocks, far above what the paper found, and that the
search sees only the training clips of the first fold.
"""

from ml_collections import ConfigDict

SEARCH = {
    "enabled": False,  # True: grows the topology instead of taking model.widths
    "epochs": 400,  # of every stage; the fine-tuning at the end takes train.epochs
    "block_size": 5,  # channels that a layer begins with and gains at a time
    "width_threshold": 1e-4,  # least relative fall of the training loss by a block
    "depth_threshold": 1e-4,  # and by a layer
    "max_layers": 10,
    "max_blocks": 50,  # of a layer
}


def grown(config: ConfigDict, **search) -> ConfigDict:
    """Turns a config of ST-BLN into the PST-BLN search on the same data.

    Args:
      config: of an experiment "stbln_DATASET".
      search: fields of `SEARCH` that differ; `epochs` is else that of `train`.
    """
    config.name = f"p{config.name}"
    config.method = "PST-BLN"
    config.search.update({"enabled": True, **search})
    return config


def grown_small(config: ConfigDict, epochs: int) -> ConfigDict:
    """The same with few layers and blocks, which takes minutes."""
    return grown(config, epochs=epochs, max_layers=4, max_blocks=4)
