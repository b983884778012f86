"""The first page: the leaderboard, and privacy against quality."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.board.site.entry import AT_FIRST, Entry, is_large
from bench.board.site.environment import render
from bench.board.site.idle import idle
from bench.board.site.leaderboard_columns import columns
from bench.board.site.links import INDEX, downloads
from bench.board.site.row_view import RowView, row_views
from bench.board.site.scatter import scatters
from bench.board.site.summary import summary

FACETS = (
    ("board", "board"), ("dataset", "data set"), ("target", "target"), ("access", "attacker's access"),
    ("family", "defense family"), ("verdict", "verdict"), ("flags", "flags"), ("change", "since the baseline"),
)  # fmt: skip
"""Filters and their titles, in the order of the page."""


def page(entries: Sequence[Entry], name: str) -> str:
    """``index.html``."""
    shown = columns(entries)
    views = row_views(entries, shown)
    return render(
        "index.html.j2",
        name=name,
        root="",
        here=INDEX,
        entries=entries,
        summaries=[summary(entry.board) for entry in entries],
        columns=shown,
        common=_common(views, [column.key for column in shown if not column.shown]),
        rows=[view.shown for view in views],
        at_first=AT_FIRST,
        large=is_large(entries),
        facts=[view.fact for view in views],
        facets=list(_facets(views)),
        scatters=scatters(entries),
        files=[downloads(entry) for entry in entries],
        idle=[(entry, list(idle(entry.board))) for entry in entries],
    )


def _common(views: Sequence[RowView], hidden: Sequence[str]) -> dict[str, str]:
    """Data set and target that all rows have in common, whose columns are hidden for that reason."""
    places = [view.shown["place"] for view in views]
    return {
        title: places[0][index]
        for index, (key, title) in enumerate((("dataset", "data set"), ("target", "target")))
        if places and key in hidden
    }


def _facets(views: Sequence[RowView]) -> list[dict[str, Any]]:
    """The filters that tell rows apart, each with its values in the order of the rows."""
    found = []
    for key, title in FACETS:
        values = list(dict.fromkeys(value for view in views for value in view.fact["facets"][key]))
        if len(values) > 1 or (key in ("flags", "change") and values):
            found.append({"key": key, "title": title, "values": [v for v in values if v != "any"]})
    return found
