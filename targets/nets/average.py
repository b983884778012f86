"""Networks whose released weights are a running average of the trained ones."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy

import torch
from torch import nn


class Averaged(nn.Module):
    """A network and the moving average of its weights: the first in training mode, the second in evaluation mode.

    A GAN's generator circles its goal; the average of its path lies nearer (Yazici et al., The Unusual Effectiveness
    of Averaging in GAN Training, ICLR 2019, section 3.1). The average trains nothing and is what is released.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        super().__init__()
        self.network = network
        self.average = deepcopy(network).requires_grad_(False)
        self.decay = decay
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        chosen: torch.Tensor = (self.network if self.training else self.average)(*inputs)
        return chosen

    def update(self) -> None:
        """Moves the average towards the trained weights; the first updates move it further."""
        updates = self.get_buffer("updates").add_(1)
        step = max(1 - self.decay, 1 / (1 + int(updates)))
        for average, now in zip(self.average.parameters(), self.network.parameters(), strict=True):
            average.lerp_(now, step)
        for kept, buffer in zip(self.average.buffers(), self.network.buffers(), strict=True):
            kept.copy_(buffer)

    def extra_repr(self) -> str:
        return f"decay={self.decay}"


def averaged(network: nn.Module, decay: float | None) -> nn.Module:
    """The network with an average of its weights; the network itself where no decay is asked for."""
    return network if decay is None else Averaged(network, decay)


def update_averages(networks: Iterable[nn.Module]) -> None:
    """Moves the averages of those that have one."""
    for network in networks:
        if isinstance(network, Averaged):
            network.update()
