"""Augmentation of everything that the discriminator is shown, or of the training records where there is none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator

from bench.records import Schema
from defenses._discriminator import trains_discriminator
from defenses.base import Defense, Step, TrainingContext
from targets.base import Batch, Draw, Networks, Target

if TYPE_CHECKING:
    import torch

Kind = Literal["brightness", "contrast", "translation", "cutout"]


class Augmentation(Defense):
    """Differentiable augmentation: the discriminator sees randomly changed copies only, real and generated alike.

    Each row of each pass is changed by amounts of its own, in the generator's phase too, where gradients flow through
    the change; so the discriminator cannot learn records by heart as they are, and the generator need not imitate the
    changes. The released discriminator sees its input unchanged. The changes are those of the paper's code in its
    order, but for saturation, which grey images have none of; as there, what a shift uncovers and a square covers is
    0, mid-grey, and nothing is clipped. With ``probability`` below 1 each change leaves some rows alone, as in ADA, but
    at a fixed rate. Under a gradient penalty the slope is that of the augmented critic.

    A target without a discriminator (a VAE, a diffusion model) is trained on changed records, clipped to [-1, 1]:
    plain data augmentation, which its samples imitate. One copy of a record stands for it, so gradients stay per
    record. Numbers of updates, architecture and optimisers are those of the undefended run.
    """

    name = "augmentation"
    paper = (
        "Zhao, Liu, Lin, Zhu and Han, Differentiable Augmentation for Data-Efficient GAN Training, NeurIPS 2020, "
        "section 3; probability: Karras et al., Training Generative Adversarial Networks with Limited Data (ADA), "
        "NeurIPS 2020"
    )
    adaptive = ("augmented",)
    caveat = "Targets without a discriminator learn to generate the augmented records."

    class Options(Defense.Options):
        kinds: list[Kind] = Field(["brightness", "contrast", "translation", "cutout"], min_length=1)
        """What is changed, in this order."""
        probability: float = Field(1.0, gt=0, le=1)
        """Probability with which each change is made to a row."""
        brightness: float = Field(0.5, gt=0, le=2)
        """What is added to a row's values at most, either way, of 2 from black to white."""
        contrast: float = Field(0.5, gt=0, lt=1)
        """By which share a row's distance from its own mean is changed at most, either way."""
        translation: float = Field(0.125, gt=0, lt=1)
        """By which share of its height and width a row is shifted at most, either way, in whole pixels."""
        cutout: float = Field(0.5, gt=0, lt=1)
        """Sides of the rectangle that is covered, as a share of height and width; it may reach beyond the edge."""

        @model_validator(mode="after")
        def _each_once(self) -> Self:
            if len(set(self.kinds)) < len(self.kinds):
                raise ValueError(f"expected each kind of change once, got {self.kinds}")
            return self

    options: Options

    def refuses(self, target: Target, schema: Schema, before: Sequence[Defense]) -> str | None:
        if (reason := super().refuses(target, schema, before)) is not None:
            return reason
        if schema.kind != "image":
            return (
                f"{self.name} changes images, and a {schema.kind}'s row has no brightness and no place to be moved to"
            )
        if not any(phase.private for phase in target.phases()):
            return (
                f"{self.name} changes what a target is trained on, and {target.name} has no update that reads records"
            )
        if _shows(target) and "encoder" in target.roles:
            return (
                f"{target.name} compares what its discriminator makes of a record and of its reconstruction, and "
                f"{self.name} would change each by amounts of its own"
            )
        sides = schema.shape[1:]
        for kind, share in (("translation", self.options.translation), ("cutout", self.options.cutout)):
            if kind in self.options.kinds and not all(_pixels(side, share) for side in sides):
                size = f"{sides[0]}x{sides[1]}"
                return f"{self.name}: {kind}={share:g} of {size} pixels is less than one; give a larger share"
        return None

    def adapt_networks(self, networks: Networks, context: TrainingContext) -> Networks:
        if not _shows(context.target):
            return networks
        from defenses._inputs import ChangedInput

        changed = tuple(
            ChangedInput(
                network, Change(self.options, Draw(context.device, context.seed, self.name, repr(self), place))
            )
            for place, network in enumerate(networks["discriminator"])
        )
        return {**networks, "discriminator": changed}

    def start(self, networks: Networks, context: TrainingContext) -> Change:
        """What changes the records of a target without a discriminator."""
        return Change(self.options, Draw(context.device, context.seed, self.name, repr(self), "records"))

    def transform_batch(self, batch: Batch, step: Step) -> Batch:
        if _shows(step.context.target):
            return batch
        return replace(batch, x=step.state(batch.x).clamp(-1, 1))


class Change:
    """Changes images, float ``(rows, channels, height, width)``, each by amounts of its own."""

    def __init__(self, options: Augmentation.Options, draw: Draw) -> None:
        self.options, self.draw = options, draw

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        import torch

        o, draw, n, (height, width) = self.options, self.draw, len(x), x.shape[2:]
        for kind in o.kinds:
            if kind == "brightness":
                changed = brightened(x, o.brightness * (2 * draw.uniform(n) - 1))
            elif kind == "contrast":
                changed = stretched(x, 1 + o.contrast * (2 * draw.uniform(n) - 1))
            elif kind == "translation":
                reach = [_pixels(side, o.translation) for side in (height, width)]
                down, right = (draw.integers(2 * most + 1, n) - most for most in reach)
                changed = translated(x, down, right)
            else:
                sides = [_pixels(side, o.cutout) for side in (height, width)]
                # The centre is anywhere on the image, so that edges are covered as often as the rest.
                top, left = (
                    draw.integers(side + 1 - cut % 2, n) - cut // 2
                    for side, cut in zip((height, width), sides, strict=True)
                )
                changed = covered(x, top, left, sides[0], sides[1])
            if o.probability < 1:
                changed = torch.where((draw.uniform(n) < o.probability)[:, None, None, None], changed, x)
            x = changed
        return x


def brightened(x: torch.Tensor, amount: torch.Tensor) -> torch.Tensor:
    """Images with an amount of their own, ``(rows,)``, added to all values."""
    return x + amount.to(x.dtype)[:, None, None, None]


def stretched(x: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    """Images stretched about their own mean by a factor, ``(rows,)``."""
    mean = x.mean(dim=(1, 2, 3), keepdim=True)
    return mean + (x - mean) * factor.to(x.dtype)[:, None, None, None]


def translated(x: torch.Tensor, down: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Images moved by whole pixels, int64 ``(rows,)`` each way; 0 where nothing moved to."""
    import torch

    n, _, height, width = x.shape
    rows = torch.arange(height, device=x.device) - down[:, None]
    columns = torch.arange(width, device=x.device) - right[:, None]
    inside = ((rows >= 0) & (rows < height))[:, None, :, None] & ((columns >= 0) & (columns < width))[:, None, None, :]
    rows, columns = rows.clamp(0, height - 1), columns.clamp(0, width - 1)
    # Advanced indices around a slice put its axis last.
    moved = x[torch.arange(n, device=x.device)[:, None, None], :, rows[:, :, None], columns[:, None, :]]
    return torch.where(inside, moved.movedim(3, 1), 0.0)


def covered(x: torch.Tensor, top: torch.Tensor, left: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Images with a rectangle of 0 whose corner lies at ``top``, ``left``, int64 ``(rows,)``, maybe outside."""
    import torch

    rows = torch.arange(x.shape[2], device=x.device) - top[:, None]
    columns = torch.arange(x.shape[3], device=x.device) - left[:, None]
    hidden = ((rows >= 0) & (rows < height))[:, None, :, None] & ((columns >= 0) & (columns < width))[:, None, None, :]
    return x.masked_fill(hidden, 0.0)


def _shows(target: Target) -> bool:
    """Whether it is a discriminator that learns from real records."""
    return any(trains_discriminator(phase) for phase in target.phases())


def _pixels(side: int, share: float) -> int:
    return int(side * share + 0.5)
