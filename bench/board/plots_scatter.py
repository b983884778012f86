"""Privacy against quality: the rows of one data set and target, and the front of those that none beats in both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from bench.board.kid_axis import kid_axis
from bench.board.measures import MEASURES, Measure
from bench.board.palette import style
from bench.board.pareto import front_of_rows
from bench.board.plots import legend_below, legend_columns, legend_label, one_plot, save, save_svg

Interval = tuple[float, float]


@dataclass(frozen=True)
class Point:
    """One row of the leaderboard in the scatter.

    Attributes:
        label: the defense.
        auc, quality: the figures, quality as a distance; ``auc_interval``, ``quality_interval`` theirs, or None.
        index: of its style; the same defense looks the same in every plot of a board.
        useless: whether the samples are no better than the untrained model's.
    """

    label: str
    auc: float
    quality: float
    auc_interval: Interval | None
    quality_interval: Interval | None
    index: int
    useless: bool = False


def draw_scatter(
    path: Path, title: str, points: Sequence[Point], lines: Mapping[str, float], measure: Measure = MEASURES["image"]
) -> Path:
    """Privacy (worst AUC) against quality (a distance), with chance, reference lines and the Pareto front.

    Args:
        path: of the PNG; the same as SVG lies beside it.
        points: the rows of one data set and target.
        lines: name -> distance of each reference line.
        measure: what the distance is.

    Returns:
        The SVG's path.
    """
    figure, axes = one_plot(title, (6.4, 4.6))
    axes.axvline(0.5, color="0.35", linestyle="--", linewidth=1)
    axes.annotate(
        "chance", (0.5, 0), xycoords=("data", "axes fraction"), xytext=(3, 3), textcoords="offset points",
        va="bottom", fontsize=8, color="0.35",
    )  # fmt: skip
    if measure.column == "kid":
        ends = [end for p in points for end in (p.quality, *(p.quality_interval or ()))]
        kid_axis(axes, [*ends, *lines.values()])
    else:
        axes.margins(y=0.12)
    for name, distance in lines.items():
        axes.axhline(distance, color="0.6", linestyle=":", linewidth=1)
        axes.annotate(
            name, (1, distance), xycoords=("axes fraction", "data"), xytext=(-3, 2), textcoords="offset points",
            ha="right", fontsize=8, color="0.35",
        )  # fmt: skip
    for point in points:
        look = style(point.index)
        axes.errorbar(
            [point.auc], [point.quality],
            xerr=_bars(point.auc, point.auc_interval), yerr=_bars(point.quality, point.quality_interval),
            color=look.colour, marker=look.mark, markersize=7, linestyle="none", elinewidth=1, capsize=2,
            markerfacecolor="white" if point.useless else look.colour,
            label=legend_label(point.label) + (" (useless samples)" if point.useless else ""),
        )  # fmt: skip
    reach = [0.45, 0.55, *(x for p in points for x in (p.auc, *(p.auc_interval or ())))]
    axes.set_xlim(max(0.0, min(reach) - 0.02), min(1.0, max(reach) + 0.02) + 0.005)
    axes.set_xlabel("AUC of the worst attack (left is private)")
    axes.set_ylabel(measure.axis)
    _draw_front(axes, points)
    legend_below(axes, legend_columns([point.label for point in points]))
    save(figure, path)
    svg = path.with_suffix(".svg")
    save_svg(figure, svg)
    return svg


def _draw_front(axes: Axes, points: Sequence[Point]) -> None:
    """The border of what the useful rows reach together: above and right of it some row is better in both."""
    useful = [(point.auc, point.quality) for point in points if not point.useless]
    front = [useful[index] for index in front_of_rows(useful)]
    if not front:
        return
    right, top = axes.get_xlim()[1], axes.get_ylim()[1]
    x, y = zip((front[0][0], top), *front, (right, front[-1][1]), strict=True)
    axes.step(x, y, where="post", color="0.45", linewidth=1.2, zorder=1, label="Pareto front")
    axes.set_xlim(right=right)
    axes.set_ylim(top=top)


def _bars(value: float, interval: Interval | None) -> NDArray[np.float64] | None:
    """Lengths below and above; a headline's interval need not contain its point, hence not below 0."""
    if interval is None:
        return None
    return np.array([[max(0.0, value - interval[0])], [max(0.0, interval[1] - value)]])
