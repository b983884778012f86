"""A network whose input is changed in training, for defenses that act on what the discriminator is shown."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from torch import nn

from bench.errors import IncompatibleError

if TYPE_CHECKING:
    import torch


class ChangedInput(nn.Module):
    """A network that, in training mode alone, is shown ``change(x)`` in place of ``x``; labels stay as they are.

    Every pass is changed: real and generated rows, and those by which a generator learns too. In evaluation mode,
    and so in the release, it is the wrapped network.

    Args:
        network: called as ``network(x, *labels)``.
        change: float ``(rows, *shape)`` to the same shape and dtype; rows must stay apart, and gradients must flow.
    """

    def __init__(self, network: nn.Module, change: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.network = network
        self.change = change

    def forward(self, x: torch.Tensor, *labels: torch.Tensor) -> torch.Tensor:
        shown = self.change(x) if self.training else x
        found: torch.Tensor = self.network(shown, *labels)
        if self.training and found.shape == x.shape and x.shape[1:].numel() > 1:
            # Its owner would compare the answer with the unchanged x, and so train it to undo the change.
            raise IncompatibleError(
                f"expected a network that gives each row a logit, got one that redraws its input ({tuple(x.shape)}); "
                "what it is shown cannot be changed without what it is compared with"
            )
        return found
