"""Several generators that are one: each latent chooses among them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

EDGE = 1e-12  # how near a share may come to 0 or 1: a normal value beyond 7 is no draw, but a step of a search


class Mixture(nn.Module):
    """Generators that make the same number of samples each: a latent's first coordinate says which makes it.

    With Phi the normal distribution function, ``u = Phi(z_0)`` is uniform, generator ``floor(n u)`` is chosen, and it
    is given ``Phi^-1(n u - floor(n u))`` in place of ``z_0``: whichever was chosen, that is standard normal again. So
    latents of the shape and distribution of a single generator's do, none is wasted on the choice, and gradients flow
    back to all coordinates, within the range of one generator.

    Args:
        generators: called as ``generator(z, *labels)`` with ``z`` of shape ``(rows, latent)``.
    """

    def __init__(self, generators: Sequence[nn.Module]) -> None:
        super().__init__()
        self.generators = nn.ModuleList(generators)

    def forward(self, z: torch.Tensor, *labels: torch.Tensor) -> torch.Tensor:
        chosen, own = assigned(z, len(self.generators))
        made, rows = [], []
        for number, generator in enumerate(self.generators):
            place = (chosen == number).nonzero()[:, 0]
            if len(place) or not len(z):  # of no rows at all, any generator tells the shape
                made.append(generator(own[place], *(label[place] for label in labels)))
                rows.append(place)
        return torch.cat(made)[torch.cat(rows).argsort()]


def assigned(z: torch.Tensor, n: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Which of ``n`` generators makes each row of latents ``(rows, latent)``, int64 ``(rows,)``, and its own latents.

    In float64, since in float32 the upper tail of Phi lies on a coarse grid.
    """
    share = torch.special.ndtr(z[:, 0].double()) * n
    chosen = share.detach().nan_to_num().floor().clamp(0, n - 1)  # what is not finite stays so, in some generator
    first = torch.special.ndtri((share - chosen).clamp(EDGE, 1 - EDGE)).to(z.dtype)
    return chosen.long(), torch.cat([first[:, None], z[:, 1:]], dim=1)
