"""Options of the pairs for `--small`: toys that take the same paths as the systems."""

TOYS = {
    "ST-BLN": {"frames": 5, "edges": 7, "widths": (4,)},
    "PST-BLN": {"frames": 9, "edges": 7, "widths": (6, 4)},
    "AGCN": {"widths": (4, 8)},
    "ST-GCN": {"widths": (4,)},
    "DGNN": {"widths": (4,)},
    "FER-GCN": {"stages": ((4, 1), (4, 1)), "features": 8, "side": 8, "frames": 4},
    "STC-NLSTM": {"channels": (4, 4), "hidden": 4, "frames": 3, "side": 16},
    # over few pixels BatchNorm amplifies the noise of bfloat16
    "3D Inception-ResNet": {
        "divisor": 32,
        "hidden": 4,
        "side": 49,
        "frames": 2,
        "batch_norm": False,
    },
    "bilinear CNN": {"side": 8, "features": 4, "stages": ((4, 1), (6, 1))},
}  # fmt: skip
