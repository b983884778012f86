"""Histograms of oriented gradients: what edges an image has, and where, but not its values."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.errors import InputError

ORIENTATIONS, CELL, BLOCK = 9, 8, 2  # of Dalal and Triggs: 20 degrees each, 8x8 pixels a cell, 2x2 cells a block
CLIP, EPSILON = 0.2, 1e-5  # of L2-Hys


def oriented_gradients(x: NDArray[np.float32]) -> NDArray[np.float64]:
    """Histograms of oriented gradients ``(n, features)`` of images ``(n, channels, height, width)``.

    As scikit-image computes them: gradients by central differences (0 at the border) of the channel in which they
    are largest, 9 unsigned orientations, cells of 8x8 pixels (half of a smaller image's side), overlapping blocks of
    2x2 cells, each normalised by L2-Hys; pixels beyond the last whole cell are left out.

    Dalal and Triggs, Histograms of Oriented Gradients for Human Detection, CVPR 2005, section 6.

    Raises:
        InputError: the images are smaller than 2x2 pixels.
    """
    n, _, height, width = x.shape
    cell = min(CELL, height // BLOCK, width // BLOCK)
    if cell < 1:
        raise InputError(f"expected images of at least {BLOCK}x{BLOCK} pixels for 'hog', got {height}x{width}")
    down, right = np.zeros(x.shape), np.zeros(x.shape)
    down[:, :, 1:-1] = x[:, :, 2:].astype(np.float64) - x[:, :, :-2]
    right[:, :, :, 1:-1] = x[:, :, :, 2:].astype(np.float64) - x[:, :, :, :-2]
    size = np.hypot(down, right)
    strongest = size.argmax(axis=1, keepdims=True)
    size, down, right = (np.take_along_axis(a, strongest, axis=1)[:, 0] for a in (size, down, right))
    # Angles just below 0 may round to 180 degrees, which are 0 again.
    orientation = (np.rad2deg(np.arctan2(down, right)) % 180 // (180 / ORIENTATIONS)).astype(np.int64) % ORIENTATIONS
    rows, columns = height // cell, width // cell
    cells = np.empty((n, rows, columns, ORIENTATIONS))
    for i in range(ORIENTATIONS):
        own = np.where(orientation == i, size, 0)[:, : rows * cell, : columns * cell]
        cells[..., i] = own.reshape(n, rows, cell, columns, cell).mean(axis=(2, 4))
    down_by, right_by = rows - BLOCK + 1, columns - BLOCK + 1
    corners = [cells[:, i : i + down_by, j : j + right_by] for i in range(BLOCK) for j in range(BLOCK)]
    blocks = _unit(np.minimum(_unit(np.concatenate(corners, axis=-1)), CLIP))
    return blocks.reshape(n, -1)


def _unit(blocks: NDArray[np.float64]) -> NDArray[np.float64]:
    norm = np.sqrt(np.square(blocks).sum(axis=-1, keepdims=True) + EPSILON**2)
    unit: NDArray[np.float64] = blocks / norm
    return unit
