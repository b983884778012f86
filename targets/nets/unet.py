"""A small U-Net that predicts noise: images of any size, every row on its own, layers that Opacus can follow."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.functional import interpolate, pad, silu

FREQUENCIES = 64  # pairs of sine and cosine that a diffusion time is shown as
PERIODS = 10_000  # longest over shortest of them, as in Vaswani et al., NeurIPS 2017, section 3.5
PIXELS = 0.5  # standard deviation that records in [-1, 1] are taken to have, as in Karras et al., NeurIPS 2022
QUIET = 0.1  # scale of the weights that end a block or the network, so that each starts near the identity


class TimeEmbedding(nn.Module):
    """Diffusion times in [0, 1) and classes to features: sinusoids, then two layers (Ho et al., appendix B)."""

    def __init__(self, width: int, classes: int | None) -> None:
        super().__init__()
        # The fastest turns one radian in a thousandth of the time, the slowest a tenth of one in all of it.
        rates = 1000 * torch.exp(-math.log(PERIODS) * torch.arange(FREQUENCIES) / FREQUENCIES)
        self.register_buffer("rates", rates, persistent=False)
        self.first = nn.Linear(2 * FREQUENCIES, width)
        self.act = nn.SiLU()
        self.second = nn.Linear(width, width)
        self.classes = None if classes is None else nn.Embedding(classes, width)

    def forward(self, time: torch.Tensor, labels: torch.Tensor | None) -> torch.Tensor:
        angles = time[:, None] * self.get_buffer("rates")
        features: torch.Tensor = self.second(self.act(self.first(torch.cat([angles.sin(), angles.cos()], dim=1))))
        if self.classes is not None:
            features = features + self.classes(labels)
        return silu(features)


class Block(nn.Module):
    """Two convolutions around the time's scale and shift, beside a shortcut (Nichol and Dhariwal, section 3)."""

    def __init__(self, c_in: int, c_out: int, features: int) -> None:
        super().__init__()
        self.norm1, self.act1 = _norm(c_in), nn.SiLU()
        self.conv1 = nn.Conv2d(c_in, c_out, 3, padding=1)
        self.time = nn.Linear(features, 2 * c_out)
        self.norm2, self.act2 = _norm(c_out), nn.SiLU()
        self.conv2 = nn.Conv2d(c_out, c_out, 3, padding=1)
        self.shortcut = nn.Conv2d(c_in, c_out, 1) if c_in != c_out else nn.Identity()

    def forward(self, x: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        scale, shift = self.time(features)[:, :, None, None].chunk(2, dim=1)
        h = self.norm2(self.conv1(self.act1(self.norm1(x)))) * (1 + scale) + shift
        out: torch.Tensor = self.shortcut(x) + self.conv2(self.act2(h))
        return out


class Attention(nn.Module):
    """Self-attention between the positions of one image, with one head (Ho et al., appendix B)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = _norm(channels)
        self.inputs = nn.Conv2d(channels, 3 * channels, 1)
        self.output = nn.Conv2d(channels, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        query, key, value = self.inputs(self.norm(x)).flatten(2).chunk(3, dim=1)
        weights = torch.softmax(query.transpose(1, 2) @ key / math.sqrt(x.shape[1]), dim=2)
        out: torch.Tensor = x + self.output((value @ weights.transpose(1, 2)).reshape(x.shape))
        return out


class UNet(nn.Module):
    """Noisy image ``(rows, channels, height, width)`` and time ``(rows,)`` in [0, 1) to the noise in the image.

    Args:
        shape: ``(channels, height, width)`` of an image; any size, odd ones too.
        width: channels at the first level; doubled at each further one.
        levels: resolutions, each half of the one before.
        blocks: residual blocks per level on the way down, and on the way up.
        patch: pixels a side that become one position of the first level; above 1 saves most of the computation.
        attention: whether the lowest resolution has self-attention.
        classes: number of classes of a conditional network; None for an unconditional one.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        *,
        width: int,
        levels: int,
        blocks: int,
        patch: int,
        attention: bool,
        classes: int | None = None,
    ) -> None:
        super().__init__()
        channels, self.patch = shape[0] * patch**2, patch
        widths = [width * 2**level for level in range(levels)]
        features = 4 * width
        self.time = TimeEmbedding(features, classes)
        self.stem = nn.Conv2d(channels, width, 3, padding=1)
        self.down = nn.ModuleList([nn.ModuleList([Block(w, w, features) for _ in range(blocks)]) for w in widths])
        self.shrink = nn.ModuleList([nn.Conv2d(w, 2 * w, 3, 2, 1) for w in widths[:-1]])
        self.attention = Attention(widths[-1]) if attention else nn.Identity()
        self.grow = nn.ModuleList([nn.Conv2d(2 * w, w, 3, padding=1) for w in widths[:-1]])
        self.up = nn.ModuleList([nn.ModuleList([Block(2 * w, w, features) for _ in range(blocks)]) for w in widths])
        self.norm, self.act = _norm(width), nn.SiLU()
        self.head = nn.Conv2d(width, channels, 3, padding=1)

    def forward(self, x: torch.Tensor, time: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
        height, width = x.shape[2:]
        features = self.time(time.to(x.dtype), labels)
        padded = pad(x, (0, -width % self.patch, 0, -height % self.patch))
        h = self.stem(_to_patches(padded, self.patch))
        kept = []
        for level, stack in enumerate(self.down):
            if level:
                h = self.shrink[level - 1](h)
            for block in stack:  # type: ignore[attr-defined]
                h = block(h, features)
                kept.append(h)
        h = self.attention(h)
        for level, stack in reversed(list(enumerate(self.up))):
            for block in stack:  # type: ignore[attr-defined]
                h = block(torch.cat([h, kept.pop()], dim=1), features)
            if level:  # to the size that was kept, since halving rounds odd sides up
                h = interpolate(self.grow[level - 1](h), size=kept[-1].shape[2:], mode="nearest")
        noise = _to_pixels(self.head(self.act(self.norm(h))), self.patch)
        return noise[:, :, :height, :width]


class Denoiser(nn.Module):
    """Noisy records ``(rows, channels, height, width)`` and times int64 ``(rows,)`` to the noise in them.

    Preconditioned, the noise is what lies between ``x`` and a record in [-1, 1]: the best linear guess of it for
    uncorrelated pixels plus what the network adds, of the same size at every time (Karras et al., NeurIPS 2022,
    equation 7), clipped. Samplers clip that record too; learning with the clip lets plain areas be exactly plain.

    Args:
        network: takes records of unit variance, and times in [0, 1).
        shape: of a record.
        alpha_bar: share of the signal's variance at each time, float64 ``(times,)``.
        preconditioned: without, the network's output is the prediction.
    """

    def __init__(
        self, network: UNet, shape: tuple[int, ...], alpha_bar: NDArray[np.float64], preconditioned: bool
    ) -> None:
        super().__init__()
        self.network, self.shape, self.preconditioned = network, shape, preconditioned
        signal, noise = np.sqrt(alpha_bar), np.sqrt(1 - alpha_bar)
        total = np.sqrt(alpha_bar * PIXELS**2 + 1 - alpha_bar)
        scales = np.stack([signal, noise, 1 / total, signal * PIXELS**2 / total**2, noise * PIXELS / total])
        self.register_buffer("scales", torch.from_numpy(scales).float(), persistent=False)

    def forward(self, x: torch.Tensor, t: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
        scales = self.get_buffer("scales")
        time = t / scales.shape[1]
        if not self.preconditioned:
            plain: torch.Tensor = self.network(x, time, labels)
            return plain
        signal, noise, inner, skip, outer = scales[:, t][:, :, None, None, None]
        record = (skip * x + outer * self.network(inner * x, time, labels)).clamp(-1, 1)
        predicted: torch.Tensor = (x - signal * record) / noise
        return predicted


def _norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(math.gcd(8, channels), channels)


def _to_patches(x: torch.Tensor, patch: int) -> torch.Tensor:
    """Each square of pixels to one position with more channels; torch's ``pixel_unshuffle`` fails without rows."""
    n, channels, height, width = x.shape
    squares = x.reshape(n, channels, height // patch, patch, width // patch, patch).permute(0, 1, 3, 5, 2, 4)
    return squares.reshape(n, channels * patch**2, height // patch, width // patch)


def _to_pixels(x: torch.Tensor, patch: int) -> torch.Tensor:
    """The inverse of ``_to_patches``."""
    n, channels, height, width = x.shape
    squares = x.reshape(n, channels // patch**2, patch, patch, height, width).permute(0, 1, 4, 2, 5, 3)
    return squares.reshape(n, channels // patch**2, height * patch, width * patch)


def initialise(network: UNet, rng: torch.Generator) -> UNet:
    """Weights N(0, 1 / fan-in), smaller where a block or the network ends; biases 0; all drawn from ``rng``."""
    quiet = {network.head} | {m.conv2 for m in network.modules() if isinstance(m, Block)}
    quiet |= {m.output for m in network.modules() if isinstance(m, Attention)}
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            std = (QUIET if layer in quiet else 1.0) / math.sqrt(layer.weight[0].numel())
            nn.init.normal_(layer.weight, 0.0, std, generator=rng)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        elif isinstance(layer, nn.Embedding):
            nn.init.normal_(layer.weight, 0.0, 1.0, generator=rng)
    return network
