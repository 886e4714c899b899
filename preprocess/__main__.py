"""Prepares a dataset: finds the faces in its clips and stores landmarks and crops for training.

    {prog} DATASET --source DIR --out DIR

The same command given again resumes a run that was stopped.

Exit codes: 0 if at least one clip was prepared, all were listed (--dry-run), or those of a shard
were read; 1 if none could be, or nothing could be written; 2 if the command is incomplete or wrong;
130 after Ctrl-C.
"""

from __future__ import annotations

if __name__ == "__main__":  # first, as Ctrl-C may fall into the imports below
    from fer_jax.commands import leave, named, start

    leave(start(named("preprocess.__main__")))

import argparse
import os
import pathlib

from rich.console import Console
from rich.text import Text

from fer_jax.faces import crop
from fer_jax.faces.detector import LandmarkModelError
from fer_jax.faces.landmarks import FRAMINGS
from fer_jax.installation import NotInstalledError
from fer_jax.machine import storage_error
from fer_jax.storage import InUseError

from . import parts, store
from .clip import SourceError, UsageError
from .datasets import DATASETS
from .next_command import next_command
from .prepare import DETECT, prepare
from .workers.cluster import ClusterError
from .workers.launch import QUEUES

_PROG = "python -m preprocess"


def main(arguments: list[str] | None = None, prog: str = _PROG) -> int:
    """Runs the command line; returns the exit code, see its help."""
    options = _parser(prog).parse_args(arguments)
    console = Console()
    try:
        done = prepare(options, console)
    except OSError as error:
        error = storage_error(error, "or name another --out")
        return _failed(f"{error}. {_kept(options)}")
    except UsageError as error:
        _failed(str(error))
        return 2
    except (SourceError, LandmarkModelError, NotInstalledError, InUseError, ClusterError) as error:
        return _failed(str(error))
    except KeyboardInterrupt:
        console.print(Text(_stopped(options), "yellow"), soft_wrap=True)
        return 130
    if done and options.shard:
        text = f"{options.shard} is done. When all are, make the dataset: the same command with "
        console.print(Text(f"{text}--merge instead of --shard"), soft_wrap=True)
    elif done:
        command = next_command(options, DATASETS[options.dataset], *done)
        text = f"Prepared in {options.out}. Next:\n  {command}"
        console.print(Text(text), soft_wrap=True)
    return 0


def prepare_dataset(dataset: str, options: dict) -> dict:
    """Prepares a dataset with options of the command line, see `fer_jax.prepare`."""
    _check_types(dataset, options)
    arguments = [dataset]
    for name, value in options.items():
        flag = "--" + name.replace("_", "-")
        if value is True:
            arguments.append(flag)
        elif value is not None and value is not False:
            arguments.append(f"{flag}={value}")
    parsed = _parser("fer_jax.prepare", _StrictParser).parse_args(arguments)
    if parsed.dry_run:
        raise ValueError("fer_jax.prepare has no dry_run: the command has")
    summary, _ = prepare(parsed, Console())
    return summary


def _check_types(dataset, options: dict) -> None:
    """Raises a TypeError if the name is no text, or a path is none."""
    if not isinstance(dataset, str):
        names = ", ".join(DATASETS)
        raise TypeError(f"dataset is of type {type(dataset).__name__}: give one of {names}")
    for name in ("source", "out", "landmark_model"):
        value = options.get(name)
        if not isinstance(value, (str, os.PathLike, type(None))):
            raise TypeError(f"{name} is of type {type(value).__name__}: give a path")


class _StrictParser(argparse.ArgumentParser):
    """Raises where the parser of a command line ends the process; takes whole names only."""

    def __init__(self, **options):
        super().__init__(allow_abbrev=False, **options)

    def error(self, message: str):
        raise ValueError(message)


def _stopped(options: argparse.Namespace) -> str:
    return "Stopped." if options.dry_run else f"Stopped. {_kept(options)}"


def _failed(message: str) -> int:
    Console(stderr=True).print(Text(f"error: {message}", "red"), soft_wrap=True)
    return 1


def _kept(options: argparse.Namespace) -> str:
    finished = 0 if options.out is None else len(list((options.out / store.CACHE).glob("*.npz")))
    if not finished:
        return "Give the same command again."
    return (
        f"{finished} finished clips are kept in {options.out}; give the same command again to "
        "resume."
    )


def _parser(prog: str = _PROG, kind=argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser = kind(
        prog=prog,
        description=__doc__.format(prog=prog),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="dataset", metavar="DATASET", required=True)
    for name, dataset in DATASETS.items():
        command = commands.add_parser(
            name,
            help=dataset.__doc__.splitlines()[0],
            description=dataset.__doc__,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.add_argument("--source", type=pathlib.Path, help="where the data is")
        command.add_argument("--out", type=pathlib.Path, help="directory of the prepared dataset")
        command.add_argument(
            "--crops",
            type=_crop_size,
            default=0,
            metavar="PIXELS",
            help="also store face crops, squares of this side (default: landmarks only)",
        )
        command.add_argument(
            "--framing",
            choices=[*FRAMINGS],
            default="aligned",
            help="how faces lie in the crops: eyes level and at one distance (default); upright, "
            "eyes at one distance, as in the STC-NLSTM paper; or the box around the whole face, as "
            "in the 3D Inception-ResNet paper",
        )
        command.add_argument(
            "--workers",
            type=_positive,
            help="processes (default: one a core); those that --cluster slurm or kubernetes starts",
        )
        command.add_argument(
            "--cluster",
            metavar="ADDRESS",
            help="read clips on the workers of a running dask scheduler, such as tcp://node1:8786, "
            f"or have {' or '.join(QUEUES)} start workers, with the settings in dask's own files; "
            "all see --source and --out at the same path",
        )
        command.add_argument(
            "--shard",
            type=parts.part,
            metavar="I/N",
            help="read only the clips of part I of N, counted from 1, and write no dataset: for "
            "array jobs (sbatch --array=1-8, --shard $SLURM_ARRAY_TASK_ID/8); --merge makes it",
        )
        command.add_argument(
            "--merge",
            action="store_true",
            help="make the dataset of what shards have read; says what is missing",
        )
        command.add_argument(
            "--detect",
            choices=DETECT,
            default=DETECT[0],
            help="follow faces from frame to frame (default), or search every frame as the "
            "ST-BLN paper did: several times slower",
        )
        command.add_argument(
            "--dry-run", action="store_true", help="list what would be read and stop"
        )
        command.add_argument(
            "--overwrite", action="store_true", help="replace another dataset in --out"
        )
        command.add_argument(
            "--landmark-model",
            type=pathlib.Path,
            help="a dlib 68-point model; default: $FER_JAX_LANDMARK_MODEL, else the installed one",
        )
        getattr(dataset, "add_options", lambda command: None)(command)
    return parser


def _positive(text: str) -> int:
    if not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"{text} is not a positive number of processes")
    return int(text)


def _crop_size(text: str) -> int:
    if not text.isdigit() or not crop.SMALLEST <= int(text) <= crop.LARGEST:
        raise argparse.ArgumentTypeError(
            f"{text} is not a valid crop side: give {crop.SMALLEST} to {crop.LARGEST} pixels"
        )
    return int(text)
