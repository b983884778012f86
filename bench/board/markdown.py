"""The leaderboard as Markdown, for a repository's own pages."""

from __future__ import annotations

import re

from bench.board import words
from bench.board.flags import EXPLANATIONS
from bench.board.rows import Board, Row
from bench.board.words import number

HEAD = (
    "rank",
    "data set",
    "target",
    "defense",
    "AUC",
    "interval",
    "worst attack",
    "access",
)
EQUAL_KID = "undefended at equal KID"
EQUAL_KID_WORDS = (
    "Undefended at equal KID: the undefended training, stopped where its samples were first as good as the row's."
)


def leaderboard_markdown(board: Board) -> str:
    """Table, verdicts and the meaning of the flags that were raised."""
    parts = [f"# {escape(board.results.name)}", ""]
    parts += [f"**The instrument is at fault.** {escape(fault)}\n" for fault in board.faults]
    measures = [measure.head for measure in board.measures]
    head = (*HEAD, *measures, *([EQUAL_KID] if board.at_equal_kid else []), "epsilon", "seeds", "flags")
    right = {"rank", "AUC", *measures, EQUAL_KID, "epsilon", "seeds"}
    parts.append(f"| {' | '.join(head)} |")
    parts.append(f"|{'|'.join('---:' if name in right else '---' for name in head)}|")
    parts += [f"| {' | '.join(escape(cell) for cell in _cells(row, board))} |" for row in board.rows]
    parts += [
        "",
        "AUC .5 is chance. Interval: 95 %, over training runs where they differ more than records do.",
        *([EQUAL_KID_WORDS] if board.at_equal_kid else []),
        "",
    ]
    parts += ["## In plain words", ""]
    parts += [f"- **{escape(row.label)}**: {escape(row.columns()['verdict'])}" for row in board.rows]
    raised = [name for name in EXPLANATIONS if any(row.raised(name) for row in board.rows)]
    if raised:
        parts += ["", "## Flags", "", *(f"- `{name}`: {EXPLANATIONS[name]}" for name in raised)]
    return "\n".join(parts) + "\n"


def _cells(row: Row, board: Board) -> tuple[str, ...]:
    worst, shown = row.worst, row.interval
    return (
        number(row.rank, 0),
        *row.place,
        number(worst.headline.auc if worst else None),
        f"{words.auc_interval(row)} ({shown.over})" if shown else words.EMPTY,
        worst.headline.worst_attack if worst else words.EMPTY,
        worst.row.access if worst else words.EMPTY,
        *(figure for _, figure, _ in words.qualities(row, board.measures)),
        *([" ".join(part for part in words.equal_kid(row) if part)] if board.at_equal_kid else []),
        " ".join(part for part in (words.epsilon(row), words.delta(row), words.certified(row)) if part),
        words.seeds(row),
        ", ".join(part for part in (words.status(row), *(flag.name for flag in row.flags)) if part),
    )


def escape(text: str) -> str:
    r"""Text that shows as itself within a table's cell: no markup, no HTML, one line.

    >>> escape("<b>|*x*")
    '&lt;b&gt;\\|\\*x\\*'
    """
    shown = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*\[\]|])", r"\\\1", shown)
