"""Names of people and classes that may be one, spelt in several ways."""

from __future__ import annotations

import collections
import difflib
import itertools
import re
import unicodedata
from collections.abc import Iterable

from fer_jax.faces.labels import canonical

_SHOWN = 10  # groups in a note
_MOST = 200  # classes up to which every two are compared for typing errors
_ALIKE = 0.87  # share of equal letters from which two classes may be a typing error
_PERSON = {"sub": "s", "subj": "s", "subject": "s", "part": "p", "participant": "p", "person": "p"}
_MISSING = {"nan", "na", "n a", "null", "none", "unknown", "missing"}
# Cyrillic and Greek letters that look like Latin ones; Unicode's compatibility forms differ.
_LOOKS_LIKE = str.maketrans("асеһіјорѕухԛԝοανικτρυ", "acehijopsyxqwoavikTpu".lower())


def notes(people: Iterable[str], classes: Iterable[str]) -> list[str]:
    """Notes people and classes whose names differ only in spelling, or stand for a missing value.

    Args:
      people, classes: names of the clips.
    """
    people, classes, found = set(people), set(classes), []
    if groups := alike_people(people):
        found.append(
            f"people spelt alike: {_listed(groups)}; if they are one person, give one spelling: "
            "otherwise the same face is trained on and evaluated"
        )
    if groups := alike_classes(classes):
        found.append(f"classes spelt alike: {_listed(groups)}; if they are one, give one spelling")
    for kind, names in (("people", people), ("classes", classes)):
        if missing := sorted(name for name in names if " ".join(_folded(name)) in _MISSING):
            listed = ", ".join(map(repr, missing))
            found.append(
                f"{kind} called {listed}: if the value is missing, fill it or drop the clip"
            )
    return found


def alike_people(names: set[str]) -> list[list[str]]:
    """Groups names that differ in capitals, blanks, zeros before a number, or `S` before it."""
    groups = _grouped(names, _person)
    for key in [key for key in groups if len(key) == 2]:
        number = key[1:]
        if number[0].isdecimal() and number in groups:
            groups[number] += groups.pop(key)
    return _several(groups)


def alike_classes(names: set[str]) -> list[list[str]]:
    """Groups names that differ in spelling, or are known words for the same emotion."""
    groups = _grouped(names, lambda name: canonical(" ".join(_folded(name))))
    if len(groups) <= _MOST:
        spelt = {key: {key, *(" ".join(_folded(name)) for name in groups[key])} for key in groups}
        for one, other in itertools.combinations(sorted(groups), 2):
            pairs = itertools.product(spelt[one], spelt[other])
            if one in groups and other in groups and any(_typing_error(*pair) for pair in pairs):
                groups[one] += groups.pop(other)
    return _several(groups)


def _person(name: str) -> tuple[str, ...]:
    """Words and numbers of a name; `subject` is `s`, and words alone may stand in any order."""
    words = tuple(_PERSON.get(word, word) for word in _folded(name))
    return words if any(word.isdecimal() for word in words) else tuple(sorted(words))


def _folded(name: str) -> tuple[str, ...]:
    """Words and numbers of a name without capitals, accents, signs and leading zeros."""
    text = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", name).casefold())
    text = "".join(c for c in text if unicodedata.category(c) not in ("Mn", "Cf"))
    text = re.sub(r"(\d)[.,]0+$", r"\1", text.strip())  # a spreadsheet's number
    words = re.findall(r"\d+|[^\W\d_]+", text.translate(_LOOKS_LIKE))
    return tuple(str(int(word)) if word.isdecimal() else word for word in words) or (text,)


def _grouped(names: set[str], key) -> dict:
    groups = collections.defaultdict(list)
    for name in sorted(names):
        groups[key(name)].append(name)
    return groups


def _typing_error(one: str, other: str) -> bool:
    same_numbers = re.findall(r"\d+", one) == re.findall(r"\d+", other)
    return same_numbers and difflib.SequenceMatcher(None, one, other).ratio() >= _ALIKE


def _several(groups: dict) -> list[list[str]]:
    return [names for names in groups.values() if len(names) > 1]


def _listed(groups: list[list[str]]) -> str:
    shown = "; ".join(", ".join(map(repr, group)) for group in groups[:_SHOWN])
    return shown + (f" and {len(groups) - _SHOWN} more" if len(groups) > _SHOWN else "")
