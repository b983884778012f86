"""MEGAN: the generator makes the discriminator unsure instead of making it say real."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from pydantic import Field

from bench.errors import IncompatibleError
from bench.records import Schema
from defenses._discriminator import refuses_undiscriminating, trains_discriminator
from defenses.base import Defense, Step
from targets.base import Batch, Losses, Phase, Target

if TYPE_CHECKING:
    import torch


class MaxEntropy(Defense):
    """The generator maximises the entropy of the discriminator's answer to what it generates.

    With l the logit of a generated row and p = sigmoid(l), its loss in the generator's phase is -H(p), where
    H(p) = -p log p - (1 - p) log(1 - p) in nats: the best that a generator can reach is p = 1/2, and to make the
    discriminator say real (p = 1), as by repeating a record that it knows by heart, costs as much as to be seen
    through. By Fano's inequality, who tells real from generated errs the more often the larger that entropy is.

    The discriminator's phase stays as it is, and so does everything else about the training. The gradient of H fades
    where the discriminator is sure: with ``weight`` w below 1, which is no part of the paper, the loss is
    -w H + (1 - w) times the target's own, whose gradient does not.
    """

    name = "max_entropy"
    paper = (
        "Shateri, Messina, Labeau and Piantanida, Preserving Privacy in GANs Against Membership Inference Attack, "
        "arXiv:2311.03172, 2023, on MEGAN"
    )
    adaptive = ("lira",)

    class Options(Defense.Options):
        weight: float = Field(1.0, gt=0, le=1)
        """Share of the entropy in the generator's loss; the rest is the target's own."""

    options: Options

    def refuses(self, target: Target, schema: Schema, before: Sequence[Defense]) -> str | None:
        if (reason := super().refuses(target, schema, before) or refuses_undiscriminating(self, target)) is not None:
            return reason
        if target.critic or getattr(target.options, "loss", None) == "wgan_gp":
            return f"{self.name} needs the probability of being real, and {target.name}'s critic gives none"
        phases = [phase for phase in target.phases() if _trains_generator(phase)]
        if not phases:
            return f"{self.name} changes the loss of a generator that faces a discriminator, and {target.name} has none"
        if any(phase.private for phase in phases):
            return (
                f"the generator of {target.name} learns from records and their reconstructions too, in losses of which "
                f"{self.name} knows no entropy"
            )
        return None

    def transform_losses(self, losses: Losses, batch: Batch, step: Step) -> Losses:
        if not _trains_generator(step.phase):
            return losses
        if losses.public is None or losses.generated_logits is None:
            raise IncompatibleError(
                f"{self.name} expected {step.context.target.name} to give the logits of generated rows beside their "
                "losses, got none; a target gives them as Losses(..., generated_logits=...)"
            )
        w = self.options.weight
        blend = -w * entropy(losses.generated_logits.float())
        return replace(losses, public=blend if w == 1 else blend + (1 - w) * losses.public.float())


def entropy(logits: torch.Tensor) -> torch.Tensor:
    """Entropy in nats of a binary answer with these logits, ``(rows,)`` each; 0 where the answer is certain.

    -log(sigmoid(l)) = softplus(-l); both terms are even in l, so |l| keeps every factor small.
    """
    from torch.nn.functional import softplus

    size = logits.abs()
    return softplus(-size) + size * (-size).sigmoid()


def _trains_generator(phase: Phase) -> bool:
    """Whether this is the update of a generator that a fixed discriminator judges."""
    return "generator" in phase.roles and not trains_discriminator(phase)
