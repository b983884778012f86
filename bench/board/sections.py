"""Sections of the page that not every board has: sets of several sizes, and which records leak."""

from __future__ import annotations

from typing import Any

from bench.board import words
from bench.board.attack_rows import AttackRow, shown
from bench.board.draw import Picture
from bench.board.exposure import RowExposure, as_read
from bench.board.rows import Board
from bench.board.words import number

VALUES = 10
"""Columns of a table that the page shows of an exposed record."""


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


def exposed(exposure: RowExposure, picture: Picture | None) -> dict[str, Any]:
    """The most exposed members of a row, in words; with the values of its columns where it is a table."""
    found, near = exposure.found, exposure.nearest
    is_table = near is not None and near.records.schema.kind == "table"
    columns, own, nearest = as_read(near, VALUES) if near is not None and is_table else ([], [], [])
    return {
        "label": exposure.row.label,
        "said": said(exposure),
        "picture": picture,
        "columns": columns,
        "more": max(0, len(near.records.schema.columns) - VALUES) if near is not None and is_table else 0,
        "rows": [
            {
                "record": found.record_ids[place],
                "exposure": number(found.exposure[place]),
                "attacks": f"{found.attacks[place]} of {len(found.names)}",
                "worst": found.names[found.worst[place]],
                "worst_exposure": number(found.worst_exposure[place]),
                "distance": number(near.distance[index]) if near else words.EMPTY,
                "member": own[index] if is_table else [],
                "sample": nearest[index] if is_table else [],
            }
            for index, place in enumerate(exposure.top)
        ],
    }


def said(exposure: RowExposure) -> str:
    """What stands behind a row's exposures, and whether members stand out."""
    found, out = exposure.found, exposure.found.standing_out()
    attacks, runs = len(found.names), sorted({min(found.seeds), max(found.seeds)})
    behind = f"{attacks} attack{'s' if attacks > 1 else ''}"
    behind += f", {' to '.join(map(str, runs))} training run{'s' if runs[-1] > 1 else ''} each"
    stand = (
        f"{out.members:,} of {int(found.membership.sum()):,} are above the {out.among}{_th(out.among)} most exposed "
        f"non-member, where chance puts {out.by_chance:.1f}"
    )
    samples = f" Samples of seed {exposure.nearest.seed}." if exposure.nearest else ""
    return f"{behind}. Members average {number(exposure.members_mean)}; {stand}.{samples}"


def _th(place: int) -> str:
    """The ending of an ordinal.

    >>> [f"{n}{_th(n)}" for n in (1, 2, 3, 4, 11, 112, 23)]
    ['1st', '2nd', '3rd', '4th', '11th', '112th', '23rd']
    """
    return "th" if place % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(place % 10, "th")
