"""Makes a model of the zoo: trains it and writes its bundle and its card.

    python -m fer_jax.zoo.make gestures
    python -m fer_jax.zoo.make faces --work runs/zoo --config.data.path=/mnt/ferplus

The data must be prepared as the config says. A stopped training resumes with the same command. The
bundle, with weights in half precision, and CARD.md are written to fer_jax/zoo/NAME.
"""

from __future__ import annotations

import argparse
import pathlib
import sys

from rich.console import Console

from fer_jax import shipped, systems
from fer_jax.compare.chosen import ConfigError, load_config
from fer_jax.experiments.bundle import read_bundle
from fer_jax.experiments.run import FAILURES
from fer_jax.experiments.workdir import Workdir
from fer_jax.machine import printable, storage_error, write_whole
from fer_jax.zoo import ZOO
from fer_jax.zoo.card import card


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m fer_jax.zoo.make",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", choices=ZOO)
    parser.add_argument("--work", type=pathlib.Path, default=pathlib.Path("runs/zoo"),
                        help="work directories of the trainings (default: runs/zoo)")  # fmt: skip
    parser.add_argument("--out", type=pathlib.Path, default=shipped.FOLDER,
                        help="folder of the zoo (default: that of this package)")  # fmt: skip
    options, changed = parser.parse_known_args(arguments)
    try:
        make(options.name, options.work, options.out, changed, Console())
    except (*FAILURES, ConfigError) as error:
        print(f"error: {printable(error)}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"error: {storage_error(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted: the same command resumes", file=sys.stderr)
        return 130
    return 0


def make(
    name: str, work: pathlib.Path, out: pathlib.Path, changed: list[str], console: Console
) -> pathlib.Path:
    """Trains what is missing and writes bundle and card; returns the folder of the bundle.

    Args:
      name: key of `ZOO`.
      work: folder of the work directory.
      out: folder of the zoo.
      changed: further fields of the config, `--config.NAME=VALUE`.
      console: shows the progress.
    """
    entry = ZOO[name]
    fields = [f"{field}={value}" for field, value in entry.fields.items()]
    config = load_config(
        entry.config, [*fields, *(each.removeprefix("--config.") for each in changed)]
    )
    config.name = name
    workdir, folder = Workdir(work / name), out / name
    folder.mkdir(parents=True, exist_ok=True)  # before a training whose model has no place
    metrics = systems.run(config, workdir.path, console)
    bundle = read_bundle(workdir.model)
    # an earlier model may have had more files; stopped from here on, there is none
    for file in (folder / shipped.MODEL, folder / shipped.CARD, *folder.glob("*.msgpack")):
        file.unlink(missing_ok=True)
    bundle.write(folder, half=True)
    write_whole(folder / shipped.CARD, card(name, entry, config, metrics))
    console.print(f"{folder}: {sum(file.stat().st_size for file in folder.iterdir()) / 1e6:.1f} MB")
    return folder


if __name__ == "__main__":
    sys.exit(main())
