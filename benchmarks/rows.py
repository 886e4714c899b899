"""The rows of `python -m benchmarks.speed`: network, size and measurement."""

from __future__ import annotations

import dataclasses

CLEAN, REFERENCE = {"edges": 181}, {"edges": 309}  # graph without and with repeated edges
# Options of `sides.Ours` in the table of memory; `parts` divides a batch into single clips.
WAYS = {
    "float32": {},
    "remat": {"remat": True},
    "bfloat16": {"dtype": "bfloat16"},
    "bfloat16, remat": {"dtype": "bfloat16", "remat": True},
    "clip by clip": {"parts": True},
}


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of a table.

    Attributes:
      system: key of `pairs.SYSTEMS`.
      size: for the table.
      what: "forward" (pass), "step" (of training), "mc" (all MC samples), "memory" (of a training
        step) or "search".
      batch: clips.
      options: of the pair.
      mirror: options of the mirror, if they differ.
      steps: training steps of ours in one compiled call.
      goal: target ratio to the mirror; 0 for none.
      repeats: timed calls of each side.
      ways: keys of `WAYS`, for "memory".
    """

    system: str
    size: str
    what: str
    batch: int
    options: dict = dataclasses.field(default_factory=dict)
    mirror: dict = dataclasses.field(default_factory=dict)
    steps: int = 1
    goal: float = 0.0
    repeats: int = 5
    ways: tuple[str, ...] = ("float32", "remat")

    @property
    def name(self) -> str:
        return f"{self.system}, {self.size}, {self.what}"


def _both(system: str, size: str, batch: int, options: dict, steps: int, **fields) -> list[Row]:
    """Forward pass, training step and memory of one size."""
    return [
        Row(system, size, "forward", batch, options, **fields),
        Row(system, size, "step", batch, options, steps=steps, **fields),
        Row(system, size, "memory", batch, options, **fields),
    ]


def _st_bln(system: str) -> list[Row]:
    """Short and long clips on the same graph, then with ours on the clean graph."""
    short, long = {"frames": 4}, {"frames": 150}
    rows = [
        Row(system, "T=4, B=128", "step", 128, short, steps=4, goal=1.2),
        Row(system, "T=4, B=128", "forward", 128, short),
        Row(system, "T=4, one clip", "forward", 1, short, repeats=20),
        Row(system, "T=4, B=32", "mc", 32, short, goal=1.5, repeats=3),
        Row(system, "T=150, B=16", "step", 16, long, steps=3, goal=1.5, repeats=3),
        Row(system, "T=150, one clip", "forward", 1, long, repeats=20),
        Row(system, "T=150, one clip", "mc", 1, long, goal=1.5, repeats=2),
    ]
    clean = [
        dataclasses.replace(
            row, size=f"{row.size}, clean graph", options=row.options | CLEAN, mirror=REFERENCE,
            goal=3.0 if row.name == "ST-BLN, T=4, B=128, step" else 4.0,
        )
        for row in rows if row.goal
    ]  # fmt: skip
    if system != "ST-BLN":  # the goals are for ST-BLN
        return [dataclasses.replace(row, goal=0.0) for row in rows]
    return rows + clean


_BASELINES = ("ST-GCN", "AGCN", "original ST-GCN", "DGNN")
_SMALL_VGG = {"stages": ((16, 1), (32, 1), (64, 1), (64, 1)), "features": 64, "side": 56}
_SMALL_STC = {"channels": (16,) * 5, "hidden": 32, "frames": 8}
_EIGHTH = {"divisor": 8, "hidden": 25, "side": 96}
_SMALL_BILINEAR = {"stages": ((32, 1), (64, 1), (128, 1), (128, 1)), "side": 64}

# The small sizes are those of the configs of synthetic faces.
ROWS: dict[str, list[Row]] = {
    "st_bln": _st_bln("ST-BLN"),
    "pst_bln": _st_bln("PST-BLN"),
    "search": [Row("PST-BLN", "at CK+ size", "search", 128)],
    "graph_baselines": [Row(each, "T=4, B=128", "step", 128, steps=4) for each in _BASELINES],
    "fer_gcn": [
        *_both("FER-GCN", "VGG16, 224 px, B=1", 1, {}, 1, goal=0.9),
        *_both("FER-GCN", "small, 56 px, B=8", 8, _SMALL_VGG, 4, goal=0.9),
    ],
    "stc_nlstm": [
        *_both("STC-NLSTM", "paper, 18 x 64 x 64, B=4", 4, {}, 2, goal=0.9),
        *_both("STC-NLSTM", "small, 8 x 64 x 64, B=8", 8, _SMALL_STC, 4, goal=0.9),
    ],
    "inception_resnet_3d": [
        *_both(
            "3D Inception-ResNet", "paper, 10 x 299 x 299, B=1", 1, {}, 1,
            goal=0.9, repeats=3, ways=tuple(WAYS),
        ),
        *_both("3D Inception-ResNet", "an eighth, 10 x 96 x 96, B=4", 4, _EIGHTH, 4,
               goal=0.9, repeats=7, ways=tuple(WAYS)),
        *_both("3D Inception-ResNet", "an eighth, 10 x 96 x 96, B=8", 8, _EIGHTH, 4,
               goal=0.9, repeats=7, ways=("float32",)),
    ],
    "bilinear_cnn": [
        *(
            row
            for compact in ("full", "triangle", "reduced", "low_rank")
            for row in _both("bilinear head", f"{compact}, B=50", 50, {"compact": compact}, 4,
                             goal=1.0, ways=("float32",))
        ),
        *_both("bilinear CNN", "small, 64 px, B=50", 50, _SMALL_BILINEAR, 4, ways=("float32",)),
        *_both("bilinear CNN", "VGG16, 224 px, B=2", 2, {}, 2, ways=("float32",)),
    ],
}  # fmt: skip
