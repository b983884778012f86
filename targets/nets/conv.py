"""Convolutional pyramids for images of any size from 8x8 to 64x64: halving down to 4 pixels, doubling back up."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Literal

import torch
from torch import nn

Norm = Literal["group", "batch", "none"]

SMALLEST = 4  # pixels a side at the bottom of the pyramid, as in DCGAN (Radford et al., ICLR 2016)


def pyramid(height: int, width: int) -> list[tuple[int, int]]:
    """Image sizes from the input down: each side is halved (rounded up) until neither is above 4.

    >>> pyramid(28, 28)
    [(28, 28), (14, 14), (7, 7), (4, 4)]
    >>> pyramid(10, 14)
    [(10, 14), (5, 7), (3, 4)]
    """
    sizes = [(height, width)]
    while max(sizes[-1]) > SMALLEST:
        h, w = sizes[-1]
        sizes.append((_smaller(h), _smaller(w)))
    return sizes


def _smaller(side: int) -> int:
    """Half of a side, rounded up; a side of at most 4 stays while the other one shrinks."""
    return (side + 1) // 2 if side > SMALLEST else side


def _kernel(large: int, small: int) -> tuple[int, int]:
    """Kernel and stride of one side, padding 1: kernel 4 halves even sides exactly, kernel 3 odd ones."""
    if large == small:
        return 3, 1
    return (4, 2) if large == 2 * small else (3, 2)


def down(size: tuple[int, int], smaller: tuple[int, int], c_in: int, c_out: int) -> nn.Conv2d:
    """A convolution that maps ``size`` to ``smaller``."""
    (kh, sh), (kw, sw) = _kernel(size[0], smaller[0]), _kernel(size[1], smaller[1])
    return nn.Conv2d(c_in, c_out, (kh, kw), (sh, sw), padding=1)


def up(size: tuple[int, int], larger: tuple[int, int], c_in: int, c_out: int) -> nn.ConvTranspose2d:
    """A transposed convolution that maps ``size`` to ``larger``."""
    (kh, sh), (kw, sw) = _kernel(larger[0], size[0]), _kernel(larger[1], size[1])
    return nn.ConvTranspose2d(c_in, c_out, (kh, kw), (sh, sw), padding=1)


def norm_layer(norm: Norm, channels: int) -> nn.Module:
    """A normalisation layer; GroupNorm keeps records apart, BatchNorm mixes them."""
    if norm == "batch":
        return nn.BatchNorm2d(channels)
    if norm == "group":
        return nn.GroupNorm(min(8, channels), channels)
    return nn.Identity()


def initialise(module: nn.Module, rng: torch.Generator) -> nn.Module:
    """DCGAN's initialisation: weights N(0, 0.02), norm scales N(1, 0.02), biases 0; all from ``rng``."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.normal_(layer.weight, 0.0, 0.02, generator=rng)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        elif isinstance(layer, nn.BatchNorm2d | nn.GroupNorm):
            nn.init.normal_(layer.weight, 1.0, 0.02, generator=rng)
            nn.init.zeros_(layer.bias)
    return module


def discriminator(shape: tuple[int, ...], width: int, norm: Norm) -> nn.Sequential:
    """Image ``(rows, channels, height, width)`` to logit ``(rows, 1)``; no norm on the first layer."""
    channels, height, breadth = shape
    sizes = pyramid(height, breadth)
    layers: list[nn.Module] = []
    c_in = channels
    for level, (size, smaller) in enumerate(pairwise(sizes)):
        c_out = width * 2**level
        block: list[nn.Module] = [down(size, smaller, c_in, c_out)]
        if level:
            block.append(norm_layer(norm, c_out))
        layers += [*block, nn.LeakyReLU(0.2)]
        c_in = c_out
    head = nn.Linear(c_in * sizes[-1][0] * sizes[-1][1], 1)
    return nn.Sequential(*layers, nn.Flatten(), head)


def stretched_tanh(x: torch.Tensor, stretch: float) -> torch.Tensor:
    """A tanh that reaches -1 and 1: stretched by a factor and clipped.

    A plain one only approaches them, so images whose background is exactly black get a grain of one or two grey
    levels, by which a discriminator, and every feature extractor, tells them from real ones.
    """
    return (stretch * x.tanh()).clamp(-1, 1)


class StretchedTanh(nn.Module):
    """``stretched_tanh`` as a layer."""

    def __init__(self, stretch: float) -> None:
        super().__init__()
        self.stretch = stretch

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return stretched_tanh(x, self.stretch)

    def extra_repr(self) -> str:
        return f"stretch={self.stretch}"


def rising(shape: tuple[int, ...], width: int, latent: int, norm: Callable[[int], nn.Module]) -> nn.Sequential:
    """Latent ``(rows, latent)`` to image ``(rows, channels, height, width)``, not yet squashed to [-1, 1]."""
    channels, height, breadth = shape
    sizes = pyramid(height, breadth)[::-1]
    depth = len(sizes) - 1
    c_in = width * 2 ** max(0, depth - 1)
    layers: list[nn.Module] = [
        nn.Linear(latent, c_in * sizes[0][0] * sizes[0][1]),
        nn.Unflatten(1, (c_in, *sizes[0])),
        norm(c_in),
        nn.ReLU(),
    ]
    for level, (size, larger) in enumerate(pairwise(sizes)):
        last = level == depth - 1
        c_out = channels if last else c_in // 2
        layers.append(up(size, larger, c_in, c_out))
        layers += [] if last else [norm(c_out), nn.ReLU()]
        c_in = c_out
    if depth == 0:
        layers.append(nn.Conv2d(c_in, channels, 3, padding=1))
    return nn.Sequential(*layers)


def generator(shape: tuple[int, ...], width: int, latent: int, stretch: float = 1.0) -> nn.Sequential:
    """Latent ``(rows, latent)`` to image ``(rows, channels, height, width)`` in [-1, 1], with BatchNorm."""
    return nn.Sequential(*rising(shape, width, latent, nn.BatchNorm2d), StretchedTanh(stretch))
