"""DGNN (directed graph network) on any landmark dataset, with ST-BLN's recipe there.

Prepare: see configs/stbln_DATASET.py; for own clips configs/stbln_manifest.py
Run:     python run.py --config configs/dgnn.py:DATASET
Variants: :afew :buhmap :ckplus :lse :oulu :ravdess :synthetic, or :NAME for clips in data/NAME
Paper:   ST-BLN, tables I to III, row DGNN: fer-jax reproduce st_bln
The published number of parameters needs the published graph: --config.data.graph=reference
The code of DGNN leaves S and T as they begin for 10 epochs; the papers do not say:
         --config.optimizer.freeze_graph_epochs=10
Ours:    what the paper leaves open is in configs/recipes/graph_baselines.py.
"""

from configs.recipes import graph_baselines


def get_config(dataset: str = "buhmap"):
    return graph_baselines.get_config("dgnn", "DGNN", "dgnn", dataset)
