"""The axes of the scatter: where a figure lies in the picture, and which round figures are marked."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench.board.kid_axis import LINEAR, logarithmic
from bench.board.measures import Measure
from bench.board.rows import Row

WIDTH, HEIGHT = 720.0, 460.0
LEFT, RIGHT, TOP, BOTTOM = 66.0, 20.0, 26.0, 52.0
"""Room beside the axes, in units of the picture."""


@dataclass(frozen=True)
class Axis:
    """A stretch of figures and where it lies in the picture; ``orders``: logarithmic beyond ``LINEAR``."""

    low: float
    high: float
    start: float
    end: float
    orders: bool = False

    def at(self, value: float) -> float:
        """Its place in the picture, within the axis."""
        low, high, value = (self._order(v) for v in (self.low, self.high, value))
        share = min(1.0, max(0.0, (value - low) / (high - low)))
        return round(self.start + share * (self.end - self.start), 1)

    def _order(self, value: float) -> float:
        return math.asinh(value / LINEAR) if self.orders else value

    def ticks(self) -> list[float]:
        """Round figures on the axis."""
        if self.orders:
            tens = [sign * 10.0**power for power in range(1, 10) for sign in (-1, 1)]
            return sorted(t for t in (0.0, *tens) if self.low <= t <= self.high)
        step = _round_step((self.high - self.low) / 6)
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [round(count * step, 10) for count in range(first, last + 1)]


def _round_step(rough: float) -> float:
    """1, 2 or 5 times a power of ten, at least ``rough``.

    >>> _round_step(0.07), _round_step(0.3)
    (0.1, 0.5)
    """
    power = 10.0 ** math.floor(math.log10(rough))
    return next(round(m * power, 12) for m in (1, 2, 5, 10) if m * power >= rough * (1 - 1e-9))


def auc_axis(rows: Sequence[Row]) -> Axis:
    """For the worst AUC of each row and its interval; chance always lies on it."""
    reach = [0.45, 0.55]
    for row in rows:
        if row.worst is not None and row.interval is not None:
            reach += [row.worst.headline.auc, row.interval.low, row.interval.high]
    return Axis(max(0.0, min(reach) - 0.02), min(1.0, max(reach) + 0.02), LEFT, WIDTH - RIGHT)


def distance_axis(rows: Sequence[Row], measure: Measure, lines: Iterable[float]) -> Axis:
    """For a distance of each row, its interval and the reference lines; of orders where the KID is large."""
    ends = list(lines)
    for row in rows:
        ends += [v for v in measure.figures(row.measured) if v is not None]
    low, high = min(ends), max(ends)
    orders = measure.column == "kid" and logarithmic(ends)
    room = 0.08 * (high - low or 1.0)
    if orders:
        return Axis(min(-2.0, 1.5 * low), high * 1.5, HEIGHT - BOTTOM, TOP, True)
    return Axis(low - room, high + room, HEIGHT - BOTTOM, TOP)
