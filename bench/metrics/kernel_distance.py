"""Kernel distance (KID) over all records of both sides, with a jackknife interval over records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import InputError

SCALE = 1000.0
"""KID is reported in thousandths of the squared maximum mean discrepancy."""

_NORMAL_975 = 1.959963984540054


@dataclass(frozen=True)
class KernelDistance:
    """An unbiased KID (x 1000) with its 95 % interval over records; all three may be negative.

    Attributes:
        kid: the distance over all records.
        low: lower end of the interval.
        high: upper end of the interval.
        without_x: float64 ``(n,)``, the distance without the i-th record of the first side.
        without_y: float64 ``(n,)``, the distance without the i-th record of the second side.
    """

    kid: float
    low: float
    high: float
    without_x: NDArray[np.float64]
    without_y: NDArray[np.float64]


def kernel_distance(x: NDArray[Any], y: NDArray[Any]) -> KernelDistance:
    """KID (x 1000) between features ``(n, d)`` and ``(n, d)``, in float64.

    The unbiased squared maximum mean discrepancy (Gretton et al., JMLR 2012, lemma 6) under the kernel
    ``(<a, b> / d + 1)^3`` (Binkowski et al., ICLR 2018, section 3). The interval is a two-sample delete-one
    jackknife: a bootstrap with replacement would put equal records into both places of an off-diagonal term
    and so bias the distance upwards.

    Raises:
        InputError: the sides differ in number or width, or have fewer than 3 records.
    """
    if x.ndim != 2 or x.shape != y.shape:
        raise InputError(f"KID expects features (n, d) with the same n on both sides, got {x.shape} and {y.shape}")
    n = len(x)
    if n < 3:
        raise InputError(f"KID with an interval expects at least 3 records on each side, got {n}")
    x, y = x.astype(np.float64), y.astype(np.float64)
    within_x, within_y = _within(x), _within(y)
    cross = _kernel(x, y)
    cross_x, cross_y = cross.sum(axis=1), cross.sum(axis=0)

    mean_x, mean_y = within_x.sum() / (n * (n - 1)), within_y.sum() / (n * (n - 1))
    total = cross_x.sum()
    kid = SCALE * (mean_x + mean_y - 2 * total / n**2)
    # Taking out a record removes its row and its column of its own side's kernel, and one line of the cross
    # kernel.
    less_x = (within_x.sum() - 2 * within_x) / ((n - 1) * (n - 2))
    less_y = (within_y.sum() - 2 * within_y) / ((n - 1) * (n - 2))
    without_x = SCALE * (less_x + mean_y - 2 * (total - cross_x) / (n * (n - 1)))
    without_y = SCALE * (mean_x + less_y - 2 * (total - cross_y) / (n * (n - 1)))
    low, high = jackknife_interval(kid, without_x, without_y)
    return KernelDistance(float(kid), low, high, without_x, without_y)


def jackknife_interval(value: float, *without: NDArray[np.float64]) -> tuple[float, float]:
    """95 % interval around ``value`` from the leave-one-out values of each independent sample, each ``(n,)``.

    The variance is the sum over samples of ``(n - 1) / n * sum((without - mean)^2)`` (Efron and Stein, Annals
    of Statistics 1981, who show that it is, in expectation, not too small).
    """
    variance = sum((len(w) - 1) * float(np.var(w)) for w in without)
    half = _NORMAL_975 * variance**0.5
    return float(value - half), float(value + half)


def _kernel(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """The polynomial kernel matrix ``(len(a), len(b))``."""
    base: NDArray[np.float64] = a @ b.T / a.shape[1] + 1
    return base * base * base


def _within(a: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum of each record's kernel values with the others of its side, ``(n,)``."""
    kernel = _kernel(a, a)
    np.fill_diagonal(kernel, 0)
    sums: NDArray[np.float64] = kernel.sum(axis=1)
    return sums
