"""Perturbed copies of images: each record by an amount of its own, all at once.

Images are float32 ``(n, channels, height, width)`` in [-1, 1]; what lies beyond an edge is the edge's own value.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.float32]


def shifted(x: Images, down: NDArray[np.int64], right: NDArray[np.int64]) -> Images:
    """Images moved by whole pixels, ``(n,)`` each way."""
    n, _, height, width = x.shape
    rows = np.clip(np.arange(height) - down[:, None], 0, height - 1)
    columns = np.clip(np.arange(width) - right[:, None], 0, width - 1)
    # Advanced indices around a slice put its axis last.
    moved = x[np.arange(n)[:, None, None], :, rows[:, :, None], columns[:, None, :]]
    return np.ascontiguousarray(np.moveaxis(moved, 3, 1))


def rotated(x: Images, degrees: float) -> Images:
    """Images turned about their centre, counter-clockwise as they are shown, by bilinear interpolation."""
    height, width = x.shape[2:]
    angle = np.deg2rad(degrees)
    y, z = np.mgrid[:height, :width].astype(np.float64)
    y, z = y - (height - 1) / 2, z - (width - 1) / 2
    # Where each pixel comes from: the inverse rotation, rows running downwards.
    rows = np.clip(np.cos(angle) * y + np.sin(angle) * z + (height - 1) / 2, 0, height - 1)
    columns = np.clip(-np.sin(angle) * y + np.cos(angle) * z + (width - 1) / 2, 0, width - 1)
    top, left = np.floor(rows).astype(np.int64), np.floor(columns).astype(np.int64)
    bottom, right = np.minimum(top + 1, height - 1), np.minimum(left + 1, width - 1)
    low, far = (rows - top).astype(np.float32), (columns - left).astype(np.float32)
    above = x[:, :, top, left] * (1 - far) + x[:, :, top, right] * far
    below = x[:, :, bottom, left] * (1 - far) + x[:, :, bottom, right] * far
    turned: Images = above * (1 - low) + below * low
    return turned


def mirrored(x: Images, which: NDArray[np.bool_]) -> Images:
    """Images of which some, bool ``(n,)``, are flipped left to right."""
    flipped: Images = np.where(which[:, None, None, None], x[..., ::-1], x)
    return flipped


def recoloured(x: Images, brightness: NDArray[np.float32], contrast: NDArray[np.float32]) -> Images:
    """Images stretched about their own mean by a factor, ``(n,)``, then brightened by an amount, ``(n,)``; clipped."""
    mean = x.mean(axis=(1, 2, 3), keepdims=True)
    stretched = mean + (x - mean) * contrast[:, None, None, None] + brightness[:, None, None, None]
    clipped: Images = np.clip(stretched, -1, 1)
    return clipped
