"""WGAN-GP: a critic whose gradient is pushed to length 1 instead of a discriminator with a probability."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from bench.records import Schema
from targets.base import Batch, Draw, Losses, Networks, Phase, Target, TargetOptions

if TYPE_CHECKING:
    import torch
    from torch import nn


class WGANGP(Target):
    """Wasserstein GAN with gradient penalty; any image from 8x8 grey to 64x64 colour.

    The role ``discriminator`` is held by the paper's critic: its output estimates a distance between distributions
    and is no probability, so only differences of two records' outputs mean something, and a hard answer read at 0
    does not. A training step updates the critic once; every ``critic_steps``-th one updates the generator too.

    The penalty of an interpolate between record i and generated image i belongs to the row of record i: that image
    is public, so the row depends on this record alone.

    The released generator is an average of its weights, and its output reaches black and white (``average``,
    ``stretch``), neither of which is the paper's. The preset ``overfit`` lets the critic memorise.
    """

    name = "wgan_gp"
    paper = "Gulrajani, Ahmed, Arjovsky, Dumoulin and Courville, Improved Training of Wasserstein GANs, NeurIPS 2017"
    roles = ("generator", "discriminator")
    critic = True
    private_roles = ("discriminator",)
    sides = (8, 64)
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "gpu": {
            "width": 64,
            "steps": 100_000,
            "learning_rate": 1e-4,
            "discriminator_learning_rate": None,
            "average": 0.999,
        },
        "overfit": {"gradient_penalty": 1.0, "steps": 10_000},
    }

    class Options(TargetOptions):
        steps: int = Field(8000, ge=0)
        """Updates of the critic; 0 gives the untrained network, which the quality of a row is read against."""
        batch_size: int = Field(32, ge=2)
        """Records per step (under Poisson sampling: the expected number)."""
        critic_steps: int = Field(5, ge=1)
        """Updates of the critic for each update of the generator."""
        gradient_penalty: float = Field(10.0, ge=0)
        """Weight of the penalty on the critic's gradient (lambda of equation 3); less lets it memorise more."""
        width: int = Field(16, ge=4)
        """Channels of the critic's first layer; doubled at each level."""
        latent: int = Field(64, ge=1)
        """Dimension of the generator's Gaussian input."""
        learning_rate: float = Field(2e-3, gt=0)
        """Adam's step size of the generator, and of the critic unless that has its own."""
        discriminator_learning_rate: float | None = Field(1e-3, gt=0)
        """Adam's step size of the critic; None: the same as the generator's."""
        beta1: float = Field(0.0, ge=0, lt=1)
        """Adam's decay of the first moment."""
        beta2: float = Field(0.9, ge=0, lt=1)
        """Adam's decay of the second moment."""
        stretch: float = Field(1.1, ge=1, allow_inf_nan=False)
        """Factor by which the generator's last tanh is stretched before it is clipped to [-1, 1]; 1: a plain tanh."""
        average: float | None = Field(0.99, gt=0, lt=1)
        """Decay of the moving average of the generator's weights that is released; None: the last weights."""
        norm: Literal["group", "none"] = "none"
        """Normalisation of the critic; never BatchNorm, under which a record's gradient is not its own."""

    options: Options

    def phases(self) -> tuple[Phase, ...]:
        return (
            Phase("discriminator", ("discriminator",), private=True),
            Phase("generator", ("generator",), private=False, every=self.options.critic_steps),
        )

    def refuses_private(self) -> str | None:
        return (
            "the gradient penalty of wgan_gp is differentiated twice, and the hooks that gather one gradient per "
            "record see only one backward pass"
        )

    def build(self, schema: Schema, rng: torch.Generator) -> Networks:
        from targets.nets.average import averaged
        from targets.nets.conv import discriminator, generator, initialise

        o = self.options
        makes = initialise(generator(schema.shape, o.width, o.latent, o.stretch), rng)
        return {
            "generator": (averaged(makes, o.average),),
            "discriminator": (initialise(discriminator(schema.shape, o.width, o.norm), rng),),
        }

    def optimizer(self, phase: Phase, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        import torch

        o = self.options
        rate = o.learning_rate
        if phase.name == "discriminator" and o.discriminator_learning_rate is not None:
            rate = o.discriminator_learning_rate
        return torch.optim.Adam(parameters, lr=rate, betas=(o.beta1, o.beta2), fused=True)

    def losses(self, phase: Phase, networks: Networks, batch: Batch, draw: Draw) -> Losses:
        import torch

        (critic,) = networks["discriminator"]
        z = self.latent(batch.size, draw)
        if phase.name == "generator":
            return Losses(None, -self.logit(critic, self.decode(networks, z)))
        with torch.no_grad():
            fake = self.decode(networks, z).to(batch.x.dtype)
        rows = len(batch.x)
        both = self.logit(critic, torch.cat([batch.x, fake]))
        partner = fake[torch.arange(rows, device=fake.device) % batch.size]
        penalty = self._penalty(critic, batch.x, partner, draw.uniform(rows, 1, 1, 1))
        return Losses(self.options.gradient_penalty * penalty - both[:rows], both[rows:])

    def _penalty(self, critic: nn.Module, real: torch.Tensor, fake: torch.Tensor, share: torch.Tensor) -> torch.Tensor:
        """``(|gradient| - 1)^2`` at one point between each real and generated image, ``(rows,)``: equation 3."""
        import torch

        if len(real) == 0:
            return real.new_zeros(0)
        between = (share * real + (1 - share) * fake).requires_grad_(True)
        with torch.enable_grad():
            (gradient,) = torch.autograd.grad(self.logit(critic, between).sum(), between, create_graph=True)
        penalty: torch.Tensor = (gradient.float().flatten(1).norm(dim=1) - 1) ** 2
        return penalty

    def after_update(self, phase: Phase, networks: Networks, losses: Losses, batch: Batch) -> None:
        from targets.nets.average import update_averages

        if phase.name == "generator":
            update_averages(networks["generator"])

    def latent(self, n: int, draw: Draw) -> torch.Tensor:
        return draw.normal(n, self.options.latent)

    def decode(self, networks: Networks, z: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
        (generator,) = networks["generator"]
        images: torch.Tensor = generator(z)
        return images

    def logit(self, network: nn.Module, x: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
        scores: torch.Tensor = network(x)
        return scores[:, 0]
