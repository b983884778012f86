"""A row of the leaderboard as its page shows it, and as its script sorts and filters it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.board import words
from bench.board.flags import EXPLANATIONS, Flag
from bench.board.payload import plain
from bench.board.rows import Board, Row
from bench.board.site.bars import AucScale, Bar, distance_bar
from bench.board.site.entry import Change, Entry, Place
from bench.board.site.leaderboard_columns import Column
from bench.board.site.links import anchor, group_file
from bench.board.verdict import access_words, verdict_in_short
from bench.board.words import number
from bench.board.worst import Worst

ANY = "any"
CHIPS = {"leaks": "leaks", "useless, and leaks": "leaks", "no leak seen": "private"}
"""Verdicts whose chip is coloured, and its class."""


@dataclass(frozen=True)
class RowView:
    """What the template shows of a row, with what its script needs in ``fact``."""

    shown: Mapping[str, Any]
    fact: Mapping[str, Any]


def row_views(entries: Sequence[Entry], columns: Sequence[Column]) -> list[RowView]:
    """All rows: by board, data set, rank and AUC."""
    scale = AucScale.over(
        [
            end
            for entry in entries
            for row in entry.board.rows
            for w in row.per_access.values()
            for end in (w.headline.auc, w.headline.auc_low, w.headline.auc_seed_low)
            if end is not None
        ]
    )
    views = []
    for entry in entries:
        ties = Counter((row.dataset, row.rank) for row in entry.board.rows)
        highest = _highest(entry.board)
        before: object = None
        for row in _ordered(entry.board.rows):
            group = (row.dataset, row.rank)
            views.append(_view(entry, row, columns, scale, highest, ties[group] - 1, first=group != before))
            before = group
    return views


def _ordered(rows: Sequence[Row]) -> list[Row]:
    datasets = list(dict.fromkeys(row.dataset for row in rows))

    def place(row: Row) -> tuple[float, ...]:
        unranked = row.rank is None
        auc = row.worst.headline.auc if row.worst else 2.0
        return datasets.index(row.dataset), unranked, row.rank or 0, auc

    return sorted(rows, key=place)


Highest = Mapping[tuple[str, str, str], float]
"""Data set, target and column of a measure -> the largest figure or end of an interval there."""


def _highest(board: Board) -> Highest:
    found: dict[tuple[str, str, str], float] = {}
    for row in board.rows:
        for measure in board.measures:
            for end in measure.figures(row.measured):
                if end is not None:
                    place = (row.dataset, row.target, measure.column)
                    found[place] = max(end, found.get(place, end))
    return found


def _view(
    entry: Entry, row: Row, columns: Sequence[Column], scale: AucScale, highest: Highest, ties: int, first: bool
) -> RowView:
    own_id = anchor(entry.title, *row.place)
    levels = {ANY: _level(row.worst, scale), **{name: _level(w, scale) for name, w in row.per_access.items()}}
    measured = row.columns()
    short = verdict_in_short(row)
    changes = entry.compared.changes.get(row.place, ()) if entry.compared else ()
    shown = {
        "id": own_id,
        "page": group_file(entry, row.place),
        "board": entry.title,
        "verified": entry.verified,
        "place": row.place,
        "families": families(entry, row.place),
        "measured": row.worst is not None,
        "first": first,
        "rank": number(row.rank, 0),
        "ties": ties if row.rank is not None else 0,
        "short": short,
        "chip": CHIPS.get(short, ""),
        "verdict": measured["verdict"],
        "levels": {name: level for name, level in levels.items() if level},
        "qualities": {m.column: _quality(row, m.column, highest) for m in entry.board.measures},
        "equal_kid": words.equal_kid(row),
        "epsilon": words.epsilon(row),
        "epsilon_lines": [line for line in (*words.delta(row).split(", "), words.certified(row)) if line],
        "seeds": words.seeds(row),
        "status": words.status(row),
        "flags": [flag_view(flag) for flag in row.flags],
        "changes": [change for change in changes if change.status != "same"],
        "unchanged": bool(changes) and all(change.status == "same" for change in changes),
    }
    fact = {
        "id": own_id,
        "cells": _sortable(row, entry, measured, columns, changes, short),
        "levels": {name: {key: each[key] for key in ("auc", "attack", "tpr")} for name, each in levels.items() if each},
        "facets": {
            "board": [entry.title],
            "dataset": [row.dataset],
            "target": [row.target],
            "access": [*([ANY] if row.worst else []), *row.per_access],
            "family": families(entry, row.place),
            "flags": [flag.name for flag in row.flags],
            "verdict": [short],
            "change": sorted({change.status for change in changes}),
        },
        "group": [entry.title, row.dataset, row.rank],
        "search": " ".join(
            (
                entry.title, *row.place, *families(entry, row.place), short, words.status(row),
                *(flag.name for flag in row.flags), row.worst.headline.worst_attack if row.worst else "",
            )
        ),
    }  # fmt: skip
    return RowView(shown, plain(fact))


def _sortable(
    row: Row,
    entry: Entry,
    measured: Mapping[str, Any],
    columns: Sequence[Column],
    changes: Sequence[Change],
    short: str,
) -> dict[str, Any]:
    """What each column is sorted by; None stands last."""
    own = {
        "rank": row.rank,
        "board": entry.title,
        "dataset": row.dataset,
        "target": row.target,
        "defense": row.defense,
        "verdict": short,
        "change": changes[0].status if changes else None,
        **dict.fromkeys(("auc", "attack", "tpr")),  # of the access that is chosen: the script knows
        "equal_kid": row.equal_kid.headline.auc if row.equal_kid else None,
        "epsilon": measured["epsilon_claimed"],
        "seeds": measured["seeds"],
        "flags": len(row.flags),
    }
    rest = {c.key: measured[c.plain[0] if c.plain else c.key] for c in columns if c.key not in own}
    return own | rest


def _level(worst: Worst | None, scale: AucScale) -> dict[str, Any] | None:
    """The headline of one access level."""
    if worst is None:
        return None
    h, summary = worst.headline, worst.row.summary
    seeds = h.auc_seed_low is not None and h.auc_seed_high is not None
    return {
        "auc": h.auc,
        "figure": number(h.auc),
        "records": words.interval(h.auc_low, h.auc_high),
        "runs": words.interval(h.auc_seed_low, h.auc_seed_high) if seeds else "",
        "run_count": h.seeds,
        "attack": h.worst_attack,
        "threat": access_words(worst.row),
        "adaptive": worst.row.adaptive,
        "tpr": summary.tpr_at_1pct_fpr if summary else None,
        "tpr_figure": number(summary.tpr_at_1pct_fpr if summary else None),
        "of": len(h.attacks),
        "bar": Bar(
            scale.at(h.auc), scale.at(h.auc_low), scale.at(h.auc_high),
            scale.at(h.auc_seed_low) if h.auc_seed_low is not None else None,
            scale.at(h.auc_seed_high) if h.auc_seed_high is not None else None,
            (scale.at(0.5),),
        ),
    }  # fmt: skip


def _quality(row: Row, column: str, highest: Highest) -> dict[str, Any] | None:
    """Figure, interval and bar of one measure; None where the row is judged by another one.

    Bars of one data set and target have one scale, which reaches to the largest of their figures.
    """
    measure = row.measure
    value, low, high = measure.figures(row.measured)
    if measure.column != column or value is None:
        return None
    real, untrained = row.measured[f"{column}_real"], row.measured[f"{column}_untrained"]
    limit = highest[row.dataset, row.target, column]
    return {
        "figure": grouped(value, measure.digits),
        "interval": " to ".join(grouped(end, measure.digits) for end in (low, high) if end is not None),
        "bar": distance_bar(value, low, high, real, untrained, limit)
        if real is not None and untrained is not None
        else None,
    }


def grouped(value: float, digits: int) -> str:
    """A figure with commas between thousands, and without decimals from a thousand on.

    >>> grouped(7779.83, 1), grouped(-3.92, 1)
    ('7,780', '-3.9')
    """
    return f"{round(value, digits) + 0.0:,.{0 if abs(value) >= 1000 else digits}f}"


def families(entry: Entry, place: Place) -> list[str]:
    """Families of the defenses of a row, each once."""
    described = entry.board.results.plugins.get("defenses", {}).get(place[2], ())
    return list(dict.fromkeys(each["family"] for each in described if "family" in each))


def flag_view(flag: Flag) -> dict[str, str]:
    """A flag for the macro that shows it."""
    return {"name": flag.name, "meaning": EXPLANATIONS[flag.name], "seen": flag.seen}
