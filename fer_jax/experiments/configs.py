"""Finds the configs that come with the project, by name or by path, and lists them."""

from __future__ import annotations

import ast
import difflib
import pathlib
import re
import sys
import types

from fer_jax.installation import CONFIGS as FOLDER
from fer_jax.installation import IS_WHEEL

_SHARED = ("base", "__init__")  # no experiments of their own


class ConfigNotFoundError(ValueError):
    """There is no such config; the message names the nearest ones, `known` lists all.

    Attributes:
      known: all configs as `listing` shows them, the nearest name first.
    """

    def __init__(self, message: str, known: str):
        super().__init__(message)
        self.known = known


def names() -> list[str]:
    """Names of the configs, without `.py`."""
    return sorted(path.stem for path in FOLDER.glob("*.py") if path.stem not in _SHARED)


def find(name: str) -> str:
    """Returns the path of a config, with its variant if it has one.

    Args:
      name: `stbln_afew`, `stcnlstm_ckplus:stc`, or the path of a file; `configs/stbln_afew.py` is
        that of a clone, found from anywhere.

    Raises:
      ConfigNotFoundError: there is no config of this name, and no such file.
    """
    _open_folder()
    file, colon, variant = name.partition(":")
    path = pathlib.PurePath(file)
    stem = path.name.removesuffix(".py")
    if stem in _SHARED and (FOLDER / f"{stem}.py").resolve() == pathlib.Path(file).resolve():
        message = f"{file} holds what all configs share, it is no experiment: name one that uses it"
        raise ConfigNotFoundError(message, listing())
    if str(path.parent) in (".", "configs") and stem in names():
        if variant and not _takes_variant(stem):
            message = f"{stem} has no variants: leave out {colon}{variant}"
            raise ConfigNotFoundError(message, listing([stem]))
        return name if pathlib.Path(file).is_file() else f"{FOLDER / stem}.py{colon}{variant}"
    if pathlib.Path(file).is_file():
        return name
    nearest = difflib.get_close_matches(stem, names(), n=len(names()), cutoff=0.0)
    *others, last = nearest[:3]
    guess = f"{', '.join(others)} or {last}"
    message = f"there is no config {file}: did you mean {guess}?"
    raise ConfigNotFoundError(message, listing(nearest))


def _takes_variant(name: str) -> bool:
    tree = ast.parse((FOLDER / f"{name}.py").read_text())
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    return any(each.name == "get_config" and each.args.args for each in functions)


def _open_folder() -> None:
    """Lets the configs of a wheel import each other as `configs`, as in a clone."""
    if IS_WHEEL and "configs" not in sys.modules:
        sys.modules["configs"] = package = types.ModuleType("configs")
        package.__path__ = [str(FOLDER)]


def listing(order: list[str] | None = None) -> str:
    """Lists the configs with title and variants, in the given order of names or by name."""
    order = names() if order is None else order
    width = max(map(len, order), default=0)
    lines = []
    for name in order:
        title, variants = describe(name)
        lines.append(f"  {name:{width}}  {title}")
        lines += [f"  {'':{width}}    {variants}"] if variants else []
    return "\n".join(lines)


def describe(name: str) -> tuple[str, str]:
    """Title of a config's docstring, and its text after "Variants:", "" if there is none."""
    document = ast.get_docstring(ast.parse((FOLDER / f"{name}.py").read_text())) or ""
    variants = re.search(r"^Variants: (.*)$", document, re.MULTILINE)
    return document.partition("\n")[0], variants.group(1) if variants else ""
