"""Places for the labels of points, where they cover neither another label nor a point."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

CHARACTER, LINE = 7.8, 14.0  # width and height of a character of the labels in bold, at most, in most fonts
GAP = 7.0  # between a point and its label


class Box(NamedTuple):
    """A rectangle: left, top, right, bottom."""

    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: Box) -> bool:
        """Whether the two have a part in common."""
        return (
            self.left < other.right and other.left < self.right and self.top < other.bottom and other.top < self.bottom
        )

    def within(self, other: Box) -> bool:
        """Whether it lies in the other one."""
        return (
            other.left <= self.left
            and self.right <= other.right
            and other.top <= self.top
            and self.bottom <= other.bottom
        )


class Spot(NamedTuple):
    """Where a label stands: its base line, at its start or, with ``end``, at its end."""

    x: float
    y: float
    end: bool


def place_labels(
    points: Sequence[tuple[float, float, str]], inside: Box, bars: Sequence[Box] = ()
) -> list[Spot | None]:
    """A spot for the label of each point ``(x, y, label)``, or None where there is no room.

    Greedy, in the order given; where there is room clear of the ``bars``, else across them.
    """
    taken = [Box(x - 6, y - 6, x + 6, y + 6) for x, y, _ in points]
    spots: list[Spot | None] = []
    for own, (x, y, label) in enumerate(points):
        others = [other for index, other in enumerate(taken) if index != own]
        free = [
            (spot, box)
            for spot, box in _tries(x, y, CHARACTER * len(label))
            if box.within(inside) and not any(box.meets(other) for other in others)
        ]
        clear = [(spot, box) for spot, box in free if not any(box.meets(bar) for bar in bars)]
        if free:
            spot, box = (clear or free)[0]
            taken.append(box)
            spots.append(spot)
        else:
            spots.append(None)
    return spots


def _tries(x: float, y: float, width: float) -> list[tuple[Spot, Box]]:
    tries = []
    for drop in (-0.8 * LINE, 0.9 * LINE, 0.0, -1.8 * LINE, 1.9 * LINE):  # beside the bars first, which are level
        base = y + drop + LINE / 3
        for end in (False, True):
            start = x - GAP - width if end else x + GAP
            box = Box(start, base - LINE + 3, start + width, base + 3)
            tries.append((Spot(round(x - GAP if end else x + GAP, 1), round(base, 1), end), box))
    return tries
