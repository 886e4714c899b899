"""Memory of a training step, with and without rematerialisation, and largest batches."""

from __future__ import annotations

import functools
from collections.abc import Iterator

from benchmarks import pairs, sides
from benchmarks.gpu.toys import TOYS
from fer_jax.training.parallel import memory_bytes

BATCHES = {  # two batch sizes, whose difference in memory gives that of a clip
    "FER-GCN": (8, 16),
    "STC-NLSTM": (16, 32),
    "3D Inception-ResNet": (8, 16),
    "bilinear CNN": (32, 64),
}
CARDS = (8, 24, 80)  # GiB


def measure(system: str, small: bool) -> Iterator[dict]:
    """Yields the memory of a step and of each further clip, without and with rematerialisation."""
    pair = pairs.SYSTEMS[system](**(TOYS[system] if small else {}))
    batches, remats = ((1,), (True,)) if small else (BATCHES[system], (False, True))
    ways = [(remat, batch) for remat in remats for batch in batches]
    programs = sides.side_by_side(
        functools.partial(sides.Ours(pair, batch, 1, "bfloat16", remat).compile_step, sides.quick())
        for remat, batch in ways
    )
    need = {way: memory_bytes(program) for way, program in zip(ways, programs, strict=True)}
    for remat in remats:
        few, many = batches[0], batches[-1]
        clip = (need[remat, many] - need[remat, few]) / max(many - few, 1)
        rest = need[remat, few] - few * clip
        yield {
            "remat": "yes" if remat else "no",
            "each clip, MiB": clip / 2**20,
            "besides, MiB": rest / 2**20,
            **{
                f"clips in {card} GiB": int((card * 2**30 - rest) // clip) if clip else "-"
                for card in CARDS
            },
        }
