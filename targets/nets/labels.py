"""Networks that are told the label of each row."""

from __future__ import annotations

import torch
from torch import nn


class WithLabels(nn.Module):
    """A network whose input is joined by the row's label (Mirza and Osindero, Conditional GANs, 2014, section 3.2).

    The label is one-hot: behind the values of a flat input ``(rows, values)``, as planes of ones and zeros behind the
    channels of an image ``(rows, channels, height, width)``. The wrapped network must expect ``classes`` more of them.
    """

    def __init__(self, network: nn.Module, classes: int) -> None:
        super().__init__()
        self.network = network
        self.classes = classes

    def forward(self, x: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        hot = torch.nn.functional.one_hot(labels, self.classes).to(x.dtype)
        if x.dim() == 4:
            hot = hot[:, :, None, None].expand(-1, -1, *x.shape[2:])
        joined: torch.Tensor = self.network(torch.cat([x, hot], dim=1))
        return joined

    def extra_repr(self) -> str:
        return f"classes={self.classes}"


def apply(network: nn.Module, x: torch.Tensor, labels: torch.Tensor | None) -> torch.Tensor:
    """``network`` on ``x``, with the labels where there are some."""
    found: torch.Tensor = network(x) if labels is None else network(x, labels)
    return found
