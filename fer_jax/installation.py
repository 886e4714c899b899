"""How fer_jax is installed: a clone or a wheel; commands in messages depend on it."""

from __future__ import annotations

import contextlib
import pathlib
import sys
from collections.abc import Iterator

_PACKAGE = pathlib.Path(__file__).resolve().parent
_CLONE = _PACKAGE.parent
# A wheel has `preprocess` and `configs` inside fer_jax; a clone has them beside it.
IS_WHEEL = (_PACKAGE / "preprocess").is_dir()
_HOME = _PACKAGE if IS_WHEEL else _CLONE
CONFIGS, PREPROCESS = _HOME / "configs", _HOME / "preprocess"


class NotInstalledError(ImportError):
    """A package that comes with an extra is missing; the message says how to install it."""


def clone() -> pathlib.Path | None:
    """The folder of the clone that fer_jax is in, None for a wheel."""
    return None if IS_WHEEL else _CLONE


def in_clone() -> bool:
    """Tells whether the working directory is the clone, where `python run.py` works."""
    return not IS_WHEEL and pathlib.Path.cwd() == _CLONE


def _own_scripts() -> bool:
    """Whether messages name the scripts of the clone: not to those who typed `fer-jax`."""
    return in_clone() and pathlib.Path(sys.argv[0]).stem != "fer-jax"


def prepare_command() -> str:
    """The command that prepares a dataset, as typed in the working directory."""
    return "python -m preprocess" if _own_scripts() else "fer-jax prepare"


def train_command() -> str:
    """The command that trains an experiment, as typed in the working directory."""
    return "python run.py" if _own_scripts() else "fer-jax train"


def how_to_install(extra: str) -> str:
    """The command that installs an extra: fer_jax is on no package index."""
    if IS_WHEEL:
        return f"pip install 'SOURCE[{extra}]', SOURCE being the clone or wheel of fer_jax"
    return f"pip install -e '{_CLONE}[{extra}]'"


def how_to_install_onnx() -> str:
    """Says how to install what `fer-jax export` needs: two commands, each on a line of its own."""
    source = "SOURCE" if IS_WHEEL else _CLONE
    lines = [
        "make an environment of its own, as jax2onnx takes an older Orbax than others,",
        "    python -m venv .venv-onnx",
        f"    .venv-onnx/bin/pip install '{source}' jax2onnx onnxruntime",
        "and export there: .venv-onnx/bin/fer-jax export",
    ]
    return "\n".join(lines) + (", SOURCE being the clone or wheel of fer_jax" if IS_WHEEL else "")


@contextlib.contextmanager
def needs(extra: str) -> Iterator[None]:
    """Turns a failed import inside the block into a message that names the extra.

    Raises:
      NotInstalledError: a package is missing.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise NotInstalledError(
            f"{error.name} is not installed; it comes with the extra {extra!r}: "
            f"{how_to_install(extra)}"
        ) from error
