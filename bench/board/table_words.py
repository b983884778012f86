"""Rows of a table as a person reads them: decoded, with categories by name."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from bench.data.tables import decode, harden
from bench.records import Column, Schema

Rows = list[list[str]]


def column_names(schema: Schema) -> list[str]:
    """Names of all columns; where each value is a number of its own, ``value 0`` and so on."""
    return [column.name for column in schema.columns] or [f"value {index}" for index in range(schema.shape[0])]


def in_words(x: NDArray[Any], schema: Schema, columns: int) -> Rows:
    """The first columns of encoded rows ``(n, values)``."""
    shown = schema.columns[:columns]
    if not shown:  # each value is a number of its own
        return [[f"{value:.4g}" for value in row[:columns]] for row in x]
    decoded = decode(harden(x, schema), schema)
    return [[_value(value, column) for value, column in zip(row, shown, strict=False)] for row in decoded]


def _value(value: float, column: Column) -> str:
    return column.categories[int(value)] if column.categories else f"{value:.4g}"
