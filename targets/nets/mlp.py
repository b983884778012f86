"""Fully connected networks for rows of a table."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn.functional import softplus

from targets.nets.rows import RowLayout

SCALE_FLOOR = 0.01  # least standard deviation of a number, as in the authors' TVAE: no likelihood goes to infinity
SCALE_START = 1.0  # that of a standardised column


class RowNetwork(nn.Module):
    """A network that makes rows of a known layout."""

    def __init__(self, layout: RowLayout) -> None:
        super().__init__()
        self.layout = layout


class RowDecoder(RowNetwork):
    """Latents to the likelihood of a row, ``(rows, values + numbers)``: its values, then a scale for each number.

    The values are means of the numbers and logits of the categories. The scales are standard deviations above
    ``SCALE_FLOOR`` that do not depend on the latent: what a linear layer makes of a constant, because per-record
    gradients exist for layers, not for parameters that stand alone.
    """

    def __init__(self, inputs: int, width: int, layout: RowLayout) -> None:
        super().__init__(layout)
        self.body = mlp(inputs, width, layout.width)
        self.scales = nn.Linear(1, len(layout.numbers), bias=False) if layout.numbers else None

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        values: torch.Tensor = self.body(z)
        if self.scales is None:
            return values
        scales = SCALE_FLOOR + softplus(self.scales(z.new_ones((len(z), 1))))
        return torch.cat([values, scales], dim=1)


class ResidualBlock(nn.Module):
    """A layer with BatchNorm whose output is put behind its input."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, width)
        self.norm = nn.BatchNorm1d(width)
        self.activation = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([x, self.activation(self.norm(self.linear(x)))], dim=1)


class RowGenerator(RowNetwork):
    """Latents to raw rows ``(rows, values)``: numbers, and logits of the categories; it mixes rows by BatchNorm."""

    def __init__(self, inputs: int, width: int, layout: RowLayout) -> None:
        super().__init__(layout)
        self.body = nn.Sequential(
            ResidualBlock(inputs, width),
            ResidualBlock(inputs + width, width),
            nn.Linear(inputs + 2 * width, layout.width),
        )

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        rows: torch.Tensor = self.body(z)
        return rows


def mlp(inputs: int, width: int, outputs: int, slope: float = 0.0) -> nn.Sequential:
    """Two hidden layers; ``slope`` is that of their activations below 0."""
    return nn.Sequential(
        nn.Linear(inputs, width),
        nn.LeakyReLU(slope),
        nn.Linear(width, width),
        nn.LeakyReLU(slope),
        nn.Linear(width, outputs),
    )


def layout_of(network: nn.Module) -> RowLayout:
    """The layout of the rows that a network makes, whatever it is wrapped in.

    Raises:
        ValueError: it makes no rows.
    """
    for module in network.modules():
        if isinstance(module, RowNetwork):
            return module.layout
    raise ValueError(f"expected a network that makes rows of a table, got {type(network).__name__}")


def initialise(module: nn.Module, rng: torch.Generator) -> nn.Module:
    """Torch's own start of linear layers, U(-1, 1) / sqrt(inputs), drawn from ``rng``; a decoder's scales are 1."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            bound = 1 / math.sqrt(layer.in_features)
            nn.init.uniform_(layer.weight, -bound, bound, generator=rng)
            if layer.bias is not None:
                nn.init.uniform_(layer.bias, -bound, bound, generator=rng)
    for layer in module.modules():
        if isinstance(layer, RowDecoder) and layer.scales is not None:
            nn.init.constant_(layer.scales.weight, math.log(math.expm1(SCALE_START - SCALE_FLOOR)))
    return module
