"""Memory of the compiled training step, with the options that reduce it."""

from __future__ import annotations

from benchmarks import sides
from benchmarks.pairs import SYSTEMS
from benchmarks.rows import WAYS, Row
from fer_jax.training.parallel import memory_bytes
from fer_jax.training.program import count_parameters

ROOM = 8  # GiB
HEADING = (
    "| memory, MiB | option | parameters, momentum | training step | each further clip "
    f"| most clips in {ROOM} GiB |\n|---|---|---|---|---|---|"
)


def lines(row: Row) -> str:
    """Returns a Markdown line for each of the row's `ways`; the last column is extrapolated."""
    pair, found = SYSTEMS[row.system](**row.options), []
    for way in row.ways:
        options = dict(WAYS[way])
        divided = options.pop("parts", False)
        few, many = (
            sides.Ours(pair, size, 1, **options, parts=size if divided else 1)
            for size in (row.batch, 2 * row.batch)
        )
        need, more = (memory_bytes(each.compile_step()) / 2**20 for each in (few, many))
        parameters = 4 * count_parameters(few.states_shape.params)[0] / 2**20
        clip = (more - need) / row.batch
        most = int(row.batch + (1024 * ROOM - need) // clip)
        found.append(
            f"| {row.system}, {row.size} | {way} | {2 * parameters:.0f} | {need:.0f} | {clip:.3g} "
            f"| {most} |"
        )
    return "\n".join(found)
