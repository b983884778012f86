"""What the samples of a row are worth, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.board.rows import Row


def quality(row: Row) -> str:
    """Distances and utility beside their reference lines; empty where the row says already why there are none."""
    m, measure = row.measured, row.measure
    if m[measure.column] is None:
        return "Sample quality was not measured." if row.status == "completed" else ""
    value, low, high = (f"{figure:.{measure.digits}f}" for figure in measure.figures(m))
    parts = [f"{measure.title} {value} (95 % {low} to {high}){_beside(m, measure.column, measure.digits)}"]
    if row.raised("quality_gone"):
        parts.append("no better than untrained")
    if m["correlation_distance"] is not None:
        parts.append(f"correlation distance {m['correlation_distance']:.3f}{_beside(m, 'correlation_distance', 3)}")
    if m["utility"] is not None:
        parts.append(
            f"a classifier trained on them is right on {m['utility']:.3f} of real records, one trained on as many real "
            f"ones on {m['utility_real']:.3f}"
        )
    return f"Samples: {'; '.join(parts)}."


def _beside(measured: Mapping[str, Any], column: str, digits: int) -> str:
    """The reference lines of a distance, where there are any."""
    named = {"real records": measured[f"{column}_real"], "untrained": measured[f"{column}_untrained"]}
    beside = [f"{name} {value:.{digits}f}" for name, value in named.items() if value is not None]
    return f" against {', '.join(beside)}" if beside else ""
