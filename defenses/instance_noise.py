"""Noise on everything that the discriminator is shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

from pydantic import Field, model_validator

from bench.records import Schema
from defenses._discriminator import refuses_undiscriminating
from defenses.base import Defense, Step, TrainingContext, asked_networks
from targets.base import Batch, Draw, Losses, Networks, Target, modules

if TYPE_CHECKING:
    import torch


class InstanceNoise(Defense):
    """Gaussian noise on all rows that the discriminator is shown in training, real and generated alike.

    Each pass draws noise anew, those of the generator's phase included, where gradients flow through it: both sides
    work on distributions that are blurred in the same way. Its standard deviation falls linearly from ``strength`` at
    the first training step to ``end`` at the last. The released discriminator adds none. Labels stay as they are;
    the categories of a table, one-hot, are blurred like its numbers. Nothing else about the training changes.
    """

    name = "instance_noise"
    paper = (
        "Sønderby, Caballero, Theis, Shi and Huszár, Amortised MAP Inference for Image Super-Resolution, ICLR 2017, "
        "on instance noise; Arjovsky and Bottou, Towards Principled Methods for Training GANs, ICLR 2017, section 3"
    )

    class Options(Defense.Options):
        strength: float = Field(0.3, gt=0, allow_inf_nan=False)
        """Standard deviation of the noise at the first step, in values of records (images: -1 to 1)."""
        end: float = Field(0.0, ge=0, allow_inf_nan=False)
        """Standard deviation of the noise at the last step."""

        @model_validator(mode="after")
        def _falls(self) -> Self:
            if self.end > self.strength:
                raise ValueError(f"expected noise that falls, `end` at most {self.strength:g}, got {self.end:g}")
            return self

    options: Options

    def refuses(self, target: Target, schema: Schema, before: Sequence[Defense]) -> str | None:
        return super().refuses(target, schema, before) or refuses_undiscriminating(self, target)

    def strength_at(self, number: int, steps: int) -> float:
        """Standard deviation at a training step, from 1."""
        o = self.options
        return o.strength + (o.end - o.strength) * (number - 1) / max(1, steps - 1)

    def adapt_networks(self, networks: Networks, context: TrainingContext) -> Networks:
        from defenses._inputs import ChangedInput

        strength = self.strength_at(1, context.steps)
        noisy = []
        for place, network in enumerate(asked_networks(self, networks, ["discriminator"], context)):
            draw = Draw(context.device, context.seed, "instance noise", repr(self), place)
            noisy.append(ChangedInput(network, Noise(self, draw, strength)))
        return {**networks, "discriminator": tuple(noisy)}

    def start(self, networks: Networks, context: TrainingContext) -> list[Noise]:
        """What adds this defense's noise, whatever else wraps the discriminators."""
        from defenses._inputs import ChangedInput

        changes = [
            module.change
            for network in modules(networks, networks)
            for module in network.modules()
            if isinstance(module, ChangedInput)
        ]
        return [change for change in changes if isinstance(change, Noise) and change.owner == self]

    def transform_batch(self, batch: Batch, step: Step) -> Batch:
        self._set(step)
        return batch

    def transform_losses(self, losses: Losses, batch: Batch, step: Step) -> Losses:
        self._set(step)  # of a discriminator that reads no records, and so gets no batch of them to change
        return losses

    def _set(self, step: Step) -> None:
        # Set at each update and not after the step before: a client of federated training sits steps out.
        for noise in step.state:
            noise.strength = self.strength_at(step.number, step.context.steps)


class Noise:
    """Adds Gaussian noise of a standard deviation that may be changed; ``owner`` is the defense that does so."""

    def __init__(self, owner: InstanceNoise, draw: Draw, strength: float) -> None:
        self.owner, self.draw, self.strength = owner, draw, strength

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return x + (self.strength * self.draw.normal(*x.shape)).to(x.dtype)
