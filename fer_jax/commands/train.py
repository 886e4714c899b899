"""Trains and evaluates one experiment: {prog} --config stbln_synthetic

Any field may be set on the command line: --config.optimizer.learning_rate=0.05
An interrupted run is resumed by the same command.
"""

from __future__ import annotations

import difflib
import functools
import os
import pathlib
import re
import sys
import textwrap
import traceback
from collections.abc import Callable

from absl import flags, logging
from ml_collections import ConfigDict, config_flags

from fer_jax.commands.interrupts import LINE, say_interrupted
from fer_jax.experiments import configs
from fer_jax.machine import printable


def main(arguments: list[str] | None = None, prog: str = "python run.py") -> int:
    """Runs the command line.

    Returns:
      The exit code: 0, 1 after a failure, also of a figure alone, 2 for a wrong command line or
      config, 130 after a signal.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    own = _flags([prog, *arguments])
    if any(each.lstrip("-") in ("h", "help", "helpfull") for each in arguments):
        print(_help(own, prog))
        return 0
    _parse(own, [prog, *arguments])
    logging.set_verbosity(logging.WARNING)
    joined = _is_distributed(own)
    workdir = own.workdir or f"runs/{own.config.name}"
    run = functools.partial(_run, own.config, workdir, own.compilation_cache)
    return _with_others(own, run) if joined else run()


def _flags(argv: list[str]) -> flags.FlagValues:
    """Makes the flags anew for each call, so that one process may parse several command lines."""
    own = flags.FlagValues()
    config_flags.DEFINE_config_file(
        "config",
        None,
        "Experiment: a name such as stbln_afew, or a file; without it all names are listed",
        flag_values=own,
        sys_argv=argv,
    )
    flags.DEFINE_string("workdir", None, "Folder of results (default: runs/NAME)", flag_values=own)
    flags.DEFINE_string(
        "compilation_cache",
        os.environ.get("JAX_COMPILATION_CACHE_DIR"),
        "Folder that keeps compiled programs between runs (default: ~/.cache/fer_jax/xla); empty: "
        "none",
        flag_values=own,
    )
    flags.DEFINE_bool(
        "distributed", False, "Train in several processes, which SLURM or Kubernetes numbers",
        flag_values=own,
    )  # fmt: skip
    flags.DEFINE_string(
        "coordinator", None, "Without them: HOST:PORT of process 0, the same for all processes",
        flag_values=own,
    )  # fmt: skip
    for name, what in (("process", "Index of this process, from 0"),
                       ("processes", "Number of processes")):  # fmt: skip
        flags.DEFINE_integer(name, None, what, flag_values=own)
    return own


def _help(own: flags.FlagValues, prog: str) -> str:
    """Formats the help in the style of argparse, like that of the other commands."""
    rows = {"--config CONFIG": own["config"].help}
    rows["--config.FIELD=VALUE"] = "Sets a field of the config"
    rows |= {f"--{name} DIR": own[name].help for name in ("workdir", "compilation_cache")}
    kinds = {"distributed": "", "coordinator": " HOST:PORT", "process": " I", "processes": " N"}
    rows |= {f"--{name}{kind}": own[name].help for name, kind in kinds.items()}
    texts = [
        textwrap.fill(f"{text[0].lower()}{text[1:]}", 98, initial_indent=f"  {flag:26}",
                      subsequent_indent=" " * 28)
        for flag, text in rows.items()
    ]  # fmt: skip
    usage = f"usage: {prog} --config CONFIG [--config.FIELD=VALUE ...] [options]"
    return "\n".join([usage, "", __doc__.format(prog=prog), "options:", *texts])


class UsageError(SystemExit):
    """Ends the program with exit code 2, after it printed what is wrong."""

    def __init__(self, text: str):
        super().__init__(text)
        self.code = 2
        print(text, file=sys.stderr)


def _is_distributed(own: flags.FlagValues) -> bool:
    """Whether several processes train; refuses flags that do not say which and how many."""
    given = {name: own[name].value for name in ("coordinator", "process", "processes")}
    missing = [name for name, value in given.items() if value is None]
    if own.distributed and len(missing) == len(given):
        return True
    if not own.distributed and len(missing) == len(given):
        return False
    if not own.distributed or missing:
        lacks = ["distributed"] * (not own.distributed) + missing
        raise UsageError(
            "error: --distributed takes --coordinator HOST:PORT, --process and --processes, all "
            f"three or, under SLURM and Kubernetes, none: --{lacks[0]} is missing"
        )
    if own.processes < 1:
        raise UsageError(f"error: --processes={own.processes}: give their number, 1 or more")
    if not 0 <= own.process < own.processes:
        raise UsageError(
            f"error: --process={own.process} of --processes={own.processes}: processes are "
            f"numbered from 0, to {own.processes - 1} here"
        )
    return True


def _with_others(own: flags.FlagValues, run: Callable[[], int]) -> int:
    """Runs as one of several processes; when one of them fails, all end."""
    from fer_jax import hosts
    from fer_jax.hosts import connection

    try:
        connection.connect(own.coordinator, own.process, own.processes)
        code = run()
        connection.disconnect()
        return code
    except hosts.HostsError as error:  # of the connection
        connection.end_all(printable(error), 1)
        print(f"error: {printable(error)}", file=sys.stderr)
        return 1
    except Exception as error:
        if lost := connection.lost_connection(error):
            connection.end_all(lost, 1)
        else:
            traceback.print_exc()
            connection.end_all(f"{type(error).__name__}: {printable(error)}", 1, said=True)
        raise


def _run(config, workdir: str, cache: str | None) -> int:
    from fer_jax.experiments import report
    from fer_jax.experiments.run import FAILURES
    from fer_jax.experiments.setup import SetupError
    from fer_jax.experiments.workdir import Workdir
    from fer_jax.hosts import connection
    from fer_jax.systems import run
    from fer_jax.training import parallel

    parallel.keep_compiled(cache)
    try:
        metrics = run(config, workdir)
    except FAILURES as error:
        code = 2 if isinstance(error, SetupError) else 1
        connection.end_all(printable(error), code)
        print(f"error: {printable(error)}", file=sys.stderr)
        return code
    except KeyboardInterrupt:
        code = say_interrupted(f"{LINE} from the last checkpoint")
        connection.end_all(f"{LINE.strip()} from the last checkpoint", code, said=True)
        return code
    print("\n".join(report.headline(config.task, metrics)))
    print(f"report: {printable(Workdir(pathlib.Path(workdir)).report)}")
    return 1 if metrics.get("failed_figures") else 0


def _parse(own: flags.FlagValues, argv: list[str]) -> None:
    """Parses the command line; an unknown config or field ends in one line, before any work."""
    try:
        rest = own(_with_path(argv))
        _ = own.config.name  # raises when the file could not be loaded
    except flags.Error as error:
        raise UsageError(f"error: {_plain(str(error).splitlines()[-1].strip())}") from error
    except OSError as error:
        reason = str(error).splitlines()[-1].strip()
        raise UsageError(f"error: --config cannot be loaded: {reason}") from error
    except (AttributeError, KeyError, TypeError) as error:
        raise UsageError(f"error: --config {_explain(error)}") from error
    except Exception as error:  # whatever the code of a config raises
        raise UsageError(f"error: --config {_place(error)}") from error
    if len(rest) > 1:
        raise UsageError(f"error: unknown argument {rest[1]!r}: flags begin with --")


def _plain(reason: str) -> str:
    """Says in words what the parsers of flags say with exceptions."""
    for told, plain in (
        (r"invalid literal for int\(\).*", "give a whole number"),
        (r"could not convert string to float.*", "give a number"),
        (r"\('Non-boolean argument to boolean flag'.*", "give True or False"),
        (r"Unknown command line flag '(\w+)'$", r"unknown flag --\1: fields of the config are "
         "set by --config.FIELD=VALUE, e.g. --config.train.epochs=50"),
        # a config that raises is quoted with its exception's class
        (r"^\w+Error: ", "--config: "),
    ):  # fmt: skip
        reason = re.sub(told, plain, reason)
    return reason


def _place(error: Exception) -> str:
    """Names the file and line at which the code of a config fails."""
    *_, (frame, line) = traceback.walk_tb(error.__traceback__)
    file = frame.f_code.co_filename
    if isinstance(error, SyntaxError):
        file, line = error.filename, error.lineno
    return f"{file}, line {line}, cannot be run: {type(error).__name__}: {error}"


def _explain(error: Exception) -> str:
    """Names the unknown field of a config, and the fields of its section, the nearest first.

    ml_collections says which field, but not of which section: that is in the frame that raised.
    """
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    section = frame.f_locals.get("self")
    field = frame.f_locals.get("attribute", frame.f_locals.get("key"))
    if isinstance(section, ConfigDict) and isinstance(field, str) and field not in section:
        nearest = difflib.get_close_matches(field, section, n=len(section), cutoff=0.0)
        fields = f": its section has {', '.join(nearest)}" if nearest else ""
        return f"sets {field!r}, a field that does not exist{fields}"
    return f"cannot be loaded: {' '.join(str(error.args[0]).split())}"


def _with_path(argv: list[str]) -> list[str]:
    """Replaces the name of a config by its path.

    Without a config, or with an unknown one, the program ends with a list of all configs.
    """
    found, argv = False, list(argv)
    for index, argument in enumerate(argv):
        flag, equals, name = argument.partition("=")
        if flag.lstrip("-") != "config" or not flag.startswith("-"):
            continue
        found, index = True, index if equals else index + 1
        if index < len(argv):
            try:
                path = configs.find(name if equals else argv[index])
            except configs.ConfigNotFoundError as error:
                # the list comes first: the error stays in sight below it
                raise UsageError(f"{error.known}\n\nerror: {error}") from error
            argv[index] = f"{flag}={path}" if equals else path
    if not found:
        raise UsageError(
            _misspelt(argv[1:])
            or f"{configs.listing()}\n\nerror: name a config, e.g. {argv[0]} --config "
            "stbln_synthetic"
        )
    return argv


def _misspelt(arguments: list[str]) -> str:
    """The error of a command line whose --config is misspelt or left out, "" if neither is so."""
    for argument in arguments:
        flag = argument.partition("=")[0].partition(".")[0]
        if flag.startswith("-"):
            name = flag.lstrip("-")
            if name != "config" and difflib.get_close_matches(name, ["config"], cutoff=0.7):
                return f"error: unknown flag {flag}: did you mean --config?"
        elif pathlib.PurePath(argument.partition(":")[0]).stem in configs.names():
            return f"error: unknown argument {argument}: did you mean --config {argument}?"
    return ""
