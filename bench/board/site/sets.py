"""Attacks on sets of several sizes, where the table of attacks does not say all of it."""

from __future__ import annotations

from typing import Any

from bench.board import words
from bench.board.attack_rows import AttackRow, shown
from bench.board.rows import Board
from bench.board.words import number


def sets(board: Board) -> list[dict[str, Any]]:
    """Attacks by size of sets; nothing where the table of attacks says all of it."""
    rows = [row for row in board.attacks if row.sets and not row.control]
    if not any(len(row.sets) > 1 or row.sets[0].summary.own_score for row in rows):
        return []
    return [
        {
            "place": row.row,
            "attack": row.attack,
            "auc": number(row.summary.auc if row.summary else None),
            "sizes": _sizes(row),
        }
        for row in rows
    ]


def _sizes(row: AttackRow) -> list[dict[str, Any]]:
    """A cell of the table per size."""
    cells = []
    for reading in row.sets:
        s = reading.summary
        wider = None
        if s.set_auc_low is not None and s.set_auc_high is not None:
            wider = shown(s.set_auc_low, s.set_auc_high, s.set_auc_seed_low, s.set_auc_seed_high)
        cells.append(
            {
                "auc": number(s.set_auc),
                "interval": words.interval(wider.low, wider.high) if wider else "",
                "sets": f"{s.member_sets} + {s.nonmember_sets} sets",
                "mean": f"by mean score {number(s.mean_set_auc)}" if s.own_score and s.set_auc is not None else "",
            }
        )
    return cells
