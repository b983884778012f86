"""DCGAN, the target that LOGAN attacks most: a convolutional GAN with the non-saturating loss."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from bench.records import Schema
from targets.base import Batch, Draw, Losses, Networks, Phase, Target, TargetOptions

if TYPE_CHECKING:
    import torch
    from torch import nn


class DCGAN(Target):
    """Convolutional GAN with the non-saturating loss; any image from 8x8 grey to 64x64 colour.

    The discriminator uses GroupNorm unless asked otherwise, because BatchNorm mixes the records of a batch and so
    cannot be trained privately; defended and undefended rows then share one architecture. ``norm: batch`` is the
    architecture of the papers.
    """

    name = "dcgan"
    paper = (
        "Radford, Metz and Chintala, Unsupervised Representation Learning with DCGANs, ICLR 2016; "
        "attacked in Hayes et al., LOGAN, PoPETs 2019, section 5"
    )
    roles = ("generator", "discriminator")
    private_roles = ("discriminator",)

    class Options(TargetOptions):
        width: int = Field(32, ge=4)
        """Channels of the discriminator's first layer; doubled at each level."""
        latent: int = Field(100, ge=1)
        """Dimension of the generator's Gaussian input."""
        learning_rate: float = Field(2e-4, gt=0)
        """Adam's step size of the generator, and of the discriminator unless that has its own."""
        discriminator_learning_rate: float | None = Field(None, gt=0)
        """Adam's step size of the discriminator; None: the same as the generator's."""
        beta1: float = Field(0.5, ge=0, lt=1)
        """Adam's decay of the first moment."""
        norm: Literal["group", "batch", "none"] = "group"
        """Normalisation of the discriminator."""

    options: Options

    def phases(self) -> tuple[Phase, ...]:
        return (
            Phase("discriminator", ("discriminator",), private=True),
            Phase("generator", ("generator",), private=False),
        )

    def refuses(self, schema: Schema) -> str | None:
        if (reason := super().refuses(schema)) is not None:
            return reason
        sides = schema.shape[1:]
        if min(sides) < 8 or max(sides) > 64:
            return f"dcgan is built for images of 8 to 64 pixels a side, got {sides[0]}x{sides[1]}; resize them"
        return None

    def build(self, schema: Schema, rng: torch.Generator) -> Networks:
        from targets.nets.conv import discriminator, generator, initialise

        o = self.options
        return {
            "generator": (initialise(generator(schema.shape, o.width, o.latent), rng),),
            "discriminator": (initialise(discriminator(schema.shape, o.width, o.norm), rng),),
        }

    def optimizer(self, phase: Phase, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        import torch

        o = self.options
        rate = o.learning_rate
        if phase.name == "discriminator" and o.discriminator_learning_rate is not None:
            rate = o.discriminator_learning_rate
        return torch.optim.Adam(parameters, lr=rate, betas=(o.beta1, 0.999), fused=True)

    def losses(self, phase: Phase, networks: Networks, batch: Batch, draw: Draw) -> Losses:
        import torch
        from torch.nn.functional import softplus

        (discriminator,) = networks["discriminator"]
        z = self.latent(batch.size, draw)
        if phase.name == "generator":
            return Losses(None, softplus(-self.logit(discriminator, self.decode(networks, z))))
        with torch.no_grad():
            fake = self.decode(networks, z)
        if self.options.norm == "batch":  # BatchNorm sees real and generated batches apart, as in the papers
            real_logit, fake_logit = self.logit(discriminator, batch.x), self.logit(discriminator, fake)
        else:  # one pass, so that per-record gradients come from one forward and one backward pass
            both = self.logit(discriminator, torch.cat([batch.x, fake.to(batch.x.dtype)]))
            real_logit, fake_logit = both[: len(batch.x)], both[len(batch.x) :]
        return Losses(softplus(-real_logit), softplus(fake_logit))

    def latent(self, n: int, draw: Draw) -> torch.Tensor:
        return draw.normal(n, self.options.latent)

    def decode(self, networks: Networks, z: torch.Tensor) -> torch.Tensor:
        (generator,) = networks["generator"]
        images: torch.Tensor = generator(z)
        return images

    def logit(self, network: nn.Module, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = network(x)
        return logits[:, 0]
