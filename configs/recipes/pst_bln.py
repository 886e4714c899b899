"""PST-BLN: searches the topology of ST-BLN progressively.

All readings of the paper: docs/papers/st_bln.md.

Paper: Heidari & Iosifidis, "Progressive Spatio-Temporal Bilinear Network with Monte Carlo Dropout
for Landmark-based Facial Expression Recognition with Uncertainty Estimation", MMSP 2021,
section III-C. The paper's: blocks of 5 channels, both thresholds 1e-4, the recipe of ST-BLN for
every stage, and a search of its own in every fold. Ours: the limits on layers and blocks, far above
the paper's topologies.
"""

from ml_collections import ConfigDict

SEARCH = {
    "enabled": False,  # True: searches the topology instead of using model.widths
    "folds": "all",  # as in the paper: a topology for each fold; or "first": that fold alone
    "epochs": 400,  # of every stage; the final fine-tuning takes train.epochs
    "block_size": 5,  # channels of a block
    "width_threshold": 1e-4,  # smallest relative decrease of the training loss by a block
    "depth_threshold": 1e-4,  # and by a layer
    "max_layers": 10,
    "max_blocks": 50,  # of a layer
}


def grown(config: ConfigDict, **search) -> ConfigDict:
    """Turns a config of ST-BLN into the PST-BLN search on the same data.

    Args:
      config: of an experiment "stbln_DATASET".
      search: fields that differ from `SEARCH`.
    """
    config.name = f"p{config.name}"
    config.method = "PST-BLN"
    config.search.update({"enabled": True, **search})
    return config


def grown_small(config: ConfigDict, epochs: int) -> ConfigDict:
    """The same with few layers and blocks, in the first fold alone: in minutes."""
    return grown(config, epochs=epochs, max_layers=4, max_blocks=4, folds="first")
