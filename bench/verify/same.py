"""Compares two values of JSON or two tables of cells, and names every place where they differ."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from bench.board.tables import csv_cell

RELATIVE = 1e-9
"""The same code on another machine may round the last digits differently; anything beyond is another number."""

ABSOLUTE = 1e-12
"""For figures that are zero but for rounding."""

NAMED = ("dataset", "target", "defense", "attack", "seed", "at_step", "size")


_FIGURE = re.compile(r"\d+(?:\.\d+)?")


class Worded(str):
    """A line about a text in which all figures are the same: only the words around them differ."""


def same_number(stored: float, made: float) -> bool:
    """Whether two figures are one but for rounding."""
    try:
        return math.isclose(stored, made, rel_tol=RELATIVE, abs_tol=ABSOLUTE)
    except OverflowError:  # an integer beyond any float
        return stored == made


def same_figures(stored: str, made: str) -> bool:
    """Whether two texts have the same figures in the same order."""
    return _FIGURE.findall(stored) == _FIGURE.findall(made)


def differences(stored: Any, made: Any, place: str, words: Collection[str] = ()) -> Iterator[str]:
    """Where two JSON values differ, a line each; ``Worded`` where texts of the keys in ``words`` differ in words."""
    if isinstance(stored, Mapping) and isinstance(made, Mapping):
        for key in (*made, *(key for key in stored if key not in made)):
            if key not in stored:
                yield f"{place}.{key}: expected {made[key]!r}, it is missing"
            elif key not in made:
                yield f"{place}.{key}: expected no such key, got {stored[key]!r}"
            elif key in words and _reworded(stored[key], made[key]):
                yield Worded(f"{place}.{key}: stored {stored[key]!r}, recomputed {made[key]!r}")
            else:
                yield from differences(stored[key], made[key], f"{place}.{key}", words)
    elif isinstance(stored, list) and isinstance(made, list):
        if len(stored) != len(made):
            yield f"{place}: stored {len(stored)} entries, recomputed {len(made)}"
        for index, (one, other) in enumerate(zip(stored, made, strict=False)):
            yield from differences(one, other, f"{place}[{_named(other) or index}]", words)
    elif not _same(stored, made):
        yield f"{place}: stored {stored!r}, recomputed {made!r}"


def table_differences(
    text: str, rows: Sequence[Mapping[str, Any]], columns: Sequence[str], name: str, words: Collection[str] = ()
) -> Iterator[str]:
    """Where the text of a CSV file differs from the rows that it should hold, a line each; ``words`` are columns."""
    try:
        lines = list(csv.reader(io.StringIO(text)))
    except csv.Error as error:
        yield f"{name}: expected a CSV table, which cannot be read: {error}"
        return
    if not lines or tuple(lines[0]) != tuple(columns):
        got = set(lines[0]) ^ set(columns) if lines else "nothing"
        yield f"{name}: expected the columns {', '.join(columns[:3])}, ... in their order, differing in {got}"
        return
    if len(lines) - 1 != len(rows):
        yield f"{name}: stored {len(lines) - 1} rows, recomputed {len(rows)}"
    for number, (cells, row) in enumerate(zip(lines[1:], rows, strict=False), 1):
        if len(cells) != len(columns):
            yield f"{name}: row {number}: expected {len(columns)} cells, got {len(cells)}"
            continue
        for column, cell in zip(columns, cells, strict=True):
            value = csv_cell(row[column])
            if not _same_cell(cell, value):
                line = f"{name}: row {number} ({_named(row)}), column {column}: stored {cell!r}, recomputed {value!r}"
                yield Worded(line) if column in words and _reworded(cell, value) else line


def numbers_in(value: Any) -> int:
    """How many numbers a JSON value holds."""
    if isinstance(value, Mapping):
        return sum(map(numbers_in, value.values()))
    if isinstance(value, list | tuple):
        return sum(map(numbers_in, value))
    return int(isinstance(value, int | float) and not isinstance(value, bool))


def _reworded(stored: Any, made: Any) -> bool:
    """Whether both are texts that differ in words only."""
    return isinstance(stored, str) and isinstance(made, str) and stored != made and same_figures(stored, made)


def _same(stored: Any, made: Any) -> bool:
    if isinstance(stored, bool) or isinstance(made, bool):
        return stored is made
    if isinstance(stored, int | float) and isinstance(made, int | float):
        return same_number(stored, made)
    return type(stored) is type(made) and bool(stored == made)


def _same_cell(cell: str, value: Any) -> bool:
    if not isinstance(value, int | float):
        return cell == ("" if value is None else value)
    try:
        return same_number(float(cell), value)
    except ValueError:
        return False


def _named(row: Any) -> str:
    """What a row is of, for people."""
    return " / ".join(str(row[name]) for name in NAMED if name in row) if isinstance(row, Mapping) else ""
