"""Encoders and decoders of variational autoencoders, on the same pyramids as the GANs; GroupNorm, never BatchNorm."""

from __future__ import annotations

import math

import torch
from torch import nn

from targets.nets.conv import discriminator, pyramid, rising
from targets.nets.labels import apply

LIMIT = 10.0  # of log-variances: exp() stays finite on any record, and no trained posterior is that narrow or wide


def encoder(shape: tuple[int, ...], width: int, latent: int) -> nn.Sequential:
    """Image ``(rows, channels, height, width)`` to mean and log-variance ``(rows, 2 * latent)``.

    It is the discriminator's pyramid with another head, so that the families differ in what they learn, not in size.
    """
    sizes = pyramid(shape[1], shape[2])
    features = width * 2 ** (len(sizes) - 2) * sizes[-1][0] * sizes[-1][1]
    return nn.Sequential(*discriminator(shape, width, "group")[:-1], nn.Linear(features, 2 * latent))


def decoder(shape: tuple[int, ...], width: int, latent: int) -> nn.Sequential:
    """Latent ``(rows, latent)`` to image ``(rows, channels, height, width)``, not yet squashed to [-1, 1].

    The generator's pyramid with GroupNorm in place of BatchNorm: a decoder's gradient reads real records, and
    BatchNorm would mix them.
    """
    return rising(shape, width, latent, _norm)


def _norm(channels: int) -> nn.GroupNorm:
    """GroupNorm in 8 groups, or as many as divide the channels."""
    return nn.GroupNorm(math.gcd(8, channels), channels)


def posterior(found: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """An encoder's output ``(rows, 2 * latent)`` as mean and log-variance, float32 ``(rows, latent)`` each.

    The log-variance is kept within ``+-LIMIT``.
    """
    mean, log_variance = found.float().chunk(2, dim=1)
    return mean, log_variance.clamp(-LIMIT, LIMIT)


def divergence(mean: torch.Tensor, log_variance: torch.Tensor) -> torch.Tensor:
    """KL(N(mean, variance) || N(0, I)) per row in nats, ``(rows,)`` (Kingma and Welling, ICLR 2014, appendix B)."""
    return (mean.square() + log_variance.exp() - 1 - log_variance).sum(dim=1) / 2


def features_and_logit(
    discriminator: nn.Module, x: torch.Tensor, labels: torch.Tensor | None, level: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """What the discriminator's convolution number ``level`` (from 1) hands on, flat float32 ``(rows, features)``, and
    its logits ``(rows,)``, from one pass.

    They are caught at the entry of the next layer with weights, so a defense may change or wrap the network.
    """
    layers = [layer for layer in discriminator.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    caught: list[torch.Tensor] = []
    with layers[level].register_forward_pre_hook(lambda _, given: caught.append(given[0])):
        logits = apply(discriminator, x, labels)[:, 0]
    return caught[0].flatten(1).float(), logits
