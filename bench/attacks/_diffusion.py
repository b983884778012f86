"""What attacks on diffusion models share: published times on the target's own schedule, and records under noise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bench.errors import InputError
from targets.nets.diffusion import alpha_bar as schedule

if TYPE_CHECKING:
    import torch

PUBLISHED = schedule("linear", 1000)  # of Ho et al., NeurIPS 2020: what the times of published attacks refer to


def log_snr(alpha_bar: NDArray[np.float64]) -> NDArray[np.float64]:
    """Logarithm of the signal's over the noise's variance at each time, ``(times,)``."""
    ratio: NDArray[np.float64] = np.log(alpha_bar) - np.log1p(-alpha_bar)
    return ratio


def own_times(published: Sequence[int], alpha_bar: NDArray[np.float64]) -> NDArray[np.int64]:
    """The target's times at which as much signal is left as at the published ones, by log-SNR; int64 ``(n,)``.

    Not by t / T: at t = 100, a linear schedule of 1000 times has lost 10 % of the signal's variance, a cosine
    schedule 3 %. A share beyond the target's schedule becomes its first or last time.

    Raises:
        InputError: a time is not on the published schedule.
    """
    asked = np.asarray(published, dtype=np.int64)
    if outside := [int(t) for t in asked if not 0 <= t < len(PUBLISHED)]:
        raise InputError(
            f"expected diffusion times from 0 to {len(PUBLISHED) - 1}, which refer to the linear schedule of "
            f"{len(PUBLISHED)} times that attacks are published for, got {outside}"
        )
    apart = np.abs(log_snr(PUBLISHED)[asked][:, None] - log_snr(alpha_bar)[None, :])
    found: NDArray[np.int64] = apart.argmin(axis=1)
    return found


def noisy(x: torch.Tensor, eps: torch.Tensor, left: float) -> torch.Tensor:
    """Records of which the share ``left`` of the signal's variance is left (Ho et al., equation 4)."""
    found: torch.Tensor = left**0.5 * x + (1 - left) ** 0.5 * eps
    return found
