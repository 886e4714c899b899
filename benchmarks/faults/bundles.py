"""Bundles with flipped bits, and bundles with hostile descriptions."""

from __future__ import annotations

import json
import pathlib
import shutil
from collections.abc import Iterator

import numpy as np

import fer_jax
from benchmarks.faults import judge
from benchmarks.faults.material import Material

HOSTILE = (
    None, True, -1, 0, 0.5, 2**40, 10**400, float("nan"), float("inf"), "", "x" * 10**6,
    "\x1b[31mred\x1b[0m", "=HYPERLINK('x')", "../../etc/passwd", [], [None], [-1], [[1, 2, 3]], {},
    {"a": {"b": 1}}, [[0, 10**9]] * 3, ["a", "a"],
)  # fmt: skip


def flips(material: Material, count: int, seed: int) -> Iterator[judge.Case]:
    """Flips one random bit in a random file of the bundle, then loads it and predicts."""
    expected, rng = _rows(material.bundle, material.csv), np.random.default_rng(seed)
    for index in range(count):
        copy = _copy(material)
        file = rng.choice(sorted(path for path in copy.rglob("*") if path.is_file()))
        position, bit = flip(file, rng)
        what = f"seed {seed}, case {index}: byte {position}, bit {bit} of {file.name}"
        yield _judged(what, copy, material.csv, expected)


def hostile(material: Material, count: int, seed: int) -> Iterator[judge.Case]:
    """Replaces one random value of model.json by a hostile one, then loads and predicts.

    A value may be as good as the one before (another name, another threshold): rows that differ are
    only told, they are no fault.
    """
    expected, rng = _rows(material.bundle, material.csv), np.random.default_rng(seed)
    for index in range(count):
        copy = _copy(material)
        content = json.loads((copy / "model.json").read_text())
        del content["sha256"]  # who changes a file on purpose leaves out its checksum
        part = rng.choice(sorted(content))  # the config alone has more values than all else
        paths = [path for path in _paths(content) if path[0] == part]
        path = paths[rng.integers(len(paths))]
        value = HOSTILE[rng.integers(len(HOSTILE))]
        _put(content, path, value)
        (copy / "model.json").write_text(json.dumps(content))
        what = f"seed {seed}, case {index}: {'.'.join(map(str, path))} = {str(value)[:60]!r}"
        case = _judged(what, copy, material.csv, expected)
        if case.end == "changed":
            print(f"accepted, other rows: {what}", flush=True)
            case = case._replace(end="same")
        yield case


def flip(file: pathlib.Path, rng) -> tuple[int, int]:
    """Flips one random bit of a file; returns its byte and its bit."""
    content = bytearray(file.read_bytes())
    position, bit = int(rng.integers(len(content))), int(rng.integers(8))
    content[position] ^= 1 << bit
    file.write_bytes(content)
    return position, bit


def _judged(what: str, bundle: pathlib.Path, csv: pathlib.Path, expected) -> judge.Case:
    return judge.judge(what, lambda: _rows(bundle, csv), lambda rows: rows == expected)


def _rows(bundle: pathlib.Path, csv: pathlib.Path) -> str:
    """Returns the table of a prediction; refuses as the command does."""
    try:
        model = fer_jax.load_model(bundle)
    except ValueError as error:
        raise SystemExit(str(error)) from None
    said: list[str] = []
    table = fer_jax.predict_clips(model, csv, mc_samples=4, say=said.append)
    if not len(table):
        raise SystemExit("\n".join(said))
    return table.to_csv(index=False)


def _copy(material: Material) -> pathlib.Path:
    copy = material.folder / "damaged"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(material.bundle, copy)
    return copy


def _paths(content, before: tuple = ()) -> Iterator[tuple]:
    """Yields the paths of all values of a JSON document, of long lists only the first."""
    items = content.items() if isinstance(content, dict) else enumerate(content[:2])
    for key, value in items:
        yield (*before, key)
        if isinstance(value, dict | list):
            yield from _paths(value, (*before, key))


def _put(content, path: tuple, value) -> None:
    for key in path[:-1]:
        content = content[key]
    content[path[-1]] = value
