"""One-sided smoothing of the discriminator's labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pydantic import Field

from bench.errors import IncompatibleError
from bench.records import Schema
from defenses._discriminator import refuses_undiscriminating, trains_discriminator
from defenses.base import Defense, Step
from targets.base import Batch, Losses, Target


class LabelSmoothing(Defense):
    """One-sided label smoothing: real records count as real with probability 1 - ``smoothing``, not 1.

    With s the smoothing and l the logit of a real record, its cross-entropy becomes
    ``(1 - s) softplus(-l) + s softplus(l) = softplus(-l) + s l``, so that the best answer to a record that no generated
    one resembles is the finite ``log((1 - s) / s)``. Generated rows keep their target of 0, as the paper asks.
    Nothing else about the training changes.
    """

    name = "label_smoothing"
    paper = (
        "Salimans, Goodfellow, Zaremba, Cheung, Radford and Chen, Improved Techniques for Training GANs, NeurIPS 2016, "
        "section 3.4"
    )

    class Options(Defense.Options):
        smoothing: float = Field(0.1, gt=0, lt=0.5)
        """How far the target of real records lies below 1; by more than half, they would rather count as fake."""

    options: Options

    def refuses(self, target: Target, schema: Schema, before: Sequence[Defense]) -> str | None:
        if (reason := super().refuses(target, schema, before) or refuses_undiscriminating(self, target)) is not None:
            return reason
        if target.critic or getattr(target.options, "loss", None) == "wgan_gp":
            return f"{self.name} smooths the labels of a classifier, and {target.name}'s critic is given none"
        return None

    def transform_losses(self, losses: Losses, batch: Batch, step: Step) -> Losses:
        if not trains_discriminator(step.phase):
            return losses
        if losses.private is None or losses.real_logits is None:
            raise IncompatibleError(
                f"{self.name} expected {step.context.target.name} to give the logits of real records beside their "
                "losses, got none; a target gives them as Losses(..., real_logits=...)"
            )
        return replace(losses, private=losses.private.float() + self.options.smoothing * losses.real_logits.float())
