"""What Laplace noise on counts spends: a privacy loss distribution that errs upwards only, and Rényi bounds.

One count that moves by at most 1 between neighbouring data, released with Laplace noise of scale b, is dominated by the
pair Laplace(0, b) and Laplace(1, b); many counts, asked one after the other by whatever was answered before, by the
product of such pairs (Zhu, Dong and Wang, Optimal Accounting of Differential Privacy via Characteristic Function,
AISTATS 2022, theorem 27). The privacy loss of the pair is put on a grid such that it is dominated in turn (Doroshenko
et al., Connect the Dots: Tighter Discrete Approximations of Privacy Loss Distributions, PoPETs 2022), and the sum of
independent losses is found by a Fourier transform.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray

ORDERS = np.concatenate([1 + np.geomspace(1e-4, 1, 60, endpoint=False), np.geomspace(2, 1e6, 240)])
TAIL = 1e-3  # share of delta that pays for losses outside of the transform's window
SPREAD = 1e-3  # share that the grid may add to the variance of a loss
SEARCH = 1e-3  # relative tolerance of the noise search


@cache
def laplace_epsilon(scale: float, counts: int, delta: float) -> float:
    """An upper bound of epsilon at ``delta`` for so many counts with Laplace noise of this scale.

    Args:
        scale: b, in units of the most by which one record moves a count.
        counts: how many are released, adaptively.
        delta: probability with which the guarantee may fail, from 1e-9.
    """
    if not counts:
        return 0.0
    bounds = (counts / scale, laplace_rdp_epsilon(scale, counts, delta), _composed(scale, counts, delta))
    return max(0.0, min(bounds))


@cache
def laplace_rdp_epsilon(scale: float, counts: int, delta: float) -> float:
    """The same by Rényi divergences (Mironov, Rényi Differential Privacy, CSF 2017, table II and proposition 3)."""
    if not counts:
        return 0.0
    a, up, down = ORDERS, (ORDERS - 1) / scale, -ORDERS / scale
    # log of a/(2a-1) exp((a-1)/b) + (a-1)/(2a-1) exp(-a/b), and never above the divergence of order infinity, 1/b
    moment = np.logaddexp(np.log(a / (2 * a - 1)) + up, np.log((a - 1) / (2 * a - 1)) + down)
    rdp = np.minimum(moment / (a - 1), 1 / scale)
    return max(0.0, float((counts * rdp + math.log(1 / delta) / (a - 1)).min()))


def laplace_scale_for(epsilon: float, delta: float, counts: int) -> float:
    """The smallest scale, to .1 %, whose counts keep within ``epsilon`` at ``delta``."""
    counts = max(1, counts)
    high = low = 2 * counts / epsilon  # twice what pure composition needs
    while laplace_epsilon(low, counts, delta) <= epsilon:
        high, low = low, low / 2
    while high > low * (1 + SEARCH):
        middle = math.sqrt(low * high)
        if laplace_epsilon(middle, counts, delta) <= epsilon:
            high = middle
        else:
            low = middle
    return high


def dominating_losses(scale: float, cells: int) -> NDArray[np.float64]:
    """Probabilities of the losses ``-1/b, ..., 1/b`` at ``2 cells + 1`` equal distances, ``(2 * cells + 1,)``.

    Half of the loss lies on 1/b and half of exp(-1/b) on -1/b; between them its density is exp((l - 1/b)/2)/4. Each
    cell of the grid hands its mass to its two ends such that both distributions of the pair keep their mass in it:
    the chord above the curve of delta by exp(epsilon).
    """
    b, width = scale, 1 / (scale * cells)
    loss = np.arange(-cells, cells + 1) * width
    p: NDArray[np.float64] = np.exp((loss - 1 / b) / 2) * math.tanh(width / 4)
    p[[0, -1]] /= 2  # the ends belong to one cell, the others to two
    p[0] += math.exp(-1 / b) / 2
    p[-1] += 0.5
    return p


def _composed(scale: float, counts: int, delta: float) -> float:
    """Epsilon at ``delta`` of the sum of ``counts`` losses."""
    cells = _cells(scale)
    p, width = dominating_losses(scale, cells), 1 / (scale * cells)
    place = np.arange(-cells, cells + 1)
    low, high = _window(p, place * width, counts, math.log(1 / (TAIL * delta)))
    start = max(math.floor(low / width), -cells * counts)
    size = min(math.ceil(high / width), cells * counts) - start + 1
    size += size % 2
    # The characteristic function less 1, by sines: its power must not lose digits however many counts there are.
    angle = 2 * np.pi * np.arange(size // 2 + 1) / size
    real, imaginary = np.zeros_like(angle), np.zeros_like(angle)
    for j in range(1, cells + 1):
        up, down = p[cells + j], p[cells - j]
        real -= 2 * (up + down) * np.sin(angle * j / 2) ** 2
        imaginary -= (up - down) * np.sin(angle * j)
    with np.errstate(divide="ignore"):  # a frequency may vanish
        modulus = np.log1p(2 * real + real**2 + imaginary**2) / 2
    phase = counts * np.arctan2(imaginary, 1 + real) + angle * start
    mass = np.fft.irfft(np.exp(counts * modulus + 1j * phase), size).clip(min=0)
    # What lies below the window comes out at its top, which errs upwards; what lies above it is paid for by delta.
    left = delta * (1 - TAIL)
    # From each loss l on: its probability, and the expectation of exp(l - loss). Delta at l is their difference.
    above = np.cumsum(mass[::-1])[::-1]
    weighted = _discounted(mass[::-1], math.exp(-width))[::-1]
    first = int(np.flatnonzero(above - weighted <= left)[0])  # it falls to 0 at the last
    return (start + first) * width + math.log((above[first] - left) / weighted[first]) if first else low


def _discounted(values: NDArray[np.float64], factor: float) -> NDArray[np.float64]:
    """``y[i] = values[i] + factor * y[i - 1]``."""
    from scipy.signal import lfilter

    found: NDArray[np.float64] = lfilter([1.0], [1.0, -factor], values)
    return found


def _cells(scale: float) -> int:
    """Grid cells between no loss and the largest: fine against the deviation of what is spread between grid points."""
    p = dominating_losses(scale, 1000)
    loss = np.linspace(-1 / scale, 1 / scale, len(p))
    variance = float(p @ (loss - p @ loss) ** 2)
    between = (1 - math.exp(-1 / scale)) / 2
    # Mass m in a cell of width h adds m h^2 / 6 to the variance.
    return max(1, math.ceil(1 / (scale * math.sqrt(6 * SPREAD * variance / between))))


def _window(p: NDArray[np.float64], loss: NDArray[np.floating], counts: int, nats: float) -> tuple[float, float]:
    """Bounds outside of which the sum of losses lies with probability at most exp(-nats) each (Chernoff)."""
    found = []
    for sign in (-1, 1):
        orders = ORDERS - 1
        exponents = sign * orders[:, None] * loss
        largest = exponents.max(axis=1)
        moment = largest + np.log(np.exp(exponents - largest[:, None]) @ p)
        found.append(sign * float(((counts * moment + nats) / orders).min()))
    return found[0], found[1]
