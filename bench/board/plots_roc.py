"""ROC curves on logarithmic axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.board.palette import style
from bench.board.plots import legend_below, legend_columns, legend_label, one_plot, save
from bench.metrics.roc import roc_curve


@dataclass(frozen=True)
class RocLine:
    """One attack in a ROC plot.

    Attributes:
        label: of the attack.
        scores: ``(seeds, n)``.
        membership: ``(n,)``.
        index: of its style.
        realised: (FPR, TPR) realised for 1 % and for .1 %; None where too few records measure it.
    """

    label: str
    scores: NDArray[np.float64]
    membership: NDArray[np.bool_]
    index: int
    realised: Sequence[tuple[float, float] | None] = (None, None)


def mean_roc(
    scores: NDArray[np.float64], membership: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The largest TPR at each attainable FPR k / |N|, mean over seeds: FPR and TPR, each ``(|N| + 1,)``."""
    n = int((~membership).sum())
    fpr = np.arange(n + 1) / n
    total = np.zeros(n + 1)
    for run in scores:
        curve = roc_curve(run, membership)
        # The curve's FPRs are k / n up to rounding; compare the whole numbers.
        reached = np.rint(curve.fpr * n)
        last = np.searchsorted(reached, np.arange(n + 1), side="right") - 1
        total += curve.tpr[last]
    return fpr, total / len(scores)


def draw_roc(path: Path, title: str, lines: Sequence[RocLine]) -> None:
    """ROC curves on logarithmic axes, the chance line, and each attack's realised low-FPR points.

    Args:
        lines: the completed attacks of one row, controls left out.
    """
    columns = legend_columns([line.label for line in lines])
    rows = -(-(len(lines) + 1) // columns)
    figure, axes = one_plot(title, (5.6, 4.4 + 0.17 * rows))  # the axes keep their size below a long legend
    # Half a non-member: the first step of the curve, where nobody innocent is accused, stays in the picture.
    floor = min(0.5 / int((~line.membership).sum()) for line in lines)
    grid = np.geomspace(floor, 1, 50)
    axes.plot(grid, grid, color="0.55", linewidth=1, label="chance", zorder=1)
    for line in lines:
        look = style(line.index)
        fpr, tpr = mean_roc(line.scores, line.membership)
        axes.step(
            np.maximum(fpr, floor), np.maximum(tpr, floor), where="post", color=look.colour,
            linestyle=look.line, linewidth=1.4, label=legend_label(line.label),
        )  # fmt: skip
        for point, ground in zip(line.realised, (look.colour, "white"), strict=True):
            if point is not None:
                # A rate of 0 stands at the edge, as the curve does, where half a mark must not be cut off.
                axes.plot(
                    *np.maximum(point, floor), color=look.colour, marker=look.mark, markersize=6.5, zorder=4,
                    markerfacecolor=ground, markeredgecolor="white" if ground != "white" else look.colour,
                    clip_on=False,
                )  # fmt: skip
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(floor, 1)
    axes.set_ylim(floor, 1.05)
    axes.set_xlabel("false-positive rate")
    axes.set_ylabel("true-positive rate")
    legend_below(axes, columns)
    save(figure, path)
