"""What a target declares: its networks by role, which of them read real records, and one training step.

The loop around that step belongs to ``targets.training``; a target file holds its recipe and its losses.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from bench.devices import Device, generator_device
from bench.errors import IncompatibleError
from bench.plugin import Plugin, PluginOptions
from bench.records import Schema
from bench.rng import Purpose, torch_generator

if TYPE_CHECKING:
    import torch
    from torch import nn

Networks = dict[str, "tuple[nn.Module, ...]"]


@dataclass(frozen=True)
class Phase:
    """One optimiser update within a training step.

    Attributes:
        name: names the phase in the history.
        roles: the networks that it updates; all others are frozen meanwhile.
        private: whether its loss reads real records.
    """

    name: str
    roles: tuple[str, ...]
    private: bool


@dataclass(frozen=True)
class Batch:
    """Real records of one step.

    Attributes:
        x: float32 ``(rows, *schema.shape)`` in [-1, 1]; empty where Poisson sampling drew none.
        labels: int64 ``(rows,)`` or None.
        size: the *expected* number of rows, a public constant: what losses are divided by and how many rows the
            generated half has. Never the number that was drawn.
    """

    x: torch.Tensor
    labels: torch.Tensor | None
    size: int


@dataclass(frozen=True)
class Losses:
    """Per-row losses of one phase, not yet reduced.

    Attributes:
        private: ``(rows,)``, one per real record, or None where the phase reads none.
        public: ``(size,)``, one per generated row, or None.
    """

    private: torch.Tensor | None
    public: torch.Tensor | None

    def total(self) -> torch.Tensor:
        """The sum over all rows in float32; the caller divides it by the batch's public size."""
        parts = [part.float().sum() for part in (self.private, self.public) if part is not None]
        if not parts:
            raise ValueError("expected a phase to return private or public losses, got neither")
        return parts[0] if len(parts) == 1 else parts[0] + parts[1]


class Draw:
    """Named random tensors on one device, for latents, noise and masks."""

    def __init__(self, device: Device, seed: int, *purpose: Purpose) -> None:
        self.device = device
        self.generator = torch_generator(seed, *purpose, device=generator_device(device))

    def normal(self, *shape: int) -> torch.Tensor:
        """Standard normal float32 values."""
        import torch

        return torch.randn(shape, generator=self.generator, device=self.generator.device).to(self.device.name)

    def uniform(self, *shape: int) -> torch.Tensor:
        """Uniform float32 values in [0, 1)."""
        import torch

        return torch.rand(shape, generator=self.generator, device=self.generator.device).to(self.device.name)


class TargetOptions(PluginOptions):
    """Options that every target has: how long and in which batches it trains."""

    steps: int = Field(2000, ge=0)
    """Training steps; 0 gives the untrained network, which the quality of a row is read against."""
    batch_size: int = Field(64, ge=2)
    """Records per step (under Poisson sampling: the expected number)."""


class Target(Plugin):
    """Base class of generative models.

    Attributes:
        data: kinds of records it models (``image``, ``table``).
        roles: names of its networks.
        private_roles: the roles whose update reads real records; what DP-SGD must protect.
        loss_limit: absolute loss beyond which training counts as diverged.
    """

    class Options(TargetOptions):
        """No options beside those of every target."""

    options: Any
    data: ClassVar[frozenset[str]] = frozenset({"image"})
    roles: ClassVar[tuple[str, ...]]
    private_roles: ClassVar[tuple[str, ...]]
    loss_limit: ClassVar[float] = 1e4

    def refuses(self, schema: Schema) -> str | None:
        """Why this target cannot model such records, or None."""
        if schema.kind not in self.data:
            return f"{self.name} models {' and '.join(sorted(self.data))} records, not {schema.kind} records"
        return None

    def phases(self) -> tuple[Phase, ...]:
        """The updates of one training step, in order."""
        raise NotImplementedError

    def build(self, schema: Schema, rng: torch.Generator) -> Networks:
        """Fresh networks by role, every parameter drawn from ``rng``."""
        raise NotImplementedError

    def optimizer(self, phase: Phase, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """The optimiser of one phase."""
        raise NotImplementedError

    def losses(self, phase: Phase, networks: Networks, batch: Batch, draw: Draw) -> Losses:
        """Per-row losses of one phase; nothing in a private row may depend on another record."""
        raise NotImplementedError

    def latent(self, n: int, draw: Draw) -> torch.Tensor:
        """``n`` draws of the generator's input."""
        raise NotImplementedError

    def decode(self, networks: Networks, z: torch.Tensor) -> torch.Tensor:
        """Records from latents, in [-1, 1] for images."""
        raise NotImplementedError

    def generate(self, networks: Networks, n: int, draw: Draw) -> torch.Tensor:
        """``n`` generated records."""
        return self.decode(networks, self.latent(n, draw))

    def logit(self, network: nn.Module, x: torch.Tensor) -> torch.Tensor:
        """One discriminator's real/fake logit per row, ``(rows,)``; larger = more real."""
        raise IncompatibleError(f"{self.name} has no discriminator")


def modules(networks: Networks, roles: Iterable[str]) -> list[nn.Module]:
    """All networks of these roles."""
    return [module for role in roles for module in networks[role]]


def parameters(networks: Networks, roles: Iterable[str]) -> list[nn.Parameter]:
    """All parameters of these roles' networks."""
    return [p for module in modules(networks, roles) for p in module.parameters()]
