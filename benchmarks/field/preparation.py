"""Manifests, scripts and checkpoints."""

from __future__ import annotations

import json
import shutil

from benchmarks.faults import runs
from benchmarks.field.inputs import Answer, Inputs, Row, command, line_with, python

SCRIPT = """
import sys
import fer_jax
fer_jax.prepare("manifest", sys.argv[1], out=sys.argv[2], workers=2)
"""


def _spelling(inputs: Inputs) -> Answer:
    source, out = inputs.data / "manifests" / "spell.csv", inputs.folder / "spelling"
    code, text = command("prepare", "manifest", "--source", source, "--out", out, "--workers", 1)
    report = json.loads((out / "report.json").read_text())
    notes = [note for note in report["notes"] if "alike" in note or "same" in note]
    subjects = [n for n in notes if "001" in n and "S01" in n]
    classes = [n for n in notes if "Happy" in n and "HAPPY" in n]
    said = "; ".join([*subjects[:1], *classes[:1]]) or line_with(text, "note")
    return Answer(said, code == 0 and bool(subjects) and bool(classes))


def _column_names(inputs: Inputs) -> Answer:
    source, out = inputs.data / "manifests" / "colname.csv", inputs.folder / "columns"
    code, text = command("prepare", "manifest", "--source", source, "--out", out)
    line = line_with(text, "named like a column")
    return Answer(f"exit code {code}: {line}", code == 1 and bool(line) and not out.exists())


def _no_main_guard(inputs: Inputs) -> Answer:
    folder = inputs.scratch("unguarded")
    rows = ["path,subject,label"]
    for index, name in enumerate(("vfr.mp4", "vfr.webm", "cut.mp4")):
        rows.append(f"{inputs.data / name},p{index},{'ab'[index % 2]}")
    (folder / "clips.csv").write_text("\n".join(rows))
    (folder / "script.py").write_text(SCRIPT)
    done = python(folder / "script.py", folder / "clips.csv", folder / "out")
    if done.returncode:
        return Answer(done.stdout[-300:], False)
    counts = json.loads((folder / "out" / "report.json").read_text())["counts"]
    return Answer(f"{counts['kept']} of 3 videos prepared", counts["kept"] == 3)


def _damaged_checkpoint(inputs: Inputs) -> Answer:
    small, copy = inputs.small, inputs.folder / "emptied"
    shutil.copytree(small.workdir, copy)
    shutil.rmtree(copy / "folds")
    for name in ("metrics.json", "report.md", "predictions.csv"):
        (copy / name).unlink()
    files = sorted(copy.rglob("checkpoints/**/*.msgpack"), key=lambda file: int(file.stem))
    files[-1].write_bytes(b"")
    code, text = command(*small.train_arguments(copy))
    line = line_with(text, "is damaged")
    same = code == 0 and runs.agree(runs.table_of(copy), runs.table_of(small.workdir))
    said = f"{line}; exit code {code}, {'the same table' if same else 'another table'}"
    return Answer(said, same and len(files) == 2 and bool(line))


ROWS = [
    Row("spelling", "spelling of people and classes", "spell.csv", _spelling, slow=True),
    Row("columns", "classes named like columns", "colname.csv", _column_names),
    Row("guard", "script without a main guard", "fer_jax.prepare, 2 workers", _no_main_guard,
        slow=True),
    Row("checkpoint", "damaged checkpoint", "the last one emptied", _damaged_checkpoint,
        slow=True),
]  # fmt: skip
