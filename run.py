"""Trains and evaluates one experiment: python run.py --config configs/stbln_synthetic.py

Any field may be set on the command line: --config.optimizer.learning_rate=0.05
An interrupted run is continued by the same command.
"""

from __future__ import annotations

import os
import pathlib
import sys

from absl import app, flags, logging
from ml_collections import config_flags

_CONFIG = config_flags.DEFINE_config_file(
    "config", None, "Experiment: a name such as stbln_afew, or a file. Without it all are listed"
)
_WORKDIR = flags.DEFINE_string("workdir", None, "Where results go (default: runs/NAME)")
_CACHE = flags.DEFINE_string(
    "compilation_cache",
    os.environ.get("JAX_COMPILATION_CACHE_DIR"),
    "Where compiled programs are kept between runs (default: ~/.cache/fer_jax/xla); empty: nowhere",
)


def main(arguments: list[str]) -> None:
    if len(arguments) > 1:
        raise app.UsageError(f"unknown argument {arguments[1]!r}: flags begin with --")
    logging.set_verbosity(logging.WARNING)  # Orbax tells every step of a save
    from fer_jax.experiments import report
    from fer_jax.experiments.run import FAILURES, keep_compiled
    from fer_jax.experiments.workdir import Workdir
    from fer_jax.systems import run

    keep_compiled(_CACHE.value)
    config = _CONFIG.value
    workdir = _WORKDIR.value or f"runs/{config.name}"
    try:
        metrics = run(config, workdir)
    except FAILURES as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("\ninterrupted: the same command continues from the last checkpoint")
    print("\n".join(report.headline(config.task, metrics)))
    print(f"report: {Workdir(pathlib.Path(workdir)).report}")


def with_config(arguments: list[str]) -> list[str]:
    """Puts the path in place of a config's name; without a config, or with none of that name, ends.

    What there is is listed then.
    """
    from fer_jax.experiments import configs

    found, arguments = False, list(arguments)
    for place, argument in enumerate(arguments):
        flag, equals, name = argument.partition("=")
        if flag.lstrip("-") != "config" or not flag.startswith("-"):
            continue
        found, place = True, place if equals else place + 1
        if place < len(arguments):
            try:
                path = configs.find(name if equals else arguments[place])
            except configs.ConfigNotFoundError as error:
                sys.exit(f"error: --config: {error}")
            arguments[place] = f"{flag}={path}" if equals else path
    if not found and not any(each.startswith("--help") for each in arguments):
        sys.exit(
            f"error: name a config, e.g. python run.py --config stbln_synthetic\n\n"
            f"{configs.listing()}"
        )
    return arguments


def parse_flags(arguments: list[str]) -> list[str]:
    """Parses the command line; an unknown config or field ends in one line, before any work."""
    try:
        rest = flags.FLAGS(with_config(arguments))
        _ = _CONFIG.value.name  # raises when the file could not be loaded
    except flags.Error as error:
        sys.exit(f"error: {str(error).splitlines()[-1].strip()}")
    except OSError as error:
        sys.exit(f"error: --config cannot be loaded: {str(error).splitlines()[-1].strip()}")
    except (AttributeError, KeyError, TypeError) as error:
        while error.args and isinstance(error.args[0], KeyError):  # it holds the nearest name
            error = error.args[0]
        reason = " ".join(str(error.args[0]).split())
        sys.exit(f"error: --config sets a field that does not exist: {reason}")
    return rest


if __name__ == "__main__":
    app.run(main, flags_parser=parse_flags)
