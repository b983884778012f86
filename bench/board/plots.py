"""The pictures of a board, drawn without a display; the same results give the same bytes.

Every function draws from plain figures, so that each can be tried alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from bench.board.measures import MEASURES, Measure
from bench.board.palette import style
from bench.metrics.roc import roc_curve

DPI = 110
METADATA: dict[str, Any] = {"Software": None}  # else each file would carry the version of matplotlib
SHEET_COLUMNS = 8
SHEET_RECORDS = 32
CURVE_POINTS = 80

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


@dataclass(frozen=True)
class RocLine:
    """One attack in a ROC plot: ``scores`` ``(seeds, n)``, ``membership`` ``(n,)``; ``index``: its style."""

    label: str
    scores: NDArray[np.float64]
    membership: NDArray[np.bool_]
    index: int


def save(figure: Figure, path: Path) -> None:
    """Writes a PNG without anything that differs between runs."""
    FigureCanvasAgg(figure)
    figure.set_dpi(DPI)
    figure.draw_without_rendering()  # lays the figure out once; with an engine left in place saving would draw twice
    figure.set_layout_engine(None)
    figure.savefig(path, dpi=DPI, metadata=METADATA, facecolor="white")


def draw_scatter(
    path: Path, title: str, points: Sequence[Point], lines: Mapping[str, float], measure: Measure = MEASURES["image"]
) -> None:
    """Privacy (worst AUC) against quality (a distance), with chance and the reference lines.

    Args:
        points: the rows of one data set and target.
        lines: name -> distance of each reference line.
        measure: what the distance is.
    """
    figure, axes = _axes(title, (6.4, 4.6))
    axes.axvline(0.5, color="0.35", linestyle="--", linewidth=1)
    axes.annotate(
        "chance", (0.5, 1), xycoords=("data", "axes fraction"), xytext=(3, -3), textcoords="offset points",
        va="top", fontsize=8, color="0.35",
    )  # fmt: skip
    if measure.column == "kid":
        _kid_axis(axes, points, lines)
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
            label=point.label + (" (useless samples)" if point.useless else ""),
        )  # fmt: skip
    reach = [0.45, 0.55, *(x for p in points for x in (p.auc, *(p.auc_interval or ())))]
    axes.set_xlim(max(0.0, min(reach) - 0.02), min(1.0, max(reach) + 0.02) + 0.005)
    axes.set_xlabel("AUC of the worst attack (left is private)")
    axes.set_ylabel(measure.axis)
    _legend(axes, _columns([point.label for point in points]))
    save(figure, path)


def _kid_axis(axes: Axes, points: Sequence[Point], lines: Mapping[str, float]) -> None:
    """Linear, unless one KID dwarfs the others: then logarithmic above 10, since KID may be negative."""
    ends = [p.quality for p in points] + [k for p in points for k in p.quality_interval or ()] + list(lines.values())
    highest, lowest = max(ends), min(ends)
    if highest > 20 * max(10.0, float(np.median(ends))) or highest > 100:
        axes.set_yscale("symlog", linthresh=10)
        axes.set_ylim(min(-2.0, lowest * 1.2), highest * 1.6)
        ticks = [
            t
            for t in (-100, -10, 0, 5, 10, 20, 50, 100, 200, 500, 1000, 2000)
            if min(0.0, lowest) <= t <= highest * 1.6
        ]
        axes.set_yticks(ticks, [str(t) for t in ticks])
        axes.minorticks_off()
    else:
        axes.margins(y=0.12)


def _bars(value: float, interval: Interval | None) -> NDArray[np.float64] | None:
    """Lengths below and above; a headline's interval need not contain its point, hence not below 0."""
    if interval is None:
        return None
    return np.array([[max(0.0, value - interval[0])], [max(0.0, interval[1] - value)]])


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


def draw_roc(path: Path, title: str, lines: Sequence[RocLine], realised: Sequence[tuple[float, float] | None]) -> None:
    """ROC curves on logarithmic axes, the chance line, and each attack's realised 1 % FPR point.

    Args:
        lines: the completed attacks of one row, controls left out.
        realised: per attack the (FPR, TPR) realised for 1 %, or None where too few records measure it.
    """
    columns = _columns([line.label for line in lines])
    rows = -(-(len(lines) + 1) // columns)
    figure, axes = _axes(title, (5.6, 4.4 + 0.17 * rows))  # the axes keep their size below a long legend
    # Half a non-member: the first step of the curve, where nobody innocent is accused, stays in the picture.
    floor = min(0.5 / int((~line.membership).sum()) for line in lines)
    grid = np.geomspace(floor, 1, 50)
    axes.plot(grid, grid, color="0.35", linestyle="--", linewidth=1, label="chance")
    for line, point in zip(lines, realised, strict=True):
        look = style(line.index)
        fpr, tpr = mean_roc(line.scores, line.membership)
        axes.step(
            np.maximum(fpr, floor), np.maximum(tpr, floor), where="post", color=look.colour,
            linestyle=look.line, linewidth=1.4, label=line.label,
        )  # fmt: skip
        if point is not None and min(point) > 0:
            axes.plot(*point, color=look.colour, marker=look.mark, markersize=6, markeredgecolor="white", zorder=4)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(floor, 1)
    axes.set_ylim(floor, 1.05)
    axes.set_xlabel("false-positive rate")
    axes.set_ylabel("true-positive rate")
    _legend(axes, columns)
    save(figure, path)


def draw_curves(path: Path, title: str, histories: Mapping[int, Mapping[str, NDArray[np.float64]]]) -> None:
    """The training history of one row: a panel per column, a line per seed.

    Args:
        histories: seed -> column -> array over training steps; a phase that does not run on every step has fewer
            values, spread over the same steps.
    """
    columns = list(dict.fromkeys(name for history in histories.values() for name in history))
    figure = Figure(figsize=(5.2, 1.1 + 1.2 * len(columns)), layout="constrained")
    figure.suptitle(title, fontsize=10, parse_math=False)
    panels = figure.subplots(len(columns), 1, squeeze=False, sharex=True)[:, 0]
    for axes, column in zip(panels, columns, strict=True):
        for index, (seed, history) in enumerate(histories.items()):
            if column not in history:
                continue
            step, mean = thinned(np.asarray(history[column], dtype=np.float64))
            stride = max(map(len, history.values())) / max(1, len(history[column]))
            axes.plot(step * stride, mean, color=style(index).colour, linewidth=1, label=f"seed {seed}")
        axes.set_ylabel(column.replace("_", "\n", 1), fontsize=8)
        axes.tick_params(labelsize=8)
        axes.grid(alpha=0.25)
    panels[-1].set_xlabel("training step", fontsize=8)
    panels[0].legend(fontsize=7, loc="upper right", ncols=3, frameon=False)
    save(figure, path)


def thinned(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """At most ``CURVE_POINTS`` means over equal stretches, with the middle step of each; NaN stays NaN."""
    parts = np.array_split(np.arange(len(values)), min(CURVE_POINTS, max(1, len(values))))
    return np.array([p.mean() for p in parts if len(p)]), np.array([values[p].mean() for p in parts if len(p)])


def draw_sheet(path: Path, sheet: NDArray[np.uint8]) -> None:
    """The first records of ``(n, channels, height, width)`` as tiles, unscaled; a page enlarges them."""
    from matplotlib.image import imsave

    records = sheet[:SHEET_RECORDS]
    n, _, height, width = records.shape
    columns = min(SHEET_COLUMNS, n)
    rows = -(-n // columns)
    tiles = np.zeros((rows * (height + 1) - 1, columns * (width + 1) - 1, 3), dtype=np.uint8)
    for index, record in enumerate(_colour(records)):
        top, left = index // columns * (height + 1), index % columns * (width + 1)
        tiles[top : top + height, left : left + width] = record.transpose(1, 2, 0)
    imsave(path, tiles, metadata=METADATA)


def _colour(records: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """RGB ``(n, 3, height, width)``; what is neither grey nor RGB is shown as the mean of its channels."""
    if records.shape[1] == 3:
        return records
    grey: NDArray[np.uint8] = np.rint(records.mean(axis=1, keepdims=True)).astype(np.uint8)
    return np.repeat(grey, 3, axis=1)


@dataclass(frozen=True)
class Pair:
    """A member and the generated sample nearest to it, uint8 ``(channels, height, width)`` each; ``title`` of both."""

    member: NDArray[np.uint8]
    sample: NDArray[np.uint8]
    title: str


def draw_pairs(path: Path, pairs: Sequence[Pair]) -> None:
    """Members above, the sample nearest to each below."""
    figure = Figure(figsize=(0.75 + 0.95 * len(pairs), 2.45), layout="constrained")
    grid = figure.subplots(2, len(pairs), squeeze=False)
    for axes, pair in zip(grid.T, pairs, strict=True):
        for place, record in zip(axes, _colour(np.stack([pair.member, pair.sample])), strict=True):
            place.imshow(record.transpose(1, 2, 0), interpolation="nearest")
            place.set_xticks([])
            place.set_yticks([])
        axes[0].set_title(pair.title, fontsize=8, parse_math=False)
    for place, name in zip(grid[:, 0], ("member", "nearest\nsample"), strict=True):
        place.set_ylabel(name, fontsize=9)
    save(figure, path)


def _axes(title: str, size: tuple[float, float]) -> tuple[Figure, Axes]:
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots()
    # A label is data, not markup: an unescaped $ would start a formula.
    axes.set_title(title, fontsize=10, parse_math=False)
    axes.grid(alpha=0.25)
    return figure, axes


def _columns(labels: Sequence[str]) -> int:
    """Columns of a legend: two, unless long labels would squeeze the axes, or there are many."""
    return 1 if len(labels) > 7 or max(map(len, labels)) > 32 else 2


def _legend(axes: Axes, columns: int) -> None:
    legend = axes.legend(fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(0, -0.13), ncols=columns)
    for text in legend.get_texts():
        text.set_parse_math(False)
