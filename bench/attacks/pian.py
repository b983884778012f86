"""PIAN: PIA with the noise that was seen rescaled to the size of noise."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from bench.attacks.pia import PIA

if TYPE_CHECKING:
    import torch

MEAN_ABSOLUTE = math.sqrt(2 / math.pi)  # of a standard normal variable


class PIAN(PIA):
    """PIA, with what the denoiser sees in the record itself rescaled to the mean absolute value of normal noise.

    At the first time there is next to no noise to be seen, and what the denoiser answers need not have the size of
    noise, which it was trained to expect at later times. As in the authors' code, the factor is sqrt(2 / pi), the mean
    absolute value of a standard normal variable. A record in which no noise at all is seen keeps none.

    Rescaling takes away how much is seen, which is less in members. Where that is far less than noise, as in small,
    plain images, what is left tells little: PIAN finds the members of a model that overfits strongly, and may read
    chance or below it on others, where PIA does not.
    """

    name = "pian"

    def as_noise(self, seen: torch.Tensor) -> torch.Tensor:
        import torch

        size = seen.flatten(1).abs().mean(dim=1).reshape(-1, *[1] * (seen.dim() - 1))
        # Noise of size 0 has no direction: it stays 0, without a division by it.
        return seen * (MEAN_ABSOLUTE / torch.where(size > 0, size, torch.ones_like(size)))
