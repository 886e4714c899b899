"""Damaged and hostile files: weights, descriptions, prepared data, manifests, pictures."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import pathlib
import resource
import shutil
import time

import numpy as np
from flax import serialization
from PIL import Image

import fer_jax
from benchmarks.faults import bundles
from benchmarks.field.inputs import Answer, Inputs, Row, command, line_with
from fer_jax.data import load

FLIPS = 30


def _copy(inputs: Inputs, name: str) -> pathlib.Path:
    return pathlib.Path(shutil.copytree(inputs.bundle, inputs.folder / name))


def _load_error(bundle: pathlib.Path) -> str:
    try:
        fer_jax.load_model(bundle)
    except ValueError as error:
        return str(error)
    return ""


def _nan_weights(inputs: Inputs) -> Answer:
    copy = _copy(inputs, "nan")
    weights = serialization.msgpack_restore((copy / "weights.msgpack").read_bytes())
    weights.pop("sha256", None)
    leaf = weights["params"]
    while isinstance(leaf, dict):
        parent, name = leaf, sorted(leaf)[0]
        leaf = leaf[name]
    parent[name] = np.full_like(leaf, np.nan)
    (copy / "weights.msgpack").write_bytes(serialization.msgpack_serialize(weights))
    _without_checksums(copy)
    line = line_with(_load_error(copy), "NaN")
    return Answer(line, f"'{name}'" in line)


def _without_checksums(bundle: pathlib.Path) -> None:
    content = json.loads((bundle / "model.json").read_text())
    content.pop("sha256", None)
    (bundle / "model.json").write_text(json.dumps(content))


def _flipped_bits(inputs: Inputs) -> Answer:
    rng, refused = np.random.default_rng(0), 0
    whole = (inputs.bundle / "weights.msgpack").read_bytes()
    copy = _copy(inputs, "flipped")
    for _ in range(FLIPS):
        (copy / "weights.msgpack").write_bytes(whole)
        bundles.flip(copy / "weights.msgpack", rng)
        refused += "weights.msgpack" in _load_error(copy)
    return Answer(f"{refused} of {FLIPS} refused by name", refused == FLIPS)


def _bad_rows(inputs: Inputs) -> Answer:
    folder = inputs.scratch("rows")
    shutil.copy(inputs.data / "csvs" / "ok.csv", folder / "a.csv")
    shutil.copy(inputs.data / "csvs" / "offset.csv", folder / "b.csv")
    (folder / "loop").symlink_to(folder / "loop")
    paths = ["a.csv", "a\0.csv", "loop", "x" * 300 + ".csv", "b.csv"]
    rows = ["path,subject,label", *(f"{path},p{n},{'ab'[n % 2]}" for n, path in enumerate(paths))]
    (folder / "clips.csv").write_text("\n".join(rows))
    out = folder / "out"
    code, _ = command("prepare", "manifest", "--source", folder / "clips.csv", "--out", out,
                      "--workers", 1)  # fmt: skip
    report = json.loads((out / "report.json").read_text())
    kept, dropped = report["counts"]["kept"], report["counts"]["dropped"]
    numbered = all(f"row {row}" in json.dumps(report) or f"line {row}" in json.dumps(report)
                   for row in (3, 4, 5))  # fmt: skip
    said = f"{kept} kept, {dropped} dropped, with their rows: {'yes' if numbered else 'no'}"
    return Answer(said, code == 0 and (kept, dropped) == (2, 3) and numbered)


def _lost_class(inputs: Inputs) -> Answer:
    copy = inputs.folder / "lost_class"
    shutil.copytree(inputs.small.prepared, copy)
    file = copy / "label.labels.txt"
    file.write_text("\n".join(file.read_text().splitlines()[:-1]) + "\n")
    (copy / "checksums.json").unlink()
    try:
        load.load_clips(copy, 4, "uniform")
    except (ValueError, load.NotPreparedError) as error:
        line = line_with(str(error), "label")
        return Answer(line, bool(line))
    return Answer("loaded", False)


def _pipe(inputs: Inputs) -> Answer:
    pipes = [inputs.folder / "pipe.mp4", inputs.folder / "pipe.csv"]
    for pipe in pipes:
        os.mkfifo(pipe)
    started = time.monotonic()
    table, notes = inputs.predict(*pipes, "/dev/zero")
    seconds = time.monotonic() - started
    skipped = notes.count("skipped: ")
    said = f"{skipped} of 3 skipped in {seconds:.1f} s; {line_with(notes, 'pipe.mp4')}"
    return Answer(said, skipped == 3 and not len(table) and seconds < 10)


def _huge_picture(inputs: Inputs) -> Answer:
    file = inputs.folder / "huge.png"
    Image.MAX_IMAGE_PIXELS, limit = None, Image.MAX_IMAGE_PIXELS
    try:
        Image.new("1", (30_000, 30_000)).save(file)
    finally:
        Image.MAX_IMAGE_PIXELS = limit
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    _, notes = inputs.predict(file)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    line = line_with(notes, "skipped")
    return Answer(f"{line}; {grown:.0f} MiB more", "more than 100 million" in line and grown < 100)


def _hostile_names(inputs: Inputs) -> Answer:
    file, out = inputs.folder / "=HYPERLINK('x')\x1b[31m.csv", inputs.folder / "names.csv"
    shutil.copy(inputs.data / "csvs" / "ok.csv", file)
    with contextlib.chdir(inputs.folder):
        code, text = command("predict", inputs.bundle, file.name, "--out", out)
    with out.open(newline="") as stream:
        cell = next(csv.DictReader(stream))["clip"]
    safe = cell.startswith("'=") and "\x1b" not in cell + text
    return Answer(f"exit code {code}, the cell is {cell}", code == 0 and safe)


def _hostile_bundle(inputs: Inputs) -> Answer:
    values = {
        "classes": "abc", "edges": [[-1, 2]], "frames": 2**40, "threshold": "NaN", "task": "x",
        "window_seconds": 0, "bundle_version": -1, "model": {"name": "../x"}, "reference": [[0.5]],
    }  # fmt: skip
    whole = json.loads((inputs.bundle / "model.json").read_text())
    values = {name: value for name, value in values.items() if name in whole}
    copy, lines = _copy(inputs, "hostile"), 0
    for name, value in values.items():
        content = {n: v for n, v in whole.items() if n != "sha256"} | {name: value}
        (copy / "model.json").write_text(json.dumps(content))
        error = _load_error(copy)
        lines += bool(error) and error.count("\n") < 3
    said = f"{lines} of {len(values)} refused in a few lines: {', '.join(values)}"
    return Answer(said, len(values) > 4 and lines == len(values))


ROWS = [
    Row("F1", "NaN in weights", "one leaf of a bundle", _nan_weights),
    Row("F2", "flipped bits", f"{FLIPS} bits of weights.msgpack", _flipped_bits),
    Row("F5", "bad rows of a manifest", "NUL, loop of links, 300 characters", _bad_rows, slow=True),
    Row("F6", "a lost class", "label.labels.txt without its last line", _lost_class, slow=True),
    Row("F7", "named pipes, devices", "pipe.mp4, pipe.csv, /dev/zero", _pipe),
    Row("F8", "a picture of 900 megapixels", "huge.png", _huge_picture),
    Row("F9", "hostile names", "=HYPERLINK('x'), ESC", _hostile_names),
    Row("F9b", "hostile model.json", "values of other kinds", _hostile_bundle),
]
