"""A small ST-BLN for the 18 action units of synthetic faces, fixed subject-disjoint splits.

Prepare: python -m preprocess synthetic --out data/synthetic_rendered --render
Run:     python run.py --config configs/stbln_synthetic_units.py
Paper:   none. A quarter of an hour on 2 CPU cores.
"""

from configs.recipes import st_bln


def get_config():
    config = st_bln.get_small("synthetic", frames=8, epochs=40)
    config.name = "stbln_synthetic_units"
    config.task, config.data.path = "action_units", "data/synthetic_rendered"
    config.data.frame_rule, config.data.window_strides = "windows", (4, 4)
    config.model.widths, config.train.batch_size = (20, 15), 32
    # units may be one-sided, so faces are mirrored; landmarks of drawn faces need no more noise
    config.augment.update({"enabled": True, "noise": 0.0, "degrees": 0.0})
    config.protocol.name = "holdout"
    return config
