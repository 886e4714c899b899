"""Finds the configs that come with the project, by name or by path, lists and loads them."""

from __future__ import annotations

import ast
import difflib
import importlib.util
import pathlib
import re
import sys
import textwrap
import types
from collections.abc import Iterable
from typing import TYPE_CHECKING

from fer_jax.installation import CONFIGS as FOLDER
from fer_jax.installation import IS_WHEEL

if TYPE_CHECKING:
    from ml_collections import ConfigDict

_SHARED = ("base", "__init__")  # no experiments of their own
_WIDTH = 97  # of a line of variants, in characters


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
        lines += [f"  {'':{width}}    {line}" for line in textwrap.wrap(variants, _WIDTH)]
    return "\n".join(lines)


def describe(name: str) -> tuple[str, str]:
    """Title of a config's docstring, and its text after "Variants:", "" if there is none."""
    document = ast.get_docstring(ast.parse((FOLDER / f"{name}.py").read_text())) or ""
    variants = re.search(r"^Variants: (.*(?:\n +.*)*)", document, re.MULTILINE)
    text = re.sub(r"\n +", " ", variants.group(1)) if variants else ""
    return document.partition("\n")[0], text


class LoadError(ValueError):
    """A config cannot be loaded, or a field cannot be set; the message says which."""


def load(name: str, overrides: Iterable[str] = ()) -> ConfigDict:
    """Loads a config as `fer-jax train --config NAME --config.FIELD=VALUE` does.

    Args:
      name: see `find`.
      overrides: "FIELD=VALUE", e.g. "train.epochs=5".

    Raises:
      ConfigNotFoundError: there is no such config.
      LoadError: its code fails, or a field is unknown or gets a value of another type.
    """
    file, _, argument = find(name).partition(":")
    path = pathlib.Path(file)
    try:
        spec = importlib.util.spec_from_file_location(path.stem, path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        config = module.get_config(argument) if argument else module.get_config()
    except Exception as error:  # whatever the code of a config raises
        raise LoadError(f"the config {name} cannot be loaded: {error}") from error
    for override in overrides:
        field, equals, text = override.partition("=")
        if not equals:
            raise LoadError(f"{override!r} sets no field: write FIELD=VALUE")
        set_field(config, field, text)
    return config


def has_field(config: ConfigDict, field: str) -> bool:
    """Whether a config has a field, "train.epochs"."""
    *sections, name = field.split(".")
    for section in sections:
        config = config.get(section) if section in config else {}
    return name in config


def set_field(config: ConfigDict, field: str, text: str) -> None:
    """Sets a field of a config to a value written as text.

    Raises:
      LoadError: there is no such field, or the value has another type.
    """
    if not has_field(config, field):
        nearest = difflib.get_close_matches(field, _fields(config), n=3, cutoff=0.0)
        raise LoadError(f"--config.{field}: there is no such field, but {', '.join(nearest)}")
    *sections, name = field.split(".")
    for section in sections:
        config = config[section]
    old = config[name]
    try:
        new = text if isinstance(old, str) else ast.literal_eval(text)
        if isinstance(old, bool) != isinstance(new, bool):
            raise ValueError
        config[name] = type(old)(new) if isinstance(old, (float, tuple)) else new
    except (ValueError, SyntaxError, TypeError) as error:
        raise LoadError(
            f"--config.{field}={text}: give a value of type {type(old).__name__}, such as {old!r}"
        ) from error


def _fields(config: ConfigDict, prefix: str = "") -> list[str]:
    """Names of all fields of a config, those of sections with their section."""
    names = []
    for name, value in config.items():
        inner = _fields(value, f"{prefix}{name}.") if hasattr(value, "items") else []
        names += inner or [f"{prefix}{name}"]
    return names
