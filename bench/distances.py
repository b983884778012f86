"""Euclidean distances to the nearest of many records, as chunked matrix products with an exact finish."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bench.devices import Device

if TYPE_CHECKING:
    import torch

CHUNK = 2048  # columns of the distance matrix held at once; memory is rows x CHUNK float32
_UNIT = 2.0**-24  # unit roundoff of float32; a sum of d products is off by at most about d times this
SHORTLIST = 4  # float32 products pick this many beyond k, float64 decides among them


def nearest(
    x: NDArray[np.float32], s: NDArray[np.float32], device: Device, k: int = 1, chunk: int = CHUNK
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Distances to the ``k`` nearest rows of ``s`` for every row of ``x``, and which they are.

    ``||x||^2 - 2 x.s + ||s||^2`` in float32 loses the small distances that matter most (a copied record) to
    cancellation. So the products only make a shortlist, and its distances are computed directly in float64. Rows
    whose shortlist the rounding error could have cut wrongly (samples that all look alike) are searched again in
    float64.

    Args:
        x: ``(n, ...)``, flattened to vectors.
        s: ``(m, ...)`` with ``m >= k``.
        device: where the products run.
        k: how many neighbours.
        chunk: rows of ``s`` at a time; bounds the memory.

    Returns:
        float64 distances ``(n, k)``, ascending, and int64 positions in ``s`` ``(n, k)``.

    Raises:
        ValueError: fewer than ``k`` rows in ``s``.
    """
    import torch

    if len(s) < k:
        raise ValueError(f"expected at least k = {k} records to search, got {len(s)}")
    a = torch.from_numpy(np.ascontiguousarray(x.reshape(len(x), -1), dtype=np.float32)).to(device.name)
    b = torch.from_numpy(np.ascontiguousarray(s.reshape(len(s), -1), dtype=np.float32)).to(device.name)
    centre = b.mean(dim=0)  # distances do not change, and products of centred vectors cancel less
    a, b = a - centre, b - centre
    keep = min(k + SHORTLIST, len(s))
    best = torch.full((len(a), 0), torch.inf, device=a.device)
    place = torch.zeros((len(a), 0), dtype=torch.int64, device=a.device)
    for start in range(0, len(b), chunk):
        part = b[start : start + chunk]
        # ||x||^2 is the same for all of a row, so the order does not need it.
        partial = torch.addmm((part * part).sum(dim=1), a, part.T, beta=1.0, alpha=-2.0)
        values, index = partial.topk(min(keep, len(part)), dim=1, largest=False)
        best, place = _merge(best, place, values, index + start, keep)
    flat_x, flat_s = x.reshape(len(x), -1), s.reshape(len(s), -1)
    distances, which = _finish(flat_x, flat_s, place.cpu().numpy(), k)
    if keep == len(s):
        return distances, which
    # What was left out is, but for rounding, no nearer than the last of the shortlist.
    size = (a * a).sum(dim=1)
    error = a.shape[1] * _UNIT * (2 * size.sqrt() * b.norm(dim=1).max() + (b * b).sum(dim=1).max() + size)
    certain = (best[:, -1] + size - error).double().cpu().numpy() >= distances[:, -1] ** 2
    if not certain.all():
        doubtful = np.flatnonzero(~certain)
        distances[doubtful], which[doubtful] = _exact(flat_x[doubtful], flat_s, k, chunk)
    return distances, which


def _exact(
    x: NDArray[np.float32], s: NDArray[np.float32], k: int, chunk: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The same search with products in float64, whose rounding is far below a record's own resolution."""
    centre = s.mean(axis=0, dtype=np.float64)
    a = x.astype(np.float64) - centre
    size = np.einsum("ij,ij->i", a, a)[:, None]
    keep = min(k + SHORTLIST, len(s))
    best, place = np.empty((len(x), 0)), np.empty((len(x), 0), dtype=np.int64)
    for start in range(0, len(s), chunk):
        part = s[start : start + chunk].astype(np.float64) - centre
        squared = size - 2 * a @ part.T + np.einsum("ij,ij->i", part, part)
        best = np.concatenate([best, squared], axis=1)
        place = np.concatenate([place, np.broadcast_to(np.arange(start, start + len(part)), squared.shape)], axis=1)
        order = np.argpartition(best, min(keep, best.shape[1]) - 1, axis=1)[:, :keep]
        best, place = np.take_along_axis(best, order, axis=1), np.take_along_axis(place, order, axis=1)
    return _finish(x, s, place, k)


def _merge(
    best: torch.Tensor, place: torch.Tensor, values: torch.Tensor, index: torch.Tensor, keep: int
) -> tuple[torch.Tensor, torch.Tensor]:
    import torch

    best, place = torch.cat([best, values], dim=1), torch.cat([place, index], dim=1)
    best, order = best.topk(min(keep, best.shape[1]), dim=1, largest=False)
    return best, place.gather(1, order)


def _finish(
    x: NDArray[np.float32], s: NDArray[np.float32], place: NDArray[np.int64], k: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    squared = np.empty(place.shape, dtype=np.float64)
    for column in range(place.shape[1]):
        difference = x.astype(np.float64) - s[place[:, column]]
        squared[:, column] = np.einsum("ij,ij->i", difference, difference)
    # Among equals of the shortlist the earlier record comes first.
    order = np.lexsort((place, squared), axis=1)[:, :k]
    return np.sqrt(np.take_along_axis(squared, order, axis=1)), np.take_along_axis(place, order, axis=1)
