"""Where the parts of an interval that is drawn in a cell lie, in hundredths of its width."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bench.board.kid_axis import LINEAR


@dataclass(frozen=True)
class Bar:
    """A figure on a line from 0 to 100.

    Attributes:
        point: the figure; ``low`` and ``high`` its interval over records, ``run_low`` and ``run_high`` the one over
            training runs; None where there is none.
        marks: reference values.
    """

    point: float
    low: float | None = None
    high: float | None = None
    run_low: float | None = None
    run_high: float | None = None
    marks: tuple[float, ...] = ()


@dataclass(frozen=True)
class AucScale:
    """One scale for all AUCs of a page, so that cells can be compared by eye; chance always lies on it."""

    lowest: float

    @classmethod
    def over(cls, values: Sequence[float]) -> AucScale:
        """Reaches from a little below the lowest of ``values``, at most .45, to 1."""
        return cls(max(0.0, min([0.47, *values]) - 0.02))

    def at(self, auc: float) -> float:
        """Its place.

        >>> AucScale(0.4).at(0.7)
        50.0
        """
        return _within((auc - self.lowest) / (1 - self.lowest))


def distance_bar(
    value: float, low: float | None, high: float | None, real: float, untrained: float, highest: float
) -> Bar | None:
    """A distance on a scale of orders from what real records read to the highest figure, or the untrained model's.

    None where the untrained model reads no more than real records, since then there is no scale.

    >>> distance_bar(5.0, None, None, 5.0, 900.0, 900.0).point
    0.0
    """
    start, end = _order(real), _order(max(untrained, highest))
    if untrained <= real:
        return None

    def at(distance: float | None) -> float | None:
        return None if distance is None else _within((_order(distance) - start) / (end - start))

    place, limit = at(value), at(untrained)
    assert place is not None
    assert limit is not None
    return Bar(place, at(low), at(high), marks=(0.0, limit))


def _order(distance: float) -> float:
    return math.asinh(distance / LINEAR)


def _within(share: float) -> float:
    return round(100 * min(1.0, max(0.0, share)), 2)
