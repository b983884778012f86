"""Where the pages of a site lie; names come from labels, which may hold anything."""

from __future__ import annotations

from bench.board.names import slug
from bench.board.site.downloads import MATRIX, REFERENCES
from bench.board.site.entry import Entry, Place

INDEX, ATTACKS, METHOD = "index.html", "attacks.html", "method.html"
ASSETS = "assets"
GROUPS = "trials"
"""Folder of the pages of trial groups."""

DOWNLOADS = (
    *("leaderboard.csv", "attacks.csv", "sets.csv", "trials.csv", "leaderboard.json", "leaderboard.md"),
    *(MATRIX, REFERENCES),
)
"""Files that a page offers of each board."""
RECORDS = ("leaderboard.json",)
"""Those that name members."""


def downloads(entry: Entry) -> list[str]:
    """The files that the pages offer of a board."""
    return [file for file in DOWNLOADS if not (entry.without_records and file in RECORDS)]


def group_file(entry: Entry, place: Place) -> str:
    """The page of a row, relative to the site."""
    board = (entry.title,) if entry.files else ()
    return f"{GROUPS}/{slug(*board, *place)}.html"


def anchor(*labels: str) -> str:
    """An id within a page: no two lists of labels have the same."""
    return f"at-{slug(*labels)}"
