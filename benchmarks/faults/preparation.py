"""Preparation: prepared data with flipped bits, hostile manifests, landmark files and media."""

from __future__ import annotations

import os
import pathlib
import shutil
from collections.abc import Iterator

import numpy as np

from benchmarks.faults import bundles, judge
from benchmarks.faults.material import Material
from fer_jax import commands
from fer_jax.data import load
from fer_jax.faces.landmark_csv import read_landmark_csv
from fer_jax.faces.sequence import ClipError
from fer_jax.synthetic.clips import make_clip, render, write_video
from preprocess.clip import Clip
from preprocess.read import read_clip

_CELLS = (
    "", " ", "nan", "inf", "-1", "1e400", "\0", "\x1b[2J", "../..", "/dev/zero", "loop", "pipe.csv",
    "x" * 300, "x" * 5000, "a" * 200_000, "a,b", '"', "start", "clip", "ﬀ", "\u202egnp", "𝟙", ".",
)  # fmt: skip
_GOOD = "good"
_NUMBERS = ("", "nan", "inf", "-inf", "-5", "0", "1e18", "1e400", "x", "0,5", "1.5", "\0", '"')


def flips(material: Material, count: int, seed: int) -> Iterator[judge.Case]:
    """Flips one random bit in a random file of the prepared data, then loads them for training."""
    expected, rng = _loaded(material.prepared), np.random.default_rng(seed)
    for index in range(count):
        copy = material.folder / "damaged_data"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(material.prepared, copy, ignore=shutil.ignore_patterns(".*"))
        file = rng.choice(sorted(copy.iterdir()))
        position, bit = bundles.flip(file, rng)
        what = f"seed {seed}, case {index}: byte {position}, bit {bit} of {file.name}"
        yield judge.judge(what, lambda path=copy: _loaded(path), lambda got: got == expected)


def _loaded(path: pathlib.Path) -> tuple:
    """Everything that training reads of a dataset, as bytes; refuses as the command does."""
    try:
        clips = load.load_clips(path, 4, "uniform", "synthetic")
    except (load.NotPreparedError, ValueError) as error:
        raise SystemExit(str(error)) from None
    arrays = (clips.landmarks, clips.labels, clips.seconds, clips.graph.edges)
    names = (clips.clip_ids, clips.subjects, clips.splits, clips.classes)
    return (*(array.tobytes() for array in arrays), *map(tuple, names))


def manifests(material: Material, count: int, seed: int) -> Iterator[judge.Case]:
    """Puts hostile cells, or bytes, into one row of a manifest: the other rows must be kept."""
    rng = np.random.default_rng(seed)
    folder = material.folder / "manifests"
    _fresh(folder, material)
    for index in range(count):
        rows = [["a.csv", "p1", "joy"], ["b.csv", "p2", "fear"], ["c.csv", "p3", "joy"]]
        column, value = int(rng.integers(3)), str(rng.choice(_CELLS))
        rows[1][column] = value
        text = "\n".join(map(",".join, [["path", "subject", "label"], *rows])).encode()
        least = 2
        if rng.integers(4) == 0:  # a byte may lie in another row
            least = 1
            text = bytearray(text)
            text[int(rng.integers(len(text)))] = int(rng.integers(256))
        (folder / "clips.csv").write_bytes(text)
        what = f"seed {seed}, case {index}: column {column} = {value[:40]!r}"
        yield judge.judge(what, lambda: _prepared(folder), lambda kept, least=least: kept >= least)


def _fresh(folder: pathlib.Path, material: Material) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name in "abc":
        shutil.copy(material.csv, folder / f"{name}.csv")
    (folder / "loop").symlink_to(folder / "loop")
    os.mkfifo(folder / "pipe.csv")


def _prepared(folder: pathlib.Path) -> float:
    """Prepares a manifest; returns the number of clips kept, or the exit code if it was refused."""
    out = folder / "out"
    arguments = ["prepare", "manifest", "--source", str(folder / "clips.csv"), "--out", str(out)]
    if code := commands.main([*arguments, "--overwrite", "--workers", "1"]):
        return code
    clips = load.load_clips(out, 4, "uniform")
    return float(len(clips))


def landmark_files(material: Material, count: int, seed: int) -> Iterator[judge.Case]:
    """Damages an OpenFace CSV: cells, columns, order of rows, bytes; it is read or refused."""
    rng = np.random.default_rng(seed)
    lines, file = material.csv.read_text().splitlines(), material.folder / "hostile.csv"
    for index in range(count):
        kind = ("cell", "column", "order", "byte", "end")[index % 5]
        file.write_bytes(_hostile_table(kind, lines, rng))
        what = f"seed {seed}, case {index}: {kind}"
        yield judge.judge(
            what, lambda: _read(lambda: read_landmark_csv(file)[0]), lambda said: said == _GOOD
        )


def _hostile_table(kind: str, lines: list[str], rng) -> bytes:
    cells = [line.split(",") for line in lines]
    column, value = int(rng.integers(6)), str(rng.choice(_NUMBERS))
    if kind == "cell":
        cells[int(rng.integers(len(cells)))][column] = value
    if kind == "column":
        for row in cells[1:]:
            row[column] = value
    if kind == "order":
        cells = [cells[0], *(cells[row] for row in rng.integers(1, len(cells), len(cells)))]
    content = bytearray("\n".join(map(",".join, cells)).encode())
    if kind == "byte":
        content[int(rng.integers(len(content)))] = int(rng.integers(256))
    return bytes(content[: int(rng.integers(len(content)))] if kind == "end" else content)


def media(material: Material, count: int, seed: int) -> Iterator[judge.Case]:
    """Damages bytes of a video or cuts it off; it is read or refused."""
    rng, clip = np.random.default_rng(seed), make_clip(0, 1, 3, frames=8)
    whole = {}
    for suffix in (".mp4", ".avi"):
        file = material.folder / f"hostile{suffix}"
        write_video(file, render(clip.true_landmarks, clip.identity), clip.fps)
        whole[file] = file.read_bytes()
    for index in range(count):
        file = list(whole)[index % len(whole)]
        content = bytearray(whole[file])
        for _ in range(int(rng.integers(1, 30))):
            content[int(rng.integers(len(content)))] = int(rng.integers(256))
        if rng.integers(3) == 0:
            content = content[: int(rng.integers(len(content)))]
        file.write_bytes(content)
        what = f"seed {seed}, case {index}: {file.name}"
        clip_of = Clip("hostile", "p", "joy", file)
        yield judge.judge(
            what, lambda c=clip_of: _read(lambda: read_clip(c)[0]), lambda said: said == _GOOD
        )


def _read(read) -> str:
    """Reads landmarks; says if one or a time is impossible, refuses as preparation does."""
    try:
        sequence = read()
    except ClipError as error:
        raise SystemExit(str(error)) from None
    if sequence.times is not None and not (np.diff(sequence.times) > 0).all():
        return "times that do not rise"
    return _GOOD if np.isfinite(sequence.landmarks).all() else "landmarks that are not finite"
