"""The axis of a KID, which is near 0 for good samples, may be negative, and has no upper end."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LINEAR = 10.0
"""Below this KID x 1000 the logarithmic axis is linear, since KID may be 0 or less."""

LARGE = 100.0
"""Beyond this KID x 1000 good samples could not be told apart on a linear axis."""


def logarithmic(figures: Iterable[float]) -> bool:
    """Whether the axis of these KIDs (x 1000), at least one, is logarithmic above ``LINEAR``.

    >>> logarithmic([-0.1, 100.0]), logarithmic([12.0, 310.0])
    (False, True)
    """
    return max(figures) > LARGE


def kid_axis(axes: Axes, figures: Iterable[float], most_ticks: int = 12) -> None:
    """Linear, or logarithmic above ``LINEAR`` where a KID is large.

    Args:
        axes: whose y axis it is.
        figures: everything that has to be seen, at least one.
        most_ticks: that there is room for.
    """
    ends = list(figures)
    highest, lowest = max(ends), min(ends)
    if logarithmic(ends):
        axes.set_yscale("symlog", linthresh=LINEAR, linscale=0.5)  # little happens near 0
        low, high = min(-2.0, lowest * (1.2 if lowest < 0 else 1)), highest * 1.6
        axes.set_ylim(low, high)
        ticks = kid_ticks(low, high, most_ticks)
        axes.set_yticks(ticks, [f"{tick:,}" for tick in ticks])
        axes.minorticks_off()
    else:
        axes.margins(y=0.12)


def kid_ticks(low: float, high: float, most: int = 12) -> list[int]:
    """Round numbers from ``low`` to ``high``: 1, 2 and 5 of each power of ten, or where those are many, 1 alone.

    >>> kid_ticks(-2, 700)
    [0, 5, 10, 20, 50, 100, 200, 500]
    >>> kid_ticks(-2, 9e6)
    [0, 10, 100, 1000, 10000, 100000, 1000000]
    """
    for digits in ((1, 2, 5), (1,)):
        steps = [digit * 10**power for power in range(1, 1 + len(str(int(max(high, -low))))) for digit in digits]
        steps = [5, *steps] if len(digits) > 1 else steps
        ticks = [tick for tick in [*(-step for step in reversed(steps)), 0, *steps] if low <= tick <= high]
        if len(ticks) <= most:
            break
    return ticks
