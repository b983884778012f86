"""Which of several rows are the best that was done: the Pareto front of two figures, both better when lower."""

from __future__ import annotations

import math
from collections.abc import Sequence

CHANCE = 0.5


def front_of_rows(figures: Sequence[tuple[float, float]]) -> list[int]:
    """Indices of the rows that none beats in both AUC and distance, along the front.

    An AUC below chance counts as chance: it tells of a sign or of noise, not of more privacy.

    Args:
        figures: AUC of the worst attack, and distance of the samples to real records, both better when lower.

    Raises:
        ValueError: if a figure is NaN.

    >>> front_of_rows([(0.49, 80.0), (0.51, 20.0), (0.50, 70.0)])
    [2, 1]
    """
    return pareto([(max(auc, CHANCE), distance) for auc, distance in figures])


def pareto(points: Sequence[tuple[float, float]]) -> list[int]:
    """Indices of the points that no other dominates, along the front: by ascending first figure.

    A point dominates another if it is nowhere higher and somewhere lower; equal points do not dominate each other, so
    that all of them are kept, in the order given.

    Raises:
        ValueError: if a figure is NaN: it has no place in an order.

    >>> pareto([(0.9, 10.0), (0.5, 80.0), (0.9, 20.0), (0.6, 30.0)])
    [1, 3, 0]
    """
    for index, point in enumerate(points):
        if any(math.isnan(figure) for figure in point):
            raise ValueError(f"expected two numbers each, got {point} at index {index}; leave out what has no figure")
    front: list[int] = []
    for index in sorted(range(len(points)), key=lambda i: points[i]):
        best = points[front[-1]] if front else None
        if best is None or points[index][1] < best[1] or points[index] == best:
            front.append(index)
    return front
