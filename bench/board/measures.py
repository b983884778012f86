"""The figure that sample quality is compared by: KID for images, the marginal distance for tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bench.results import Lines, Trial


@dataclass(frozen=True)
class Measure:
    """A distance between samples and held-out real records; lower is better.

    Attributes:
        column: of the tables; ``column_low`` and ``column_high`` are its interval, ``column_real`` and
            ``column_untrained`` its reference lines.
        title: in a sentence.
        head: of a table's column.
        digits: decimals shown.
        axis: of a plot.
        explanation: what it says, in a sentence.
        beside: columns and titles of further distances; samples are useless only where none is better than untrained.
    """

    column: str
    title: str
    head: str
    digits: int
    axis: str
    explanation: str
    beside: tuple[tuple[str, str], ...] = ()

    def judged(self) -> tuple[tuple[str, str], ...]:
        """Column and title of every distance that says whether anything is left of the samples."""
        return ((self.column, self.title), *self.beside)

    def figures(self, measured: Mapping[str, Any]) -> tuple[Any, Any, Any]:
        """The distance and both ends of its interval among a row's columns; None where not measured."""
        return measured[self.column], measured[f"{self.column}_low"], measured[f"{self.column}_high"]

    def lines(self, lines: Lines) -> dict[str, float]:
        """The reference lines that were measured, named for people."""
        named = {"real records": lines.real, "untrained": lines.untrained}
        return {name: getattr(record, self.column) for name, record in named.items() if record is not None}


MEASURES = {
    "image": Measure(
        "kid", "KID", "KID", 1, "KID x 1000 (down is faithful)",
        "KID x 1000 compares images with held-out real ones; lower is better.",
    ),
    "table": Measure(
        "marginal_distance", "marginal distance", "marginal", 3, "marginal distance (down is faithful)",
        "The marginal distance (0 to 1) compares each column of a table with held-out real rows; lower is better.",
        # A table's columns are standardised, so independent noise may have their marginals without any training.
        (("correlation_distance", "correlation distance"),),
    ),
}  # fmt: skip
"""Kind of record -> what its quality is compared by."""


def measure_of(trials: Iterable[Trial], lines: Lines | None) -> Measure:
    """The measure of a row; where no quality was measured at all, that of images."""
    records = [trial.quality for trial in trials] + ([lines.real, lines.untrained] if lines else [])
    return MEASURES[next((record.kind for record in records if record is not None), "image")]
