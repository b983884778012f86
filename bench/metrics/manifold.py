"""Density and coverage: how the samples lie in the neighbourhoods of real records."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import InputError


def density_coverage(samples: NDArray[Any], real: NDArray[Any], k: int = 5) -> tuple[float, float]:
    """Density (0 or more, about 1 for equal distributions) and coverage (0..1) of features ``(n, d)``.

    Each real record has a ball that reaches to its k-th nearest other real record. Density is the number of
    balls that hold a sample, over k, averaged over samples; coverage is the fraction of balls that hold any
    sample. For equal distributions coverage is about ``1 - 2^-k``. Naeem et al., ICML 2020, equations 3 and
    4, with open balls as in the authors' code, so that a copy of the real records has density 1 and coverage
    1.

    Raises:
        InputError: the sides differ in number or width, or have no more than k records.
    """
    if real.ndim != 2 or samples.shape != real.shape:
        raise InputError(
            f"density and coverage expect features (n, d) with the same n on both sides, "
            f"got {samples.shape} and {real.shape}"
        )
    if k < 1 or len(real) <= k:
        raise InputError(f"density and coverage expect more than k >= 1 records, got {len(real)} records and k = {k}")
    # Shifting both sides changes no distance and keeps the expanded square from cancelling.
    centre = real.mean(axis=0, dtype=np.float64)
    samples, real = samples - centre, real - centre
    among_real = _squared_distances(real, real)
    np.fill_diagonal(among_real, 0)
    # The k-th nearest *other* record: the nearest of all is the record itself.
    radius = np.partition(among_real, k, axis=1)[:, k]
    inside = _squared_distances(real, samples) < radius[:, None]
    return float(inside.sum() / (k * len(samples))), float(inside.any(axis=1).mean())


def _squared_distances(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Squared Euclidean distances ``(len(a), len(b))``."""
    square: NDArray[np.float64] = (a * a).sum(axis=1)[:, None] + (b * b).sum(axis=1)[None] - 2 * (a @ b.T)
    return np.maximum(square, 0)
