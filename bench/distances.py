"""Euclidean distances to the nearest of many records, as chunked matrix products with an exact finish."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bench.devices import Device

if TYPE_CHECKING:
    import torch

CHUNK = 2048  # columns of the distance matrix held at once; memory is rows x CHUNK float32
SHORTLIST = 4  # float32 products pick this many beyond k, float64 decides among them


def nearest(
    x: NDArray[np.float32], s: NDArray[np.float32], device: Device, k: int = 1, chunk: int = CHUNK
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Distances to the ``k`` nearest rows of ``s`` for every row of ``x``, and which they are.

    ``||x||^2 - 2 x.s + ||s||^2`` in float32 loses the small distances that matter most (a copied record) to
    cancellation. So the products only make a shortlist, and its distances are computed directly in float64.

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
    return _finish(x.reshape(len(x), -1), s.reshape(len(s), -1), place.cpu().numpy(), k)


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
    # Ties go to the earlier record, so that the answer does not depend on the chunks.
    order = np.lexsort((place, squared), axis=1)[:, :k]
    return np.sqrt(np.take_along_axis(squared, order, axis=1)), np.take_along_axis(place, order, axis=1)
