"""A board as a part of a site, with what is known of it besides its own figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.board.pictures import Drawn
from bench.board.rows import Board

AT_FIRST = 50
"""Rows of the leaderboard that are shown at first. All stand in the page, and a script shows the others."""

Place = tuple[str, str, str]
"""Data set, target and defense of a row."""


@dataclass(frozen=True)
class Verified:
    """That ``bench verify`` found every number of a board in its scores.

    Attributes:
        version: of the code that verified.
        counted: what was checked, in words.
        sha256: of the ``leaderboard.json`` that was verified.
    """

    version: str
    counted: str
    sha256: str


@dataclass(frozen=True)
class Change:
    """What became of one figure of a row since a baseline.

    Attributes:
        figure: its name; ``status`` for the row as a whole.
        status: ``worse``, ``better``, ``same``, ``not comparable``, ``missing`` or ``new``.
        words: the figures and the reason, in a sentence.
    """

    figure: str
    status: str
    words: str


@dataclass(frozen=True)
class Compared:
    """A comparison of a board with a baseline, for its page.

    Attributes:
        base: what the baseline is called.
        summary: what came of it, in a line; ``notes`` are lines that must stand beside it.
        changes: row of the board -> its findings, gravest first.
        gone: rows that the baseline has and the board has not.
    """

    base: str
    summary: str
    notes: tuple[str, ...]
    changes: Mapping[Place, tuple[Change, ...]]
    gone: tuple[Place, ...] = ()


@dataclass(frozen=True, eq=False)
class Entry:
    """One board of a site.

    Attributes:
        board: as built; ``title`` what the site calls it, which no other board of the site is called.
        drawn: its pictures.
        exposures: as ``leaderboard.json`` holds them, one per row on which an attack was completed; of tables with the
            values of the records too, on the board's own page.
        files: the folder of its files of numbers and pictures, relative to the site: empty, or with a slash at the end.
        verified: None where `bench verify` did not run, or found something.
        compared: None where there is no baseline.
        problems: what `bench verify` found wrong, a line each; figures and files are those computed from the scores.
        without_records: whether all that shows real records or names members was left out: exposed members, sheets of
            real and of generated records, curves of losses on real records, and the files of exposures, scores and
            splits, with ``leaderboard.json`` and ``made-from.json``.
    """

    board: Board
    title: str
    drawn: Drawn = field(default_factory=Drawn)
    exposures: tuple[Mapping[str, Any], ...] = ()
    files: str = ""
    verified: Verified | None = None
    compared: Compared | None = None
    problems: tuple[str, ...] = ()
    without_records: bool = False


def is_large(entries: Sequence[Entry]) -> bool:
    """Whether a site has so many rows that a browser must not lay out what is not in view."""
    return sum(len(entry.board.rows) for entry in entries) > AT_FIRST
