"""The lowest loss that a search has seen of each candidate, and how much it may still look."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Places = NDArray[np.int64]
Values = Callable[[Floats, Places], Floats]
"""Losses ``(k,)`` of points ``(k, dimensions)``, each belonging to one of the candidates ``(k,)``."""

TOO_LARGE = 1e30  # what a loss that is not finite counts as: beyond all others, and its square is finite


class Lowest:
    """Remembers, of each candidate, the best point ever evaluated: an optimiser's last one may be worse.

    Args:
        n: candidates.
        dimensions: of a point.
        evaluations: how many points each candidate may look at; None: as many as the search takes.

    Attributes:
        loss: float64 ``(n,)``, inf before the first point.
        z: float64 ``(n, dimensions)``, where that was.
        used: int64 ``(n,)``, points looked at.
    """

    def __init__(self, n: int, dimensions: int, evaluations: int | None) -> None:
        self.loss: Floats = np.full(n, np.inf)
        self.z: Floats = np.zeros((n, dimensions))
        self.used: Places = np.zeros(n, dtype=np.int64)
        self.evaluations = evaluations

    def see(self, z: Floats, which: Places, loss: Floats) -> Floats:
        """Note these losses; no candidate twice. Gives them back, large in place of what is not finite."""
        finite: Floats = np.minimum(np.where(np.isnan(loss), TOO_LARGE, loss), TOO_LARGE)
        self.used[which] += 1
        better = finite < self.loss[which]
        self.loss[which[better]] = finite[better]
        self.z[which[better]] = z[better]
        return finite

    def left(self, which: Places) -> NDArray[np.bool_]:
        """Which of these candidates may look at another point."""
        if self.evaluations is None:
            return np.ones(len(which), dtype=np.bool_)
        found: NDArray[np.bool_] = self.used[which] < self.evaluations
        return found
