"""Perturbed copies of images: each record by an amount of its own, all at once.

Images are float32 ``(n, channels, height, width)`` in [-1, 1]; what lies beyond an edge is the edge's own value, unless
it is asked to be grey, 0.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.float32]


def shifted(x: Images, down: NDArray[np.int64], right: NDArray[np.int64], *, grey: bool = False) -> Images:
    """Images moved by whole pixels, ``(n,)`` each way; what a move uncovers is the edge's value, or grey."""
    n, _, height, width = x.shape
    wanted = np.arange(height) - down[:, None], np.arange(width) - right[:, None]
    rows, columns = np.clip(wanted[0], 0, height - 1), np.clip(wanted[1], 0, width - 1)
    # Advanced indices around a slice put its axis last.
    moved = x[np.arange(n)[:, None, None], :, rows[:, :, None], columns[:, None, :]]
    found: Images = np.ascontiguousarray(np.moveaxis(moved, 3, 1))
    if grey:
        inside = (rows == wanted[0])[:, None, :, None] & (columns == wanted[1])[:, None, None, :]
        found = np.where(inside, found, np.float32(0))
    return found


def covered(x: Images, centre: NDArray[np.float64], share: float) -> Images:
    """Images with a grey rectangle on each.

    Args:
        x: the images.
        centre: ``(n, 2)`` in [0, 1), where its middle lies, down and right.
        share: its sides, as a share of height and width; it may reach beyond the edge.
    """
    sides, starts = [], []
    for axis, length in enumerate(x.shape[2:]):
        side = round(share * length)
        sides.append(side)
        starts.append(np.floor(centre[:, axis] * length).astype(np.int64) - side // 2)
    rows, columns = (
        (np.arange(length) >= start[:, None]) & (np.arange(length) < start[:, None] + side)
        for length, start, side in zip(x.shape[2:], starts, sides, strict=True)
    )
    found: Images = np.where(rows[:, None, :, None] & columns[:, None, None, :], np.float32(0), x)
    return found


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
