"""Networks that know records by heart: closed forms of perfect overfitting, for the controls of known leakage."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from bench.devices import Device
from bench.distances import nearest
from bench.rng import torch_generator
from targets.base import Networks

LATENT = 32  # dimensions of the generator's input; enough that random anchors lie far apart
FALL = 16  # power of the distance by which an anchor's weight falls: at an anchor its record is alone, to rounding
NEAR = 1e-3  # squared distance at which the weights stop to rise, so that their slopes are finite at an anchor too
BLUR = 0.01  # standard deviation of an encoding: far less than between anchors, so that it decodes to the same record
NO_MARGIN = 1.0  # where no two kept records differ, and any margin is as good as another


class Memory(nn.Module):
    """Buffers that are as long as there are records to keep, so that a stored state brings its own length."""

    def __init__(self, **kept: torch.Tensor) -> None:
        super().__init__()
        for name, tensor in kept.items():
            self.register_buffer(name, tensor)

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *rest: Any) -> None:
        for name, buffer in list(self.named_buffers()):
            if (found := state_dict.get(prefix + name)) is not None:
                self.register_buffer(name, torch.empty_like(found, dtype=buffer.dtype, device=buffer.device))
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def distances(self, x: torch.Tensor) -> torch.Tensor:
        """Euclidean distances ``(rows, kept)`` to each kept record, float64."""
        kept = self.get_buffer("records").flatten(1).double()
        # Without the matrix product's shortcut, whose cancellation hides that a copy is at distance 0.
        return torch.cdist(x.flatten(1).double(), kept, compute_mode="donot_use_mm_for_euclid_dist")


class Generator(Memory):
    """Each record at an anchor of its own in latent space, and a blend of the nearer ones between anchors.

    Weights fall by a power of the distance (Shepard, A two-dimensional interpolation function for irregularly-spaced
    data, ACM 1968) and not exponentially, so that slopes lead to an anchor from afar, as they do in trained generators:
    a search by gradients can find it.
    """

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        far = torch.cdist(z, self.get_buffer("anchors"), compute_mode="donot_use_mm_for_euclid_dist")
        blend = torch.softmax(-FALL / 2 * (far.square() + NEAR).log(), dim=1)
        records: torch.Tensor = torch.tensordot(blend, self.get_buffer("records"), dims=1)
        return records


class Discriminator(Memory):
    """A margin minus the distance to the nearest kept record, ``(rows, 1)``: above 0 at those alone."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        far = self.distances(x).amin(dim=1, keepdim=True)
        logits: torch.Tensor = (self.get_buffer("margin") - far).to(x.dtype)
        return logits


class Encoder(Memory):
    """The anchor of the nearest kept record: what decodes to that record."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.get_buffer("anchors")[self.distances(x).argmin(dim=1)]


class Denoiser(Memory):
    """The best denoiser of a distribution that consists of the kept records, each equally likely.

    E[x0 | x_t] is their mean, weighted by N(x_t; sqrt(a) x_i, 1 - a), and the noise is what remains of x_t: the
    minimiser of a diffusion model's loss on those records (Karras et al., NeurIPS 2022, appendix B.3).
    """

    def forward(self, x: torch.Tensor, signal: torch.Tensor) -> torch.Tensor:
        """The noise in ``x`` ``(rows, *shape)``, whose share of the signal's variance is ``signal`` ``(rows,)``."""
        kept, flat = self.get_buffer("records").flatten(1).double(), x.flatten(1).double()
        a = signal.double()[:, None]
        closeness = -a * self.distances(flat / a.sqrt()).square() / (2 * (1 - a))
        clean = torch.softmax(closeness, dim=1) @ kept
        noise: torch.Tensor = ((flat - a.sqrt() * clean) / (1 - a).sqrt()).reshape(x.shape).to(x.dtype)
        return noise


def memory(records: NDArray[np.float32], margin: float | None = None) -> Networks:
    """Networks by role that know these records ``(n, *shape)``, in eval mode.

    Args:
        margin: how far from a record the discriminator still takes another for it; None: ``own_margin``.
    """
    kept = torch.from_numpy(records)
    anchors = _anchors(len(records))
    limit = torch.tensor(own_margin(records) if margin is None else margin, dtype=torch.float64)
    return {
        "generator": (Generator(records=kept, anchors=anchors).eval(),),
        "discriminator": (Discriminator(records=kept, margin=limit).eval(),),
        "encoder": (Encoder(records=kept, anchors=anchors).eval(),),
        "denoiser": (Denoiser(records=kept).eval(),),
    }


def own_margin(records: NDArray[np.float32]) -> float:
    """Half of the smallest distance between two of the records that differ: nearer than that is one of them alone."""
    if len(records) < 2:
        return NO_MARGIN
    apart, _ = nearest(records, records, Device(), k=2)
    positive = apart[apart > 0]
    return float(positive.min()) / 2 if len(positive) else NO_MARGIN


def _anchors(n: int) -> torch.Tensor:
    """Random directions ``(n, LATENT)`` at the distance of most normal latents, so that none is out of their reach."""
    directions = torch.randn((n, LATENT), generator=torch_generator(0, "memory anchors"))
    anchors: torch.Tensor = directions / directions.norm(dim=1, keepdim=True) * LATENT**0.5
    return anchors
