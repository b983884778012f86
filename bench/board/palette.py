"""Colours, lines and marks of the plots: told apart without colour vision, in the same order everywhere."""

from __future__ import annotations

from typing import NamedTuple

OKABE_ITO = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito, "Color Universal Design" (2008); its yellow is left out, as it vanishes on white."""
LINES = ("-", "--", "-.", ":")
MARKS = ("o", "s", "^", "D", "v", "P", "X", "*")


class Style(NamedTuple):
    """How one of several things is drawn."""

    colour: str
    line: str
    mark: str


def style(index: int) -> Style:
    """How the ``index``-th thing looks: colour and mark change with each, the line with each round."""
    return Style(
        OKABE_ITO[index % len(OKABE_ITO)],
        LINES[index // len(OKABE_ITO) % len(LINES)],
        MARKS[index % len(MARKS)],
    )
