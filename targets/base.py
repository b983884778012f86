"""What a target declares: its networks by role, which of them read real records, and one training step.

The loop around that step belongs to ``targets.training``; a target file holds its recipe and its losses.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from bench.devices import Device, generator_device
from bench.errors import IncompatibleError, StoreError
from bench.plugin import Plugin, PluginOptions
from bench.records import Records, Schema
from bench.rng import Purpose, torch_generator

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from torch import nn

SNAPSHOTS = 8  # of a training: the least over which stability metrics compare the last with the best

Networks = dict[str, "tuple[nn.Module, ...]"]


@dataclass(frozen=True)
class Phase:
    """One optimiser update within a training step.

    Attributes:
        name: names the phase in the history.
        roles: the networks that it updates; all others are frozen meanwhile.
        private: whether its loss reads real records.
        every: it runs on every so many-th training step; a critic may be updated more often than its generator.
    """

    name: str
    roles: tuple[str, ...]
    private: bool
    every: int = 1


@dataclass(frozen=True)
class Batch:
    """Real records of one step.

    Attributes:
        x: float32 ``(rows, *schema.shape)`` in [-1, 1]; empty where Poisson sampling drew none.
        labels: int64 ``(rows,)`` or None.
        size: the *expected* number of rows, a public constant: what losses are divided by and how many rows the
            generated half has. Never the number that was drawn.
        schema: what one record looks like.
    """

    x: torch.Tensor
    labels: torch.Tensor | None
    size: int
    schema: Schema


@dataclass(frozen=True)
class Losses:
    """Per-row losses of one phase, not yet reduced.

    Attributes:
        private: ``(rows,)``, one per real record, or None where the phase reads none.
        public: ``(size,)``, one per generated row, or None.
        real_logits: ``(rows,)``, the discriminator's opinion of each real record, behind ``private``; None where the
            phase asks no discriminator whose output is a real/fake logit.
        generated_logits: ``(size,)``, the same of each generated row, behind ``public``.
    """

    private: torch.Tensor | None
    public: torch.Tensor | None
    real_logits: torch.Tensor | None = None
    generated_logits: torch.Tensor | None = None

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

    def integers(self, high: int, n: int) -> torch.Tensor:
        """Uniform int64 values ``(n,)`` from 0 to below ``high``."""
        import torch

        return torch.randint(high, (n,), generator=self.generator, device=self.generator.device).to(self.device.name)

    def labels(self, n: int, schema: Schema) -> torch.Tensor:
        """Class labels int64 ``(n,)`` by the classes' public shares, which are equal where none are known.

        Raises:
            IncompatibleError: the records have no classes.
        """
        import torch

        if schema.classes is None:
            raise IncompatibleError(f"expected records with labels to draw classes of, got {schema} without any")
        if not schema.class_shares:
            return self.integers(schema.classes, n)
        ends = torch.tensor(schema.class_shares, dtype=torch.float32).cumsum(0).to(self.device.name)
        return torch.searchsorted(ends, self.uniform(n) * ends[-1], right=True).clamp_max(schema.classes - 1)


class TargetOptions(PluginOptions):
    """Options that every target has: how long and in which batches it trains."""

    steps: int = Field(2000, ge=0)
    """Training steps; 0 gives the untrained network, which the quality of a row is read against."""
    batch_size: int = Field(64, ge=2)
    """Records per step (under Poisson sampling: the expected number)."""


class BroughtOptions(PluginOptions):
    """Options of a target that was trained elsewhere: it takes no step here."""

    steps: ClassVar[int] = 0
    batch_size: ClassVar[int] = 1


class Target(Plugin):
    """Base class of generative models.

    ``labels`` are int64 ``(rows,)``, and are given if and only if the target is ``conditional``.

    Attributes:
        data: kinds of records it models (``image``, ``table``).
        roles: names of its networks.
        private_roles: the roles whose update reads real records; what DP-SGD must protect.
        loss_limit: absolute loss beyond which training counts as diverged.
        brought: whether it was trained elsewhere: no training, and no defense of training, happens here.
        control: whether it measures the instrument and is no model; never ranked among models.
        for_attacks: whether only attacks train it, and no matrix may name it as a target.
        critic: whether its discriminator's output has no natural zero between real and fake.
        sides: least and most pixels a side of the images that it is built for; None: any.
        rows_per_call: records that ``generate`` makes at once.
        presets: name -> options that go together, such as ``gpu``; options given beside a preset win.
    """

    class Options(TargetOptions):
        """No options beside those of every target."""

    options: Any
    data: ClassVar[frozenset[str]] = frozenset({"image"})
    roles: ClassVar[tuple[str, ...]]
    private_roles: ClassVar[tuple[str, ...]]
    loss_limit: ClassVar[float] = 1e4
    brought: ClassVar[bool] = False
    control: ClassVar[bool] = False
    for_attacks: ClassVar[bool] = False
    critic: ClassVar[bool] = False
    sides: ClassVar[tuple[int, int] | None] = None
    rows_per_call: ClassVar[int] = 500

    @property
    def conditional(self) -> bool:
        """Whether it models records given their labels."""
        return bool(getattr(self.options, "conditional", False))

    def refuses(self, schema: Schema) -> str | None:
        """Why this target cannot model such records, or None."""
        if schema.kind not in self.data:
            return f"{self.name} models {' and '.join(sorted(self.data))} records, not {schema.kind} records"
        if self.conditional and schema.classes is None:
            return f"{self.name} with conditional=true needs labels, and these records have none"
        if self.sides is not None and schema.kind == "image":
            (least, most), (height, width) = self.sides, schema.shape[1:]
            if min(height, width) < least or max(height, width) > most:
                return (
                    f"{self.name} is built for images of {least} to {most} pixels a side, got {height}x{width}; "
                    "resize them"
                )
        return None

    def refuses_private(self) -> str | None:
        """Why clipping one gradient per record cannot be exact for this target, or None where it can."""
        return None

    def untrained(self) -> Target | None:
        """The target before its first step, whose samples are the worst line of quality; None where there is none."""
        return type(self).from_spec({**self.spec(), "steps": 0}).at(self.base_dir)

    def phases(self) -> tuple[Phase, ...]:
        """The updates of one training step, in order."""
        raise NotImplementedError

    def build(self, schema: Schema, rng: torch.Generator) -> Networks:
        """Fresh networks by role, every parameter drawn from ``rng``."""
        raise NotImplementedError

    def optimizer(self, phase: Phase, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """The optimiser of one phase."""
        raise NotImplementedError

    def fit(self, networks: Networks, records: Records, reference: Records) -> None:
        """Called once before the first step; only a control of known leakage takes anything from it.

        Args:
            records: those to train on.
            reference: those that belong to the attacker, disjoint from them.
        """

    def losses(self, phase: Phase, networks: Networks, batch: Batch, draw: Draw) -> Losses:
        """Per-row losses of one phase; nothing in a private row may depend on another record."""
        raise NotImplementedError

    def after_update(self, phase: Phase, networks: Networks, losses: Losses, batch: Batch) -> None:
        """Called without gradients after a phase's update; what it keeps lies in the networks, which are saved.

        Under per-record clipping neither ``losses`` nor ``batch`` hold anything of real records, since what is kept is
        released.
        """

    def latent(self, n: int, draw: Draw) -> torch.Tensor:
        """``n`` draws of the generator's input."""
        raise NotImplementedError

    def decode(self, networks: Networks, z: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
        """Records from latents, in [-1, 1] for images."""
        raise NotImplementedError

    def generate(self, networks: Networks, n: int, draw: Draw, labels: torch.Tensor | None = None) -> torch.Tensor:
        """``n`` generated records."""
        return self.decode(networks, self.latent(n, draw), labels)

    def stored(self, schema: Schema) -> Records | None:
        """Records that were generated elsewhere and stand for generated ones; None where the networks generate.

        Raises:
            InputError: there are some, but not of this schema.
        """
        return None

    def logit(self, network: nn.Module, x: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
        """One discriminator's real/fake logit per row, ``(rows,)``; larger = more real."""
        raise IncompatibleError(f"{self.name} has no discriminator")

    def posterior(
        self, networks: Networks, x: torch.Tensor, labels: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and standard deviation of the latents of each record, ``(rows, latent)`` each."""
        raise IncompatibleError(f"{self.name} has no encoder")

    def encode(
        self, networks: Networks, x: torch.Tensor, draw: Draw, labels: torch.Tensor | None = None
    ) -> torch.Tensor:
        """One draw of each record's latent, ``(rows, latent)``."""
        mean, deviation = self.posterior(networks, x, labels)
        return mean + deviation * draw.normal(*mean.shape)

    def predict_noise(
        self, networks: Networks, x: torch.Tensor, t: torch.Tensor, labels: torch.Tensor | None = None
    ) -> torch.Tensor:
        """The noise that a diffusion model sees in noisy records ``x`` at times ``t``, int64 ``(rows,)`` from 0."""
        raise IncompatibleError(f"{self.name} has no denoiser")

    def alpha_bar(self) -> NDArray[np.float64]:
        """Share of the signal's variance that is left at each time of a diffusion model, ``(times,)``, falling."""
        raise IncompatibleError(f"{self.name} has no denoiser")


def modules(networks: Networks, roles: Iterable[str]) -> list[nn.Module]:
    """All networks of these roles."""
    return [module for role in roles for module in networks[role]]


def parameters(networks: Networks, roles: Iterable[str]) -> list[nn.Parameter]:
    """All parameters of these roles' networks."""
    return [p for module in modules(networks, roles) for p in module.parameters()]


def snapshot_steps(steps: int) -> tuple[int, ...]:
    """When a training of so many steps takes its snapshots: evenly spaced, the last step included.

    They are fewer than ``SNAPSHOTS`` when the training is very short.
    """
    return tuple(sorted({round(steps * (i + 1) / SNAPSHOTS) for i in range(SNAPSHOTS)} - {0}))


def to_tensors(networks: Networks) -> dict[str, torch.Tensor]:
    """Every parameter and buffer, copied, under ``role.position.name``: how networks are stored."""
    return {
        f"{role}.{index}.{name}": tensor.detach().clone()
        for role, found in networks.items()
        for index, module in enumerate(found)
        for name, tensor in module.state_dict().items()
    }


def from_tensors(networks: Networks, tensors: Mapping[str, torch.Tensor]) -> None:
    """Put stored parameters and buffers back into networks of the same shape.

    Raises:
        StoreError: names or shapes do not fit.
    """
    strangers = sorted({name for name in tensors if name.split(".")[0] not in networks})
    if strangers:
        raise StoreError(f"expected weights of the networks {sorted(networks)}, got {strangers[:3]} too")
    for role, found in networks.items():
        for index, module in enumerate(found):
            prefix = f"{role}.{index}."
            state = {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
            try:
                module.load_state_dict(state)
            except RuntimeError as error:
                raise StoreError(f"the weights do not fit {role}: {error}") from error
