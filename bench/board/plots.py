"""The canvas of a board's pictures, without a display; the same results give the same bytes.

Every function of ``bench.board.plots_*`` draws from plain figures, so that each can be tried alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

DPI = 110
COLOURS = 256
"""Colours of a plot's PNG: lines of seven colours, and most of their blends at the edges."""

METADATA: dict[str, Any] = {"Software": None}  # else each file would carry the version of matplotlib
SVG_METADATA: dict[str, Any] = {"Date": None, "Creator": None}


def save(figure: Figure, path: Path, exact: bool = False) -> None:
    """Writes a small PNG without anything that differs between runs.

    Args:
        exact: whether every colour counts, as in records; else the picture has at most ``COLOURS``.
    """
    _laid_out(figure)
    drawn = BytesIO()
    figure.savefig(drawn, format="png", dpi=DPI, metadata=METADATA, facecolor="white")
    with Image.open(drawn) as image:
        write_png(np.asarray(image.convert("RGB")), path, None if exact else COLOURS)


def save_svg(figure: Figure, path: Path) -> None:
    """Writes the same as vectors, for papers."""
    _laid_out(figure)
    # Ids that do not differ from run to run, and text that stays text: a paper sets it in a font of its own.
    with matplotlib.rc_context({"svg.hashsalt": "leakboard", "svg.fonttype": "none"}):
        figure.savefig(path, format="svg", metadata=SVG_METADATA, facecolor="white")


def write_png(pixels: NDArray[np.uint8], path: Path, colours: int | None = None) -> None:
    """RGB ``(height, width, 3)`` with a palette where it has few colours, or shall have: a third of the bytes, or less.

    Args:
        pixels: the picture.
        path: of the file.
        colours: that are kept where there are more than 256, the most frequent of those that differ visibly; every
            other becomes the nearest of these. None: nothing is lost.
    """
    packed = pixels.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], dtype=np.uint32)
    values, where, counts = np.unique(packed, return_inverse=True, return_counts=True)
    kept = 256 if len(values) <= 256 else colours
    image = Image.fromarray(pixels)
    if kept is not None:
        every = np.stack([values >> 16, values >> 8 & 255, values & 255], axis=1).astype(np.int64)
        order = np.argsort(-counts, kind="stable")
        if len(every) > 256:  # else hundreds of almost white ones would leave no room for a thin line's colour
            order = order[np.sort(np.unique(every[order] // 20, axis=0, return_index=True)[1])]
        palette = every[order[:kept]]
        # The squared distance, less what is the same for every colour of the palette.
        nearest = ((palette**2).sum(axis=1) - 2 * every @ palette.T).argmin(axis=1).astype(np.uint8)
        image = Image.fromarray(nearest[where].reshape(pixels.shape[:2]))
        image.putpalette(palette.astype(np.uint8).tobytes())
    image.save(path, format="PNG", optimize=True)


def _laid_out(figure: Figure) -> None:
    """Lays a figure out once; with an engine left in place saving would draw twice."""
    if figure.get_layout_engine() is not None:
        FigureCanvasAgg(figure)
        figure.set_dpi(DPI)
        figure.draw_without_rendering()
        figure.set_layout_engine(None)


def one_plot(title: str, size: tuple[float, float]) -> tuple[Figure, Axes]:
    """A figure of so many inches with one plot in it."""
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots()
    # A label is data, not markup: an unescaped $ would start a formula.
    axes.set_title(title, fontsize=10, parse_math=False)
    axes.grid(alpha=0.25)
    return figure, axes


def legend_label(label: str) -> str:
    """A label as it can stand in a legend: matplotlib leaves out those that start with an underscore."""
    return f" {label}" if label.startswith("_") else label


MANY = 16
"""From more entries on a legend is set smaller, else it would be longer than the plot."""


def legend_columns(labels: Sequence[str]) -> int:
    """Columns of a legend: two, unless long labels would squeeze the axes."""
    return 1 if max(map(len, labels)) > (32 if len(labels) <= MANY else 40) else 2


def legend_below(axes: Axes, columns: int) -> None:
    """What each line and mark is, below the axes."""
    size = 8 if len(axes.get_legend_handles_labels()[1]) <= MANY else 7
    legend = axes.legend(fontsize=size, frameon=False, loc="upper left", bbox_to_anchor=(0, -0.13), ncols=columns)
    for text in legend.get_texts():
        text.set_parse_math(False)
