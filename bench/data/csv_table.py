"""Comma-separated files read strictly: what is not said is an error, named by column and line.

Python's own reader and not a data frame library's: it counts lines, does not fill up short rows, and planning must not
wait for a heavy import.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.errors import InputError

MAX_CATEGORIES = 100  # each becomes a value of every row; beyond that a column is a name or a number, not a category
MISSING = frozenset({"", "na", "n/a", "#n/a", "<na>", "nan", "-nan", "null", "none", "?"})  # in lower case
SHOWN = 5  # problems named per file
RESOLUTION = 100  # steps of float32 within a column's standard deviation, at least


@dataclass(frozen=True)
class CsvTable:
    """A file's cells.

    Attributes:
        path: of the file, for messages.
        names: of the columns.
        lines: line that each row starts in, from 1.
        cells: column -> its texts, without blanks around them.
    """

    path: Path
    names: tuple[str, ...]
    lines: tuple[int, ...]
    cells: dict[str, tuple[str, ...]]

    def numbers(self, name: str) -> NDArray[np.float32] | None:
        """A column as float32 ``(n,)``; None where no cell of it is a number.

        Raises:
            InputError: missing values, some cells that are no numbers, or values that float32 cannot tell apart.
        """
        values = [_number(text) for text in self.cells[name]]
        if all(value is None for value in values) and not all(map(_missing, self.cells[name])):
            self._refuse(name, "a missing value", map(_missing, self.cells[name]), _MEND_TEXT)
            return None
        self._refuse(name, "a missing value", map(_missing, self.cells[name]), _MEND)
        self._refuse(name, "no number", (v is None for v in values), "mend it, or list the column under `categorical`")
        exact = np.array(values, dtype=np.float64)
        with np.errstate(over="ignore"):
            stored = exact.astype(np.float32)
        self._refuse(name, "an infinite or too large number", ~np.isfinite(stored), "mend it, or drop the column")
        step = float(np.spacing(np.abs(stored).max()))
        if exact.min() < exact.max() and step * RESOLUTION > exact.std():
            raise InputError(
                f"{self.path}: column {name!r} varies by {exact.std():.3g} around values where float32 has steps of "
                f"{step:.3g}; subtract an offset, or drop the column"
            )
        return stored

    def categories(self, name: str) -> tuple[tuple[str, ...], NDArray[np.int64]]:
        """The different texts of a column, numbers in their own order, and a code of them per row ``(n,)``.

        Raises:
            InputError: empty cells, or more than 100 categories.
        """
        cells = self.cells[name]
        self._refuse(name, "an empty cell", (not cell for cell in cells), _MEND)
        found = sorted(set(cells), key=_order)
        if len(found) > MAX_CATEGORIES:
            first = sorted(cells.index(text) for text in found)[MAX_CATEGORIES]
            raise InputError(
                f"{self.path}: expected at most {MAX_CATEGORIES} categories in column {name!r}, got {len(found)}, one "
                f"more than that at line {self.lines[first]}: {cells[first]!r}; group them, or drop the column"
            )
        place = {text: code for code, text in enumerate(found)}
        return tuple(found), np.array([place[cell] for cell in cells], dtype=np.int64)

    def _refuse(self, name: str, what: str, wrong: Iterator[bool] | NDArray[np.bool_], mend: str) -> None:
        places = [i for i, bad in enumerate(wrong) if bad]
        if not places:
            return
        first = places[0]
        more = f" (and {len(places) - 1} more)" if len(places) > 1 else ""
        raise InputError(
            f"{self.path}: column {name!r} has {what} at line {self.lines[first]}: {self.cells[name][first]!r}{more}; "
            f"{mend}"
        )


_MEND = "fill it in, or leave the row or the column out"
_MEND_TEXT = f"{_MEND}; where it is a category of its own, list the column under `categorical`"


def read_csv(path: Path) -> CsvTable:
    """The cells of a file: a line of column names, then rows of as many cells.

    Raises:
        InputError: the file is missing, no text in UTF-8, has no names or no rows, or rows of another length.
    """
    if not path.is_file():
        raise InputError(f"{path}: expected a CSV file there, found {'a folder' if path.is_dir() else 'nothing'}")
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(_rows(csv.reader(file, strict=True), path))
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: expected text in UTF-8: {error}; save the file in that encoding") from error
    if len(rows) < 2:
        raise InputError(f"{path}: expected a line of column names and rows below it, got {len(rows)} lines")
    names = tuple(cell.strip() for cell in rows[0][1])
    _check_names(path, names)
    ragged = [(line, len(row)) for line, row in rows[1:] if len(row) != len(names)]
    if ragged:
        raise InputError(
            [f"{path}: expected {len(names)} cells at line {line}, got {n}" for line, n in ragged[:SHOWN]]
            + ([f"{path}: and {len(ragged) - SHOWN} more such rows"] if len(ragged) > SHOWN else [])
        )
    columns = zip(*([cell.strip() for cell in row] for _, row in rows[1:]), strict=True)
    return CsvTable(path, names, tuple(line for line, _ in rows[1:]), dict(zip(names, columns, strict=True)))


def _rows(reader: Iterator[list[str]], path: Path) -> Iterator[tuple[int, list[str]]]:
    """Each row with the line that it starts in; blank lines are left out."""
    line = 0
    while True:
        start = line + 1
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise InputError(f"{path}: expected comma-separated cells at line {start}: {error}") from error
        line = reader.line_num  # type: ignore[attr-defined]
        if row:
            yield start, row


def _check_names(path: Path, names: Sequence[str]) -> None:
    problems = []
    if twice := sorted({name for name in names if names.count(name) > 1}):
        problems.append(f"{path}: expected every column name once in line 1, got {twice} more than once")
    if "" in names:
        problems.append(
            f"{path}: expected a name for every column in line 1, got none for column {names.index('') + 1}"
        )
    if all(_number(name) is not None for name in names):
        problems.append(f"{path}: expected column names in line 1, got numbers; add a line of names")
    if len(names) == 1 and (other := next((mark for mark in ";\t|" if mark in names[0]), None)):
        problems.append(f"{path}: expected cells separated by commas, got {other!r} in line 1; save it with commas")
    if problems:
        raise InputError(problems)


def _missing(text: str) -> bool:
    return text.lower() in MISSING


def _number(text: str) -> float | None:
    """The value of a cell; None for what is no number, such as Python's own 1_000."""
    if "_" in text or _missing(text):
        return None
    try:
        return float(text)
    except ValueError:
        return None


def _order(text: str) -> tuple[bool, float, str]:
    value = _number(text)
    return value is None or not math.isfinite(value), value if value is not None else 0.0, text
