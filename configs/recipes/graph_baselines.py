"""ST-GCN, AGCN and DGNN as the ST-BLN paper compares them: on landmarks, with ST-BLN's recipe.

All readings of the paper: docs/papers/graph_baselines.md.

Papers: Yan, Xiong & Lin, AAAI 2018 (ST-GCN); Shi et al., CVPR 2019 (AGCN, DGNN). The ST-BLN paper
(Heidari & Iosifidis, MMSP 2021, tables I to III) gives their figures but no separate recipe.
The paper's: depth and widths as ST-BLN. Ours: recipe, frames and protocol of ST-BLN on the same
data, no dropout; S and T of DGNN are trained from the first epoch (its code leaves them as they
begin for 10: `--config.optimizer.freeze_graph_epochs=10`).
"""

import importlib
import importlib.util

from ml_collections import ConfigDict


def get_config(model: str, method: str, prefix: str, dataset: str) -> ConfigDict:
    """A baseline with the protocol and the recipe of ST-BLN on a dataset.

    Args:
      model: key of `fer_jax.systems.SYSTEMS`.
      method: name in tables.
      prefix: of the experiment's name, before the name of the dataset.
      dataset: of a config `stbln_DATASET`, or the name of own clips, see stbln_manifest.py.
    """
    config = _st_bln(dataset)
    config.name, config.method = f"{prefix}_{dataset}", method
    fields = {"name": model, "widths": config.model.widths, "dropout": 0.0}
    fields["kernel_size"], fields["dtype"] = config.model.kernel_size, config.model.dtype
    with config.unlocked():
        config.model = ConfigDict(fields)
        del config.search
    return config


def _st_bln(dataset: str) -> ConfigDict:
    own = f"configs.stbln_{dataset}"
    if dataset.isidentifier() and importlib.util.find_spec(own):
        return importlib.import_module(own).get_config()
    return importlib.import_module("configs.stbln_manifest").get_config(dataset)
