"""Time and order: rates that vary, stamps of all kinds, rows and files in any order."""

from __future__ import annotations

import functools
import pathlib
import re
import shutil

import numpy as np

from benchmarks.field.inputs import Answer, Inputs, Row, line_with, same_rows


def _variable_rate(inputs: Inputs) -> Answer:
    tables, notes = zip(*(inputs.predict(inputs.data / f"vfr.{kind}") for kind in
                          ("mp4", "mkv", "webm")), strict=True)  # fmt: skip
    columns = ["start", "end", "frames"]
    agree = all((np.abs(table[columns] - tables[0][columns]) < 0.002).all(axis=None)
                for table in tables)  # fmt: skip
    ends = [table["end"].iloc[-1] for table in tables]
    rates = [table["frames"].iloc[place] / np.ptp(table[["start", "end"]].iloc[place])
             for table in tables[:1] for place in (0, -1)]  # fmt: skip
    said = f"rows end at {', '.join(f'{end:.2f}' for end in ends)} s; "
    said += f"{rates[0]:.0f} frames/s at the start, {rates[1]:.0f} at the end"
    right = agree and np.allclose(ends, 8.0, atol=0.02) and np.allclose(rates, (30, 10), atol=1)
    return Answer(said, bool(right) and "cut off" not in "".join(notes))


def _browser(inputs: Inputs) -> Answer:
    table, notes = inputs.predict(inputs.data / "recorder.webm")
    end = table["end"].iloc[-1]
    return Answer(f"rows end at {end:.2f} s", abs(end - 5.01) < 0.05 and "assumed" not in notes)


def _irregular_stamps(inputs: Inputs) -> Answer:
    file = inputs.data / "csvs" / "webcam.csv"
    stamps = _column(file, "timestamp")
    table, _ = inputs.predict(file)
    inside = [int(((stamps >= row.start - 1e-3) & (stamps < row.end - 1e-3)).sum())
              for row in table.itertuples()]  # fmt: skip
    said = f"frames of windows {table['frames'].tolist()}, stamps in their time {inside}"
    late = table["end"].iloc[-1] - stamps[-1]
    return Answer(said, table["frames"].tolist() == inside and 0 <= late < 0.2)


def _column(file: pathlib.Path, name: str) -> np.ndarray:
    lines = [re.split(r"[,;\t] *", line) for line in file.read_text().splitlines()]
    place = lines[0].index(name)
    return np.array([float(line[place]) for line in lines[1:]])


def _milliseconds(inputs: Inputs) -> Answer:
    table, notes = inputs.predict(inputs.data / "csvs" / "ms.csv")
    end, stamps = table["end"].iloc[-1], _column(inputs.data / "csvs" / "ms.csv", "timestamp")
    note = line_with(notes, "milliseconds")
    said = f"{len(table)} rows end at {end:.2f} s; {note}"
    return Answer(said, bool(note) and 0 <= end - stamps[-1] / 1000 < 0.1)


def _decimal_commas(inputs: Inputs) -> Answer:
    table, notes = inputs.predict(inputs.data / "csvs" / "commas.csv")
    line = line_with(notes, "skipped")
    return Answer(line, not len(table) and "decimal points" in line)


def _separator(kind: str, inputs: Inputs) -> Answer:
    folder = inputs.data / "csvs"
    table, whole = (inputs.predict(folder / f"{name}.csv")[0] for name in (kind, "ok"))
    return Answer(f"{len(table)} rows, {len(whole)} with commas", same_rows(table, whole))


def _sorted_rows(kind: str, inputs: Inputs) -> Answer:
    """Compares with the same file sorted by frame, without its doubles."""
    file = inputs.data / "csvs" / f"{kind}.csv"
    head, *lines = file.read_text().splitlines()
    first: dict[int, str] = {}
    for line in lines:
        first.setdefault(int(line.split(",")[0]), line)
    other = inputs.folder / f"sorted_{kind}.csv"
    other.write_text("\n".join([head, *(first[number] for number in sorted(first))]) + "\n")
    table, notes = inputs.predict(file)
    whole, _ = inputs.predict(other)
    note = line_with(notes, "left out" if len(first) < len(lines) else "not in order")
    return Answer(f"as sorted by frame; {note}", bool(note) and same_rows(table, whole))


def _folder_order(name: str, inputs: Inputs) -> Answer:
    """Compares with the same pictures, renamed to 000.jpg, 001.jpg ... in their order."""
    folder, renamed = inputs.data / name, inputs.scratch(f"renamed_{name}")

    def numbers(file: pathlib.Path) -> list[float]:
        stamped = re.fullmatch(r"\d+\.\d+", file.stem)
        return [float(n) for n in ([file.stem] if stamped else re.findall(r"\d+", file.stem))]

    # the last number of NAME_sN changes least
    files = sorted(folder.iterdir(), key=lambda file: numbers(file)[::-1])
    for index, file in enumerate(files):
        shutil.copy(file, renamed / f"{index:03}.jpg")
    table, notes = inputs.predict(folder)
    stamps = "time stamps in the names" in notes
    whole, _ = inputs.predict(renamed, fps=30 if stamps else 25)
    keys = [*inputs.predictor.classes, "frames"] if inputs.predictor.task == "classification" else [
        "frames"]  # fmt: skip
    equal = len(table) == len(whole) and np.allclose(table[keys], whole[keys], atol=1e-5)
    said = f"{len(files)} pictures to {table['end'].iloc[-1]:.2f} s, rows of the renamed pictures"
    return Answer(f"{said}; {line_with(notes, 'names')}".rstrip("; "), bool(equal))


ROWS = [
    Row("vfr", "frame rate that varies", "vfr.mp4, .mkv, .webm", _variable_rate),
    Row("browser", "recording of a browser: fps 1000", "recorder.webm", _browser),
    Row("webcam", "irregular time stamps", "webcam.csv", _irregular_stamps),
    Row("ms", "time stamps in milliseconds", "ms.csv", _milliseconds),
    Row("commas", "decimal comma", "commas.csv", _decimal_commas),
    *(
        Row(kind, "another separator", f"{kind}.csv", functools.partial(_separator, kind))
        for kind in ("semicolon", "tab")
    ),
    *(
        Row(kind, "rows out of order, doubles", f"{kind}.csv",
            functools.partial(_sorted_rows, kind))
        for kind in ("textsort", "reversed", "concat")
    ),
    *(
        Row(name, "order of file names", f"{name}/", functools.partial(_folder_order, name))
        for name in ("dump_epoch", "dump_suffix")
    ),
]  # fmt: skip
