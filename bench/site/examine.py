"""Verifies a board before it is published."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from bench.board.rows import Board
from bench.board.site.entry import Verified
from bench.board.write import BOARD
from bench.canonical import sha256_file
from bench.published.read import Published
from bench.verify.check import verify_board
from bench.verify.report import Report
from bench.version import __version__


@dataclass(frozen=True, eq=False)
class Examined:
    """A published board and what verifying it found.

    Attributes:
        path: as it was given: a folder or a bundle.
        published: where it was opened.
        report: what `bench verify` says.
        board: computed again from the scores; None where that cannot be done.
    """

    path: Path
    published: Published
    report: Report
    board: Board | None

    @property
    def name(self) -> str:
        """What the board calls itself; empty where it does not say."""
        return self.board.results.name if self.board is not None else ""

    @cached_property
    def verified(self) -> Verified | None:
        """The badge; None where verifying found anything wrong."""
        if self.board is None or self.report.problems:
            return None
        return Verified(__version__, self.report.counted, sha256_file(self.published.folder / BOARD))


def examine(path: Path, published: Published) -> Examined:
    """Verify a board, and compute it again from its scores.

    Args:
        path: as it was given.
        published: the same, opened.
    """
    report, _, board = verify_board(published)
    return Examined(path, published, report, board)
