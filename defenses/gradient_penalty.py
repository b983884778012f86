"""A penalty on the slope of the discriminator at real records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from pydantic import Field

from bench.errors import IncompatibleError
from bench.records import Schema
from defenses._discriminator import refuses_undiscriminating, trains_discriminator
from defenses.base import Defense, Step
from targets.base import Batch, Losses, Target

if TYPE_CHECKING:
    import torch
    from torch import nn


class GradientPenalty(Defense):
    """R1: half ``gamma`` times the squared length of the logit's gradient at each real record.

    The loss of record x grows by ``gamma / 2 * |grad_x D(x)|^2``, with D the logit; records are those of the batch as
    the discriminator gets to see them. Nothing else about the training changes. With ``every`` above 1 the penalty is
    added to every so many-th update of the discriminator, that many times as heavy (Karras et al., Analyzing and
    Improving the Image Quality of StyleGAN, CVPR 2020, section 4.1; their change of the optimiser's constants is left
    out, since undefended rows have the same optimiser).
    """

    name = "gradient_penalty"
    paper = (
        "Mescheder, Geiger and Nowozin, Which Training Methods for GANs Do Actually Converge?, ICML 2018, section 4.1, "
        "equation 9"
    )
    mixes_records = (
        "the penalty asks the discriminator a second time and is differentiated twice, where the hooks that gather one "
        "gradient per record follow one pass and one backward pass"
    )

    class Options(Defense.Options):
        gamma: float = Field(10.0, gt=0, allow_inf_nan=False)
        """Weight of the penalty."""
        every: int = Field(1, ge=1)
        """Updates of the discriminator per penalty."""

    options: Options

    def refuses(self, target: Target, schema: Schema, before: Sequence[Defense]) -> str | None:
        if (reason := super().refuses(target, schema, before) or refuses_undiscriminating(self, target)) is not None:
            return reason
        o = target.options
        if getattr(o, "gradient_penalty", None) is not None or getattr(o, "loss", None) == "wgan_gp":
            return f"{target.name} has a gradient penalty of its own, which asks for another slope than {self.name}"
        if target.critic:
            return f"{self.name} flattens the logit of real records, and {target.name}'s critic gives no logit"
        if getattr(o, "norm", None) == "batch":
            return (
                f"{target.name} with norm=batch mixes the records of a batch, so the slope at a record is not its own; "
                "use norm=group"
            )
        return None

    def transform_losses(self, losses: Losses, batch: Batch, step: Step) -> Losses:
        o = self.options
        if not trains_discriminator(step.phase) or (step.number // step.phase.every) % o.every:
            return losses
        judges = step.networks["discriminator"]
        if losses.private is None or len(judges) != 1:
            raise IncompatibleError(
                f"gradient_penalty expected one discriminator per update and losses of real records, got {len(judges)} "
                f"discriminators of {step.context.target.name} and "
                f"{'no' if losses.private is None else len(losses.private)} losses"
            )
        weight = o.every * o.gamma / 2
        penalty = squared_slopes(step.context.target, judges[0], batch, step.context.device.kind)
        return replace(losses, private=losses.private.float() + weight * penalty)


def squared_slopes(target: Target, discriminator: nn.Module, batch: Batch, device_kind: str) -> torch.Tensor:
    """``|grad_x D(x)|^2`` of each real record, float32 ``(rows,)``, to be differentiated once more."""
    import torch

    if len(batch.x) == 0:
        return batch.x.new_zeros(0)
    labels = batch.labels if target.conditional else None
    # In float32 even where the rest is not: bf16 would round the gradient that is squared and differentiated again.
    with torch.enable_grad(), torch.autocast(device_kind, enabled=False):
        x = batch.x.detach().float().requires_grad_(True)
        logits = target.logit(discriminator, x, labels)
        # A row's logit depends on its own record alone, so the gradient of the sum is that of each.
        (gradient,) = torch.autograd.grad(logits.sum(), x, create_graph=True)
    squares: torch.Tensor = gradient.flatten(1).square().sum(dim=1)
    return squares
