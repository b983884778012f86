"""Convolutional encoder and decoder without normalisation, whose channels grow by the same number at each level."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn

from targets.nets.conv import down, pyramid, up


def encoder(shape: tuple[int, ...], width: int, code: int) -> nn.Sequential:
    """Image ``(rows, channels, height, width)`` to code ``(rows, code)``."""
    channels, height, breadth = shape
    sizes = pyramid(height, breadth)
    layers: list[nn.Module] = []
    c_in = channels
    for level, (size, smaller) in enumerate(pairwise(sizes), start=1):
        layers += [down(size, smaller, c_in, width * level), nn.ELU()]
        c_in = width * level
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(c_in * sizes[-1][0] * sizes[-1][1], code))


def decoder(shape: tuple[int, ...], width: int, code: int) -> nn.Sequential:
    """Code ``(rows, code)`` to image ``(rows, channels, height, width)``, not bounded."""
    channels, height, breadth = shape
    sizes = pyramid(height, breadth)[::-1]
    depth = len(sizes) - 1
    c_in = width * depth
    layers: list[nn.Module] = [
        nn.Linear(code, c_in * sizes[0][0] * sizes[0][1]),
        nn.Unflatten(1, (c_in, *sizes[0])),
        nn.ELU(),
    ]
    for left, (size, larger) in zip(range(depth - 1, -1, -1), pairwise(sizes), strict=True):
        c_out = width * left or channels
        layers += [up(size, larger, c_in, c_out), *([nn.ELU()] if left else [])]
        c_in = c_out
    return nn.Sequential(*layers)


def fan_in(module: nn.Module, rng: torch.Generator) -> nn.Module:
    """Uniform weights of variance 1 / fan-in (LeCun et al., Efficient BackProp, 1998), biases 0; all from ``rng``."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.uniform_(layer.weight, -1, 1, generator=rng)
            layer.weight.data *= (3 / _inputs(layer)) ** 0.5
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return module


def _inputs(layer: nn.Conv2d | nn.ConvTranspose2d | nn.Linear) -> float:
    """How many values flow into one output; a transposed convolution's kernel is shared out by its stride."""
    if isinstance(layer, nn.ConvTranspose2d):
        return layer.weight[:, 0].numel() / (layer.stride[0] * layer.stride[1])
    return layer.weight[0].numel()
