"""Pictures of records: sheets of the first ones, and members beside the sample nearest to each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from bench.board.plots import save, write_png

SHEET_COLUMNS = 8
SHEET_RECORDS = 32


def draw_sheet(path: Path, sheet: NDArray[np.uint8]) -> None:
    """The first records of ``(n, channels, height, width)`` as tiles, unscaled; a page enlarges them."""
    records = sheet[:SHEET_RECORDS]
    n, _, height, width = records.shape
    columns = min(SHEET_COLUMNS, n)
    rows = -(-n // columns)
    tiles = np.zeros((rows * (height + 1) - 1, columns * (width + 1) - 1, 3), dtype=np.uint8)
    for index, record in enumerate(_colour(records)):
        top, left = index // columns * (height + 1), index % columns * (width + 1)
        tiles[top : top + height, left : left + width] = record.transpose(1, 2, 0)
    write_png(tiles, path)


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
    height, width = pairs[0].member.shape[1:]
    down, right = height + max(1, height // 10), width + max(1, width // 12)
    # One picture with white gaps: an axes for each record would take ten times as long to lay out.
    tiles = np.full((down + height, right * len(pairs), 3), 255, dtype=np.uint8)
    for index, pair in enumerate(pairs):
        for top, record in zip((0, down), _colour(np.stack([pair.member, pair.sample])), strict=True):
            tiles[top : top + height, index * right : index * right + width] = record.transpose(1, 2, 0)
    wide, high = 0.95 * len(pairs), 0.95 * tiles.shape[0] / right
    left, above, margin = 0.45, 0.4, 0.05  # inches, for the words
    size = (left + wide + margin, above + high + margin)
    figure = Figure(figsize=size)
    axes = figure.add_axes((left / size[0], margin / size[1], wide / size[0], high / size[1]))
    axes.imshow(tiles, interpolation="nearest", aspect="auto")
    axes.set_axis_off()
    for index, pair in enumerate(pairs):
        x = index * right + (width - 1) / 2
        axes.text(x, -0.06 * right, pair.title, ha="center", va="bottom", fontsize=8, parse_math=False)
    for top, name in ((0, "member"), (down, "nearest\nsample")):
        axes.text(-0.08 * right, top + height / 2, name, ha="right", va="center", fontsize=9, rotation=90)
    save(figure, path, exact=True)
