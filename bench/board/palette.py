"""Colours, lines and marks of the plots: told apart without colour vision, in the same order everywhere."""

from __future__ import annotations

from typing import NamedTuple

OKABE_ITO = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito, "Color Universal Design" (2008); its yellow is left out, as it vanishes on white."""

Line = str | tuple[float, tuple[float, ...]]
"""A dash as matplotlib takes it: a name, or an offset with lengths of dashes and gaps."""

LINES: tuple[Line, ...] = (
    "-",
    (0, (5, 1.5)),
    (0, (1, 1)),
    (0, (6, 1.5, 1, 1.5)),
    (0, (3, 1, 1, 1, 1, 1)),
    (0, (10, 2)),
    (0, (2, 2)),
    (0, (8, 1.5, 3, 1.5)),
)
MARKS = ("o", "s", "^", "D", "v", "P", "X", "*", "p")


class Style(NamedTuple):
    """How one of several things is drawn."""

    colour: str
    line: Line
    mark: str


def style(index: int) -> Style:
    """How the ``index``-th thing looks: colour, line and mark all change with each.

    There are 7 colours, 8 lines and 9 marks, numbers without a common divisor: 56 things differ in colour or line, 63
    in colour or mark, and neighbours in all three.
    """
    return Style(
        OKABE_ITO[index % len(OKABE_ITO)],
        LINES[index % len(LINES)],
        MARKS[index % len(MARKS)],
    )
