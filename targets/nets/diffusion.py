"""Noise schedules of diffusion models, and the way back from noise to records."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

Schedule = Literal["linear", "cosine"]

LARGEST_BETA = 0.999  # Nichol and Dhariwal, ICML 2021, section 3.2: no step may remove all that is left of the signal


def alpha_bar(schedule: Schedule, times: int) -> NDArray[np.float64]:
    """Share of the signal's variance that is left at each time, float64 ``(times,)``, falling within (0, 1).

    ``linear``: beta from 1e-4 to .02 over 1000 times (Ho et al., NeurIPS 2020, section 4), scaled to other numbers of
    times so that the ends stay where they are. ``cosine``: Nichol and Dhariwal, ICML 2021, equation 17.

    >>> f"{alpha_bar('linear', 1000)[0]:.4f} {alpha_bar('linear', 1000)[-1]:.1e}"
    '0.9999 4.0e-05'
    """
    if schedule == "linear":
        beta = np.linspace(1e-4, 0.02, times) * (1000 / times)
    else:
        level = np.cos((np.linspace(0, 1, times + 1) + 0.008) / 1.008 * math.pi / 2) ** 2
        beta = 1 - level[1:] / level[:-1]
    left: NDArray[np.float64] = np.cumprod(1 - np.minimum(beta, LARGEST_BETA))
    return left


def sampling_times(times: int, steps: int) -> list[int]:
    """The times that a sampler visits, from the last one down, so that it starts at pure noise.

    Their roots are evenly spaced (Song et al., DDIM, appendix D.2, "quadratic"), since the last bit of noise is where
    details appear; where that would visit a time twice, every time from there on is visited.

    >>> sampling_times(1000, 5)
    [999, 639, 359, 159, 39]
    >>> sampling_times(4, 4)
    [3, 2, 1, 0]
    """
    return [max(round(times * (1 - k / steps) ** 2) - 1, steps - 1 - k) for k in range(steps)]


def ddim(
    predict: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    x: torch.Tensor,
    alpha_bar: NDArray[np.float64],
    visited: Sequence[int],
    *,
    eta: float = 0.0,
    noise: Callable[..., torch.Tensor] | None = None,
) -> torch.Tensor:
    """From noise ``(rows, channels, height, width)`` to records in [-1, 1] (Song et al., DDIM, ICLR 2021, equation 12).

    What is predicted of the record is clipped to [-1, 1] at every step, as Ho et al. do.

    Args:
        predict: noise in ``x`` at times int64 ``(rows,)``.
        x: standard normal.
        alpha_bar: share of the signal at each time.
        visited: times to visit, falling.
        eta: scale of the noise that is added on the way: 0 for none (deterministic), 1 for the ancestral sampling of
            DDPM with its smaller variance (Ho et al., section 3.2), exactly so where all times are visited.
        noise: draws standard normal values of a shape; needed where ``eta`` is above 0.
    """
    import torch

    for t, following in pairwise([*visited, -1]):
        now, then = float(alpha_bar[t]), float(alpha_bar[following]) if following >= 0 else 1.0
        eps = predict(x, torch.full((len(x),), t, dtype=torch.int64, device=x.device))
        record = ((x - math.sqrt(1 - now) * eps) / math.sqrt(now)).clamp(-1, 1)
        eps = (x - math.sqrt(now) * record) / math.sqrt(1 - now)
        sigma = eta * math.sqrt((1 - then) / (1 - now) * (1 - now / then))
        x = math.sqrt(then) * record + math.sqrt(max(0.0, 1 - then - sigma**2)) * eps
        if sigma > 0:
            if noise is None:
                raise ValueError("expected a source of noise, since eta is above 0; got None")
            x = x + sigma * noise(*x.shape)
    return x
