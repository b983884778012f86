"""What attacks tell of sets of candidates, a reading per size that the matrix asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.board.columns import INTERVALS, SET_MEASURES
from bench.errors import PluginError
from bench.metrics.intervals import SetSummary, summarise_sets
from bench.metrics.sets import compose_sets
from bench.results import Cell


@dataclass(frozen=True, eq=False)
class SetReading:
    """One attack on the sets of one size.

    Attributes:
        size: records of a set.
        set_id: int64 ``(n,)`` of its candidates, -1 in no set.
        summary: the figures.
    """

    size: int
    set_id: NDArray[np.int64]
    summary: SetSummary

    def columns(self) -> dict[str, Any]:
        """The cells of ``sets.csv`` that are not those of its attack."""
        s = self.summary
        return {
            "size": self.size,
            "member_sets": s.member_sets,
            "nonmember_sets": s.nonmember_sets,
            "seeds": s.seeds,
            "own_score": s.own_score,
            **{measure + end: getattr(s, measure + end) for measure in SET_MEASURES for end in INTERVALS},
            "set_accuracy_chance": s.set_accuracy_chance,
        }


class Composer:
    """Composes sets, once for all attacks and defenses on the same candidates of a data set."""

    def __init__(self, sizes: Sequence[int]) -> None:
        self.sizes = tuple(sizes)
        self._made: dict[tuple[str, bytes, bytes, int], NDArray[np.int64]] = {}

    def set_id(self, cell: Cell, size: int) -> NDArray[np.int64]:
        """Set ids ``(n,)`` of a cell's candidates."""
        same = (cell.dataset, cell.record_ids.tobytes(), cell.membership.tobytes(), size)
        if same not in self._made:
            self._made[same] = compose_sets(cell.record_ids, cell.membership, size)
        return self._made[same]

    def readings(
        self, cells: Sequence[Cell], scores: NDArray[np.float64], seed: int, resamples: int
    ) -> tuple[SetReading, ...]:
        """A reading per size.

        Args:
            cells: of one attack on one row, a training run each, on the same candidates.
            scores: float64 ``(seeds, n)``, theirs.
            seed, resamples: of the bootstrap.

        Raises:
            PluginError: an attack scored sets of its own at some seeds and not at others.
        """
        first, made = cells[0], []
        for size in self.sizes:
            set_id, own = self.set_id(first, size), [cell.set_scores.get(size) for cell in cells]
            found = [each for each in own if each is not None]
            if found and len(found) < len(cells):
                without = ", ".join(str(cell.seed) for cell in cells if size not in cell.set_scores)
                raise PluginError(
                    f"expected {first.attack} to score sets of {size} at every seed of {first.target} / "
                    f"{first.defense}, got none at seed {without}: score sets at all seeds or at none"
                )
            summary = summarise_sets(
                scores, first.membership, set_id, seed, resamples, own=np.stack(found) if found else None
            )
            made.append(SetReading(size, set_id, summary))
        return tuple(made)
