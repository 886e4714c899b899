"""ST-GCN (spatio-temporal graph convolution) on any landmark dataset, with ST-BLN's recipe there.

Prepare: see configs/stbln_DATASET.py; for own clips configs/stbln_manifest.py
Run:     python run.py --config configs/stgcn.py:DATASET
Variants: :afew :buhmap :ckplus :lse :oulu :ravdess :synthetic, or :NAME for clips in data/NAME
Paper:   ST-BLN, tables I to III, row ST-GCN: fer-jax reproduce st_bln
The original block of Yan et al. instead of the ST-BLN paper's:
         --config.model.original=True --config.method="original ST-GCN" --config.name=original
The square graph matrices are the same for --config.data.graph=clean and reference.
Ours:    what the paper leaves open is in configs/recipes/graph_baselines.py.
"""

from configs.recipes import graph_baselines


def get_config(dataset: str = "buhmap"):
    config = graph_baselines.get_config("st_gcn", "ST-GCN", "stgcn", dataset)
    with config.unlocked():
        config.model.original = False
    return config
