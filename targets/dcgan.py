"""DCGAN, the target that LOGAN attacks most: a convolutional GAN with the non-saturating loss."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from bench.records import Schema
from targets.base import Batch, Draw, Losses, Networks, Phase, Target, TargetOptions

if TYPE_CHECKING:
    import torch
    from torch import nn


class DCGAN(Target):
    """Convolutional GAN with the non-saturating loss; any image from 8x8 grey to 64x64 colour.

    The discriminator uses GroupNorm unless asked otherwise, because BatchNorm mixes the records of a batch and so
    cannot be trained privately; defended and undefended rows then share one architecture.

    The defaults make recognisable digits in minutes on a CPU: large steps, a generator whose weights are averaged, and
    an output that reaches black and white (``average``, ``stretch``). The preset ``paper`` is without all three, and
    with BatchNorm in the discriminator.
    """

    name = "dcgan"
    paper = (
        "Radford, Metz and Chintala, Unsupervised Representation Learning with DCGANs, ICLR 2016; "
        "attacked in Hayes et al., LOGAN, PoPETs 2019, section 5"
    )
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "gpu": {
            "width": 64, "batch_size": 128, "steps": 50_000, "learning_rate": 2e-4, "discriminator_learning_rate": None,
            "average": 0.999,
        },
        "paper": {
            "width": 64, "batch_size": 128, "steps": 50_000, "learning_rate": 2e-4, "discriminator_learning_rate": None,
            "average": None, "stretch": 1.0, "norm": "batch",
        },
    }  # fmt: skip
    roles = ("generator", "discriminator")
    private_roles = ("discriminator",)
    sides = (8, 64)

    class Options(TargetOptions):
        steps: int = Field(3000, ge=0)
        """Training steps; 0 gives the untrained network, which the quality of a row is read against."""
        batch_size: int = Field(32, ge=2)
        """Records per step (under Poisson sampling: the expected number)."""
        width: int = Field(24, ge=4)
        """Channels of the discriminator's first layer; doubled at each level."""
        latent: int = Field(100, ge=1)
        """Dimension of the generator's Gaussian input."""
        learning_rate: float = Field(2e-3, gt=0)
        """Adam's step size of the generator, and of the discriminator unless that has its own."""
        discriminator_learning_rate: float | None = Field(1e-3, gt=0)
        """Adam's step size of the discriminator; None: the same as the generator's."""
        beta1: float = Field(0.5, ge=0, lt=1)
        """Adam's decay of the first moment."""
        norm: Literal["group", "batch", "none"] = "group"
        """Normalisation of the discriminator."""
        stretch: float = Field(1.1, ge=1, allow_inf_nan=False)
        """Factor by which the generator's last tanh is stretched before it is clipped to [-1, 1]; 1: a plain tanh."""
        average: float | None = Field(0.995, gt=0, lt=1)
        """Decay of the moving average of the generator's weights that is released; None: the last weights."""
        conditional: bool = False
        """Whether both networks are told the label (Mirza and Osindero, Conditional GANs, 2014)."""

    options: Options

    def phases(self) -> tuple[Phase, ...]:
        return (
            Phase("discriminator", ("discriminator",), private=True),
            Phase("generator", ("generator",), private=False),
        )

    def build(self, schema: Schema, rng: torch.Generator) -> Networks:
        from targets.nets.average import averaged
        from targets.nets.conv import discriminator, generator, initialise
        from targets.nets.labels import WithLabels

        o, classes = self.options, (schema.classes or 0) if self.conditional else 0
        channels, *sides = schema.shape
        makes = initialise(generator(schema.shape, o.width, o.latent + classes, o.stretch), rng)
        judges = initialise(discriminator((channels + classes, *sides), o.width, o.norm), rng)
        if self.conditional:
            makes, judges = WithLabels(makes, classes), WithLabels(judges, classes)
        return {"generator": (averaged(makes, o.average),), "discriminator": (judges,)}

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
        asked = draw.labels(batch.size, batch.schema) if self.conditional else None
        if phase.name == "generator":
            logit = self.logit(discriminator, self.decode(networks, z, asked), asked)
            return Losses(None, softplus(-logit), generated_logits=logit)
        with torch.no_grad():
            fake = self.decode(networks, z, asked)
        labels = batch.labels if self.conditional else None
        if self.options.norm == "batch":  # BatchNorm sees real and generated batches apart, as in the papers
            real_logit = self.logit(discriminator, batch.x, labels)
            fake_logit = self.logit(discriminator, fake, asked)
        else:  # one pass, so that per-record gradients come from one forward and one backward pass
            x = torch.cat([batch.x, fake.to(batch.x.dtype)])
            both = self.logit(discriminator, x, None if asked is None or labels is None else torch.cat([labels, asked]))
            real_logit, fake_logit = both[: len(batch.x)], both[len(batch.x) :]
        return Losses(softplus(-real_logit), softplus(fake_logit), real_logit, fake_logit)

    def after_update(self, phase: Phase, networks: Networks, losses: Losses, batch: Batch) -> None:
        from targets.nets.average import update_averages

        if phase.name == "generator":
            update_averages(networks["generator"])

    def latent(self, n: int, draw: Draw) -> torch.Tensor:
        return draw.normal(n, self.options.latent)

    def decode(self, networks: Networks, z: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
        from targets.nets.labels import apply

        return apply(networks["generator"][0], z, labels)

    def logit(self, network: nn.Module, x: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
        from targets.nets.labels import apply

        return apply(network, x, labels)[:, 0]
