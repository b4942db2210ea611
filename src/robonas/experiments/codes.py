"""Option indices of architectures from their texts, for strategies that move about by single choices."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import numpy as np

from robonas.common.reading import parse_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_MICRO = re.compile(r"\d+-41414-([0-3])_([0-3])([0-3])_([0-3])([0-3])([0-3])")
_MACRO = re.compile(r"\d+-([1-4]{4,6})-basic")
_WORD = re.compile(r"[A-Za-z0-9_.]+")
_CELL = re.compile(r"\|\w+~0\|\+\|\w+~0\|\w+~1\|\+\|\w+~0\|\w+~1\|\w+~2\|")
FAMILIES = {"nasbench201": _CELL, "transnas_micro": _MICRO, "transnas_macro": _MACRO}
"""Forms of the texts of published families of spaces, by the name of the space."""


def family_of_texts(texts: Sequence[str]) -> str | None:
    """Return the name of the published space whose architectures are written so; None for another one."""
    return next((name for name, form in FAMILIES.items() if all(form.fullmatch(text) for text in texts)), None)


def codes_of_texts(texts: Sequence[str]) -> NDArray[np.int64] | None:
    """Return option indices, (n, n_choices); None where the texts do not say the same choices in the same order.

    JSON objects by their keys; TransNAS-Bench-101's texts by their digits, absent modules as 0; texts of as many words,
    by word; texts of one length, by character. Choices with one option are left out. Options are numbered in the order
    of their text, or of their size where all are numbers, and equal ones of their text.
    """
    rows = _rows(texts)
    if rows is None:
        return None
    columns = []
    for column in zip(*rows, strict=True):
        options = sorted(sorted(set(column)), key=_order(set(column)))
        if len(options) > 1:
            places = {option: place for place, option in enumerate(options)}
            columns.append([places[option] for option in column])
    return np.array(columns, dtype=np.int64).T if columns else None


def _rows(texts: Sequence[str]) -> list[tuple[str, ...]] | None:
    for pattern in (_MICRO, _MACRO):
        found = [pattern.fullmatch(text) for text in texts]
        if all(found):
            digits = ["".join(match.groups()) for match in found if match is not None]
            return [tuple(text.ljust(6, "0")) for text in digits]
    if texts[0].startswith("{"):
        return _json(texts)
    words = [tuple(_WORD.findall(text)) for text in texts]
    if len(words[0]) > 1 and len({len(row) for row in words}) == 1:
        return words
    if len(texts[0]) > 1 and len({len(text) for text in texts}) == 1 and all(len(row) == 1 for row in words):
        return [tuple(text) for text in texts]
    return None


def _json(texts: Sequence[str]) -> list[tuple[str, ...]] | None:
    try:
        choices = [parse_json(text) for text in texts]
    except ValueError:
        return None
    if not all(isinstance(entry, dict) for entry in choices):
        return None
    names = sorted({name for entry in choices for name in entry})
    return [tuple(json.dumps(entry.get(name)) for name in names) for entry in choices]


def _order(options: set[str]) -> type[float | str]:
    try:
        for option in options:
            float(option)
    except ValueError:
        return str
    return float
