"""Dropout whose masks come from a named generator instead of torch's global one."""

from __future__ import annotations

import torch
from torch import nn

from targets.base import Draw


class SeededDropout(nn.Module):
    """Inverted dropout: in training, each value is dropped with probability ``rate``, the rest scaled up."""

    def __init__(self, rate: float, draw: Draw) -> None:
        super().__init__()
        self.rate = rate
        self.draw = draw

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return x
        keep = (self.draw.uniform(*x.shape) >= self.rate).to(x.dtype)
        return x * keep / (1 - self.rate)

    def extra_repr(self) -> str:
        return f"rate={self.rate}"
