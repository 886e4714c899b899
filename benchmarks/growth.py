"""How time and memory grow with the work: each command, each kind of size, its exponent.

    python -m benchmarks.growth --out runs/growth
    python -m benchmarks.growth --out runs/growth --stages prepare train --repeats 3

Runs the commands of this package on landmarks of drawn people. One size at a time is doubled, the
others stay. Seconds on the clock and peak memory (of the largest process of the command) are fitted
by `fixed + growing * n ** exponent`. Exponents have the range that fits as well in brackets, those
worse than linear are bold. "Rise" is the part of the last cost that is more than the first; "flat"
is what does not rise above the noise. Starting Python, importing JAX and compiling are in the fixed
part: nothing compiled is kept between runs.

Every measurement is a line of OUT/points.jsonl as soon as it is made. The same command given again
measures only what is missing, and writes OUT/growth.md and OUT/growth.png.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import pathlib
import shutil
import statistics
from collections.abc import Callable, Iterator, Mapping

from benchmarks import child
from benchmarks.shipped import use_cores
from fer_jax.machine import usable_cores

Sizes = dict[str, int]
OF_DATA = ("clips", "frames", "people", "classes")  # sizes that a dataset has
# An epoch of a small ST-BLN: what is trained longer costs so many times as much.
CONFIG = ("--config=stbln_manifest:growth", "--compilation_cache=", "--config.train.epochs=1",
          "--config.model.widths=(8,8)")  # fmt: skip
_ONE = {"people": "person", "classes": "class"}
FIELDS = {"s": "seconds", "MiB": "mebibytes"}  # unit of `exponents.Curve` -> field of a cost


def in_words(size: str, count: int = 2) -> str:
    words = "MC samples" if size == "mc_samples" else size
    return words if count != 1 else _ONE.get(words, words.removesuffix("s"))


def doubled(first: int, count: int) -> tuple[int, ...]:
    return tuple(first << index for index in range(count))


@dataclasses.dataclass(frozen=True)
class Stage:
    """A command.

    Attributes:
      run: `(work folder, sizes) -> cost`.
      base: its sizes; one at a time is replaced.
      axes: size -> its values.
    """

    run: Callable[[pathlib.Path, Sizes], child.Cost]
    base: Sizes
    axes: Mapping[str, tuple[int, ...]]

    def points(self) -> Iterator[Sizes]:
        """All sizes to measure, those of several axes once."""
        every = [self.base | {axis: n} for axis, values in self.axes.items() for n in values]
        yield from {tuple(sizes.values()): sizes for sizes in every}.values()


def clips_on_disk(work: pathlib.Path, sizes: Sizes) -> pathlib.Path:
    """Folder of the landmark files of a dataset and their manifest."""
    own = {name: sizes[name] for name in OF_DATA}
    return _made(work, "clips", own, ["-m", "benchmarks.growth_data", "{}", *_options(own)])


def prepare(work: pathlib.Path, sizes: Sizes) -> child.Cost:
    """`python -m preprocess manifest`."""
    source = clips_on_disk(work, sizes) / "clips.csv"
    command = ["-m", "preprocess", "manifest", "--source", str(source), "--out", "{}"]
    return _make(_folder(work, "data", {name: sizes[name] for name in OF_DATA}), command)


def train(work: pathlib.Path, sizes: Sizes) -> child.Cost:
    """`run.py`: cross-validation, the final model, MC samples, report."""
    data = _folder(work, "data", {name: sizes[name] for name in OF_DATA})
    if not data.exists():
        prepare(work, sizes)
    return _make(_folder(work, "run", sizes), _training(data, "{}", sizes), _devices(sizes))


def report(work: pathlib.Path, sizes: Sizes) -> child.Cost:
    """`run.py` once more: a finished run only writes its report again."""
    sizes = sizes | {"devices": 1}
    data = _folder(work, "data", {name: sizes[name] for name in OF_DATA})
    return child.run(_training(data, str(_finished(work, sizes)), sizes), _devices(sizes))


def predict_files(work: pathlib.Path, sizes: Sizes) -> child.Cost:
    """`fer-jax predict` of many files."""
    return _predict(work, sizes, clips_on_disk(work, sizes) / "files")


def predict_recording(work: pathlib.Path, sizes: Sizes) -> child.Cost:
    """`fer-jax predict --people all` of one file."""
    own = {name: sizes[name] for name in ("frames", "people")}
    command = ["-m", "benchmarks.growth_data", "{}", "--together", *_options(own)]
    folder = _made(work, "recording", own, command)
    return _predict(work, sizes, folder / "files", "--people=all")


def _predict(work: pathlib.Path, sizes: Sizes, source: pathlib.Path, *more: str) -> child.Cost:
    trained = TRAINING | {"classes": sizes.get("classes", TRAINING["classes"])}
    bundle, table = _finished(work, trained) / "model", work / "predictions.csv"
    table.unlink(missing_ok=True)
    options = [f"--out={table}", "--fps=25", f"--mc-samples={sizes['mc_samples']}", *more]
    return child.run(["-m", "fer_jax", "predict", str(bundle), str(source), *options])


def _training(data: pathlib.Path, workdir: str, sizes: Sizes) -> list[str]:
    fields = {
        "data.path": data, "data.frames": sizes["frames"], "protocol.folds": sizes["folds"],
        "evaluation.mc_samples": sizes["mc_samples"],
    }  # fmt: skip
    options = [f"--config.{name}={value}" for name, value in fields.items()]
    return ["-m", "fer_jax", "train", *CONFIG, f"--workdir={workdir}", *options]


def _devices(sizes: Sizes) -> dict[str, str]:
    own = os.environ.get("XLA_FLAGS", "")
    return {"XLA_FLAGS": f"{own} --xla_force_host_platform_device_count={sizes['devices']}"}


def _finished(work: pathlib.Path, sizes: Sizes) -> pathlib.Path:
    """Folder of a finished run; trains it if it is not there."""
    folder = _folder(work, "run", sizes)
    if not folder.exists():
        train(work, sizes)
    return folder


def _options(sizes: Sizes) -> list[str]:
    return [f"--{name}={value}" for name, value in sizes.items()]


def _folder(work: pathlib.Path, kind: str, sizes: Sizes) -> pathlib.Path:
    return work / "-".join([kind, *(f"{name}{value}" for name, value in sizes.items())])


def _made(work: pathlib.Path, kind: str, sizes: Sizes, command: list[str]) -> pathlib.Path:
    folder = _folder(work, kind, sizes)
    if not folder.exists():
        _make(folder, command)
    return folder


def _make(folder: pathlib.Path, command: list[str], environment=None) -> child.Cost:
    """Runs a command that fills a folder, `{}` in it, which is only there when it has ended."""
    partial = folder.with_name(f"{folder.name}.partial")
    for each in (partial, folder):
        shutil.rmtree(each, ignore_errors=True)
    cost = child.run([str(partial) if part == "{}" else part.replace("={}", f"={partial}")
                      for part in command], environment)  # fmt: skip
    partial.rename(folder)
    return cost


TRAINING = {"clips": 512, "frames": 8, "people": 32, "classes": 4, "folds": 2, "mc_samples": 32,
            "devices": 1}  # fmt: skip
_DATA = {name: TRAINING[name] for name in OF_DATA}
_REPORT = {name: value for name, value in TRAINING.items() if name != "devices"}
_AXES = {
    "clips": doubled(512, 5), "frames": doubled(8, 5), "people": doubled(16, 5),
    "classes": doubled(2, 5), "folds": doubled(2, 4), "mc_samples": doubled(32, 5),
    "devices": doubled(1, 4),
}  # fmt: skip
STAGES = {
    "prepare": Stage(prepare, _DATA, {name: _AXES[name] for name in OF_DATA}),
    "train": Stage(train, TRAINING, _AXES),
    "report": Stage(report, _REPORT, {name: _AXES[name] for name in _REPORT}),
    "predict-files": Stage(
        predict_files, _DATA | {"clips": 256, "mc_samples": 32},
        {"clips": doubled(64, 5), "classes": _AXES["classes"], "mc_samples": _AXES["mc_samples"]},
    ),
    "predict-recording": Stage(
        predict_recording, {"frames": 1024, "people": 2, "mc_samples": 32},
        {"frames": doubled(1024, 5), "people": doubled(1, 5)},
    ),
}  # fmt: skip


class Points:
    """The measurements in a file, a JSON object a line."""

    def __init__(self, file: pathlib.Path):
        self._file = file
        text = file.read_text(errors="replace") if file.exists() else ""
        whole = text[: text.rfind("\n") + 1]  # a line that was cut short is measured again
        if whole != text:
            file.write_text(whole)
        self._rows = [self._row(n, line) for n, line in enumerate(whole.splitlines(), 1)]

    def _row(self, number: int, line: str) -> dict:
        """A measurement; ends the command if it is damaged."""
        with contextlib.suppress(ValueError, TypeError, KeyError):
            row = json.loads(line)
            costs = [row[name] for name in (*child.Cost._fields, "cores")]
            named = isinstance(row["stage"], str) and isinstance(row["sizes"], dict)
            if named and all(isinstance(cost, (int, float)) for cost in costs):
                return row
        raise SystemExit(
            f"error: line {number} of {self._file} is no measurement: delete it, then give the "
            "same command again, which measures it again"
        )

    def of(self, stage: str, sizes: Sizes) -> list[dict]:
        """What was measured of a stage with these sizes."""
        return [row for row in self._rows if (row["stage"], row["sizes"]) == (stage, sizes)]

    def add(self, stage: str, sizes: Sizes, cost: child.Cost) -> None:
        """Keeps a measurement, in the file at once."""
        row = {"stage": stage, "sizes": sizes, **cost._asdict(), "cores": usable_cores()}
        self._rows.append(row)
        with self._file.open("a") as file:
            file.write(json.dumps(row) + "\n")

    def cores(self) -> str:
        """Numbers of CPU cores that were measured on, in words."""
        counts = sorted({row["cores"] for row in self._rows})
        return f"{' or '.join(map(str, counts))} CPU core{'s' if counts != [1] else ''}"


def measure(stages: Mapping[str, Stage], points: Points, work: pathlib.Path, repeats: int) -> None:
    """Measures what is missing of `repeats` measurements of every point, all once, then again."""
    every = [(name, sizes) for name, stage in stages.items() for sizes in stage.points()]
    for repeat in range(repeats):
        for number, (name, sizes) in enumerate(every, 1):
            if len(points.of(name, sizes)) > repeat:
                continue
            cost = stages[name].run(work, sizes)
            points.add(name, sizes, cost)
            text = " ".join(f"{size}={value}" for size, value in sizes.items())
            counted = f"[{repeat * len(every) + number}/{repeats * len(every)}]"
            print(f"{counted} {name}: {text}: {cost.seconds:.1f} s, {cost.mebibytes:.0f} MiB",
                  flush=True)  # fmt: skip


def curves(stages: Mapping[str, Stage], points: Points) -> list:
    """The medians of all stages, as `exponents.Curve`."""
    from benchmarks.exponents import Curve

    found = []
    for name, stage in stages.items():
        for axis, values in stage.axes.items():
            rows = [points.of(name, stage.base | {axis: value}) for value in values]
            of_unit = {
                u: [[row[key] for row in each] for each in rows] for u, key in FIELDS.items()
            }
            costs = {unit: list(map(statistics.median, each)) for unit, each in of_unit.items()}
            spreads = {
                unit: statistics.median(map(_spread, each)) for unit, each in of_unit.items()
            }
            found.append(Curve(name, in_words(axis), values, costs, spreads))
    return found


def _spread(costs: list[float]) -> float:
    """Relative standard deviation of a median; 0 of a single measurement."""
    if len(costs) < 2:
        return 0.0
    return statistics.stdev(costs) / statistics.median(costs) / len(costs) ** 0.5


def _deviations(stages: Mapping[str, Stage], points: Points) -> str:
    """How far the seconds of the same sizes are apart, in words."""
    times = [
        [row["seconds"] for row in points.of(name, sizes)]
        for name, stage in stages.items()
        for sizes in stage.points()
    ]
    apart = [max(each) / min(each) - 1 for each in times if len(each) > 1]
    if not apart:
        return ""
    median, most = statistics.median(apart), max(apart)
    return f"; the slowest took {median:.0%} longer than the fastest (median), {most:.0%} at most"


def write(out: pathlib.Path, stages: Mapping[str, Stage], points: Points, repeats: int) -> None:
    """Writes the table and the figure."""
    from benchmarks import exponents
    from fer_jax.machine import write_whole
    from fer_jax.plotting.style import save

    found = curves(stages, points)
    fixed = [f"{name}: {', '.join(f'{n} {in_words(size, n)}' for size, n in stage.base.items())}"
             for name, stage in stages.items()]  # fmt: skip
    lines = [*exponents.table(found), "", "Sizes that stay: " + "; ".join(fixed) + ".",
             f"{points.cores()}; medians of {repeats}{_deviations(stages, points)}."]  # fmt: skip
    text = "\n".join(lines) + "\n"
    write_whole(out / "growth.md", text)
    save(exponents.draw(found), out / "growth.png")
    print(text, end="")


def main(arguments: list[str] | None = None) -> None:
    """Runs the command line."""
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    parser.add_argument("--out", type=pathlib.Path, required=True, help="folder of the results")
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=list(STAGES))
    parser.add_argument("--repeats", type=int, default=1, help="of each measurement (default 1)")
    parser.add_argument("--cores", type=int, default=2, help="to run on (default 2)")
    options = parser.parse_args(arguments)
    use_cores(options.cores)
    out = options.out.absolute()
    work = out / "work"
    work.mkdir(parents=True, exist_ok=True)
    stages, points = {name: STAGES[name] for name in options.stages}, Points(out / "points.jsonl")
    try:
        measure(stages, points, work, options.repeats)
    except KeyboardInterrupt:
        print(f"Stopped. Measurements are kept in {out}; give the same command again to resume.")
        raise SystemExit(130) from None
    write(out, stages, points, options.repeats)


if __name__ == "__main__":
    main()
