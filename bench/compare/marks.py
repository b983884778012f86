"""A comparison as marks on the pages of a board: what became of each figure of each of its rows."""

from __future__ import annotations

from collections.abc import Collection

from bench.board.site.entry import Change, Compared
from bench.board.site.entry import Place as Row
from bench.compare import words
from bench.compare.findings import Comparison
from bench.compare.printable import printable


def marks(comparison: Comparison, rows: Collection[Row], base: str) -> Compared:
    """The marks that a comparison makes on the rows of NEW.

    Args:
        comparison: of a baseline with the board.
        rows: of the board; a finding of any other row is of one that the board lacks.
        base: what visitors may know the baseline as.
    """
    changes: dict[Row, list[Change]] = {row: [] for row in rows}
    gone: dict[Row, None] = {}
    for finding in comparison.findings:
        row = finding.row.dataset, finding.row.target, finding.row.defense
        if row in changes:
            changes[row].append(Change(finding.figure, finding.status, printable(words.sentence(finding))))
        else:
            gone[row] = None
    return Compared(
        base=base,
        summary=printable(words.summary(comparison)),
        notes=tuple(map(printable, comparison.notes)),
        changes={row: tuple(found) for row, found in changes.items()},
        gone=tuple(gone),
    )


def cannot(base: str, reason: str) -> Compared:
    """What a page says where no comparison could be made."""
    return Compared(base, f"Not compared: {printable(reason)}", (), {})
