"""Private updates taken apart: one phase of a small target, and the same gradients by a literal loop."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from bench.devices import Device
from bench.records import Records, Schema
from bench.rng import generator
from defenses._per_record import PerRecordUpdater
from defenses.base import Defense, TrainingContext
from targets.base import Batch, Draw, Losses, Networks, Phase, Target, TargetOptions, parameters
from targets.dcgan import DCGAN
from targets.training import TrainingRequest, build_networks, set_mode

SCHEMA = Schema("image", (1, 10, 12))
Mode = Literal["hooks", "functorch"]


def noise_records(n: int, seed: int = 0) -> Records:
    x = generator(seed, "test records").integers(0, 256, (n, *SCHEMA.shape), dtype=np.uint8)
    return Records(np.arange(n, dtype=np.int64), x, None, SCHEMA)


def rows(n: int, seed: int = 0) -> torch.Tensor:
    """Real records ``(n, 1, 10, 12)`` in [-1, 1]."""
    return torch.from_numpy(noise_records(n, seed).floats())


def tiny(**options: Any) -> Target:
    return DCGAN(**{"steps": 6, "batch_size": 8, "width": 4, "latent": 5, **options})


def request(target: Target, *defenses: Defense, n: int = 30, expected: int | None = None) -> TrainingRequest:
    return TrainingRequest(target, defenses, noise_records(n), expected or n, noise_records(2, 1), 0, Device())


def context(target: Target, expected: int = 30, seed: int = 0) -> TrainingContext:
    o = target.options
    return TrainingContext(target, SCHEMA, expected, o.steps, o.batch_size, seed, Device(), noise_records(2, 1))


class AutoEncoder(Target):
    """Two private networks in one phase and no generated rows: what a VAE looks like to DP-SGD."""

    name = "auto_encoder"
    roles = ("encoder", "decoder")
    private_roles = ("encoder", "decoder")

    class Options(TargetOptions):
        width: int = 3

    def phases(self) -> tuple[Phase, ...]:
        return (Phase("reconstruction", ("encoder", "decoder"), private=True),)

    def build(self, schema: Schema, rng: torch.Generator) -> Networks:
        width = self.options.width
        encoder = nn.Sequential(nn.Conv2d(1, 2, 3, 2, 1), nn.LeakyReLU(0.2), nn.Flatten(), nn.Linear(60, width))
        decoder = nn.Sequential(nn.Linear(width, 16), nn.LeakyReLU(0.2), nn.Linear(16, 120))
        for module in (encoder, decoder):
            for p in module.parameters():
                nn.init.normal_(p, 0, 0.5, generator=rng)
        return {"encoder": (encoder,), "decoder": (decoder,)}

    def optimizer(self, phase: Phase, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.SGD(parameters, lr=0.1)

    def losses(self, phase: Phase, networks: Networks, batch: Batch, draw: Draw) -> Losses:
        (encoder,), (decoder,) = networks["encoder"], networks["decoder"]
        return Losses(((decoder(encoder(batch.x)) - batch.x.flatten(1)) ** 2).sum(dim=1), None)


class Private:
    """One private phase of a target, to be run by hand.

    Args:
        target: whose first phase is private.
        before: defenses that change the networks.
        scale: multiplies every weight, so that gradients vary in size.
    """

    def __init__(
        self,
        target: Target,
        before: Sequence[Defense] = (),
        *,
        clip: float = 1.0,
        noise: float = 0.0,
        mode: Mode = "hooks",
        seed: int = 0,
        scale: float = 1.0,
    ) -> None:
        self.target, self.phase, self.clip = target, target.phases()[0], clip
        about = context(target, seed=seed)
        self.networks = build_networks(target, before, about)
        with torch.no_grad():
            for p in parameters(self.networks, self.phase.roles):
                p.mul_(scale)
        set_mode(self.networks, train=True)
        self.parameters = parameters(self.networks, self.phase.roles)
        self.size = about.batch_size
        self.updater = PerRecordUpdater(
            self.phase,
            self.networks,
            torch.optim.SGD(self.parameters, lr=1e-30),  # the weights stay, so that updates can be compared
            about,
            noise_multiplier=noise,
            max_grad_norm=clip,
            mode=mode,
        )

    def losses(self, x: torch.Tensor) -> Losses:
        """Losses of these real rows beside always the same generated rows."""
        batch = Batch(x, None, self.size, Schema("image", tuple(x.shape[1:])))
        return self.target.losses(self.phase, self.networks, batch, Draw(Device(), 3, "test"))

    def samples(self, x: torch.Tensor) -> torch.Tensor:
        """Opacus' gradient of each row, ``(rows, parameters)``: the real rows first."""
        self.updater.begin()
        try:
            self.backward(self.losses(x).total())
            return torch.cat([p.grad_sample.flatten(1) for p in self.parameters], dim=1)  # type: ignore[attr-defined]
        finally:
            self.updater.end()

    @staticmethod
    def backward(loss: torch.Tensor) -> None:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Full backward hook is firing")
            loss.backward()  # type: ignore[no-untyped-call]

    def summed(self, x: torch.Tensor) -> torch.Tensor:
        """The update of one step times the public size, flat: the clipped sum and its noise."""
        self.updater.begin()
        try:
            self.updater.step(self.losses(x), self.size)
        finally:
            self.updater.end()
        return self.size * torch.cat([p.grad.flatten() for p in self.parameters if p.grad is not None])

    def literal(self, x: torch.Tensor) -> torch.Tensor:
        """The gradient of each row's own loss, one ``torch.autograd.grad`` after the other."""
        losses = self.losses(x)
        each = [row for part in (losses.private, losses.public) if part is not None for row in part]
        if not each:
            return torch.zeros(0, sum(p.numel() for p in self.parameters))
        gradients = []
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Full backward hook is firing")
            for row in each:
                parts = torch.autograd.grad(row, self.parameters, retain_graph=True)
                gradients.append(torch.cat([g.flatten() for g in parts]))
        return torch.stack(gradients)


def clipped_sum(samples: torch.Tensor, clip: float) -> torch.Tensor:
    """Each row scaled down to norm ``clip`` where it is longer, then summed (Abadi et al., algorithm 1)."""
    total = torch.zeros(samples.shape[1], dtype=torch.float64)
    for row in samples.double():
        total += row / max(1.0, float(row.norm()) / clip)
    return total
