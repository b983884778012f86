"""Rows of a table that a group's models generated, beside real ones."""

from __future__ import annotations

from typing import Any

from bench.board.rows import Board, Row
from bench.board.table_words import Rows, column_names, in_words
from bench.board.unseen import unseen
from bench.records import Schema

SHOWN = 8
"""Rows of each kind."""

VALUES = 12
"""Columns; a page has no room for a hundred."""


def sample_rows(board: Board, row: Row, with_real: bool) -> dict[str, Any] | None:
    """The first generated rows of each seed, and real ones; None where the data set is no table, or not at hand.

    Args:
        board: of the row.
        row: the group.
        with_real: whether real records may be shown.
    """
    real = unseen(board.results, row.dataset, SHOWN)
    if real is None or real.schema.kind != "table":
        return None
    columns = column_names(real.schema)
    parts = [
        (f"Generated, seed {trial.seed}", _read(trial.samples()[:SHOWN], real.schema))
        for trial in row.trials
        if trial.samples is not None
    ]
    if with_real and parts:
        parts.append(("Real rows that no target here was trained on", _read(real.x, real.schema)))
    if not parts:
        return None
    return {"columns": columns[:VALUES], "more": max(0, len(columns) - VALUES), "total": len(columns), "parts": parts}


def _read(x: Any, schema: Schema) -> Rows:
    return in_words(x, schema, VALUES)
