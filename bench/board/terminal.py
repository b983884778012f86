"""The leaderboard for a terminal."""

from __future__ import annotations

import io

from bench.board import words
from bench.board.rows import Board, Row
from bench.board.words import number

NARROW = 120  # columns of a terminal that has room for every column of the table


def leaderboard_text(board: Board, width: int | None = None, colour: bool = False, verdicts: bool = True) -> str:
    """The table and, below it, a verdict per row.

    Args:
        board: from ``bench.board.rows.build``.
        width: columns of the terminal; None takes the terminal's own.
        colour: whether to mark text with ANSI codes.
        verdicts: whether to add the verdicts.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    out = io.StringIO()
    console = Console(file=out, width=width, force_terminal=colour, no_color=not colour, highlight=False)
    for fault in board.faults:
        console.print(Text(f"The instrument is at fault. {fault}", style="bold red"))
    table = Table(title=Text(board.results.name), title_justify="left", expand=False)
    # On a narrow terminal the flags, the widest column, stand with the verdicts.
    narrow = console.width < NARROW
    measures = [measure.head for measure in board.measures]
    head = ("rank", "data set", "target", "defense", "AUC", "95 %", "worst attack", *measures, "epsilon", "seeds")
    for name in head if narrow else (*head, "flags"):
        right = name in ("rank", "AUC", *measures, "epsilon", "seeds")
        table.add_column(
            name,
            justify="right" if right else "left",
            no_wrap=name in ("AUC", "rank", *measures),
            overflow="fold",
        )
    for row in board.rows:
        cells = (
            number(row.rank, 0),
            *row.place,
            number(row.worst.headline.auc if row.worst else None),
            words.auc_interval(row),
            row.worst.headline.worst_attack if row.worst else words.EMPTY,
            *(figure for _, figure, _ in words.qualities(row, board.measures)),
            " ".join(part for part in (words.epsilon(row), words.delta(row), words.certified(row)) if part),
            words.seeds(row),
            *(() if narrow else (flags(row),)),
        )
        # Text, not str: a label such as [bold] is data, not markup.
        table.add_row(*(Text(cell) for cell in cells), style="" if row.worst else "dim")
    console.print(table)
    if verdicts:
        for row in board.rows:
            raised = f" [{flags(row)}]" if narrow and flags(row) else ""
            console.print(Text.assemble((row.label, "bold"), ": ", row.columns()["verdict"], raised))
    return out.getvalue()


def flags(row: Row) -> str:
    """A row's status, unless it is completed, and the names of its flags."""
    return ", ".join(part for part in (words.status(row), *(flag.name for flag in row.flags)) if part)
