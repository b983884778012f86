"""The variational autoencoder: an encoder and a decoder trained together on a bound of each record's likelihood."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from bench.records import Schema
from targets.base import Batch, Draw, Losses, Networks, Phase, Target, TargetOptions

if TYPE_CHECKING:
    import torch
    from torch import nn


class VAE(Target):
    """Convolutional variational autoencoder with a standard normal prior; any image from 8x8 grey to 64x64 colour.

    A record's loss is its negative evidence bound in nats, from one draw of its latent, with the divergence weighted
    by ``beta``: - log p(x | z) + beta KL(q(z | x) || N(0, I)). The likelihood is summed over pixels, of independent
    Bernoulli variables (grey levels taken as probabilities, the usual reading) or of Gaussians of one fixed scale.
    Samples are the means of p(x | z) at latents from the prior, a little stretched (``stretch``), not draws from it.

    Both networks read real records, through the loss and its gradient, and both are updated by one loss: a record
    enters one gradient, so that private training clips it once.
    """

    name = "vae"
    paper = (
        "Kingma and Welling, Auto-Encoding Variational Bayes, ICLR 2014, section 2.3 and appendix B and C; Rezende, "
        "Mohamed and Wierstra, ICML 2014; beta: Higgins et al., beta-VAE, ICLR 2017; attacked in Hilprecht et al., "
        "PoPETs 2019"
    )
    roles = ("encoder", "decoder")
    private_roles = ("encoder", "decoder")
    sides = (8, 64)
    loss_limit = 1e9  # summed over pixels: at scale .01, a 64x64 colour image may start at 2.5e8 nats
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "gpu": {"width": 64, "latent": 16, "batch_size": 128, "steps": 20_000, "learning_rate": 1e-3},
    }

    class Options(TargetOptions):
        width: int = Field(16, ge=4, multiple_of=4)
        """Channels of the encoder's first layer; doubled at each level, and back in the decoder."""
        latent: int = Field(8, ge=1)
        """Dimension of the latent."""
        beta: float = Field(2.0, ge=0, allow_inf_nan=False)
        """Weight of the divergence from the prior; above 1, records share more of the latent space."""
        likelihood: Literal["bernoulli", "gaussian"] = "bernoulli"
        """How a pixel is distributed around its decoded mean."""
        scale: float = Field(0.3, ge=0.01, allow_inf_nan=False)
        """Standard deviation of a Gaussian pixel, which runs from -1 to 1; of no effect on Bernoulli ones."""
        learning_rate: float = Field(2e-3, gt=0)
        """Adam's step size."""
        stretch: float = Field(1.1, ge=1, allow_inf_nan=False)
        """Factor by which decoded images are stretched before they are clipped to [-1, 1]; 1: not at all."""
        conditional: bool = False
        """Whether the encoder and the decoder are told the record's label."""
        steps: int = Field(3000, ge=0)
        """Training steps; 0 gives the untrained network, which the quality of a row is read against."""
        batch_size: int = Field(32, ge=2)
        """Records per step (under Poisson sampling: the expected number)."""

    options: Options

    def phases(self) -> tuple[Phase, ...]:
        return (Phase("elbo", ("encoder", "decoder"), private=True),)

    def build(self, schema: Schema, rng: torch.Generator) -> Networks:
        from targets.nets.conv import initialise
        from targets.nets.labels import WithLabels
        from targets.nets.vae import decoder, encoder

        o, classes = self.options, (schema.classes or 0) if self.conditional else 0
        channels, *sides = schema.shape
        reads = initialise(encoder((channels + classes, *sides), o.width, o.latent), rng)
        makes = initialise(decoder(schema.shape, o.width, o.latent + classes), rng)
        if self.conditional:
            reads, makes = WithLabels(reads, classes), WithLabels(makes, classes)
        return {"encoder": (reads,), "decoder": (makes,)}

    def optimizer(self, phase: Phase, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        import torch

        return torch.optim.Adam(parameters, lr=self.options.learning_rate, fused=True)

    def losses(self, phase: Phase, networks: Networks, batch: Batch, draw: Draw) -> Losses:
        from targets.nets.labels import apply
        from targets.nets.vae import divergence, posterior

        o, labels = self.options, batch.labels if self.conditional else None
        mean, log_variance = posterior(apply(networks["encoder"][0], batch.x, labels))
        z = mean + (log_variance / 2).exp() * draw.normal(*mean.shape)
        raw = apply(networks["decoder"][0], z, labels).float()
        reconstruction = self._negative_log_likelihood(batch.x, raw)
        return Losses(reconstruction + o.beta * divergence(mean, log_variance), None)

    def _negative_log_likelihood(self, x: torch.Tensor, raw: torch.Tensor) -> torch.Tensor:
        """- log p(x | z) per row in nats, ``(rows,)``, from the decoder's output before its tanh."""
        from torch.nn.functional import binary_cross_entropy_with_logits

        o, x = self.options, x.flatten(1).float()
        raw = raw.flatten(1)
        if o.likelihood == "bernoulli":  # (tanh(a) + 1) / 2 = sigmoid(2a): the mean in [-1, 1] as a probability
            return binary_cross_entropy_with_logits(2 * raw, (x + 1) / 2, reduction="none").sum(dim=1)
        constant = math.log(o.scale) + math.log(2 * math.pi) / 2
        return (((x - raw.tanh()) / o.scale).square() / 2 + constant).sum(dim=1)

    def latent(self, n: int, draw: Draw) -> torch.Tensor:
        return draw.normal(n, self.options.latent)

    def decode(self, networks: Networks, z: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
        from targets.nets.conv import stretched_tanh
        from targets.nets.labels import apply

        return stretched_tanh(apply(networks["decoder"][0], z, labels), self.options.stretch)

    def posterior(
        self, networks: Networks, x: torch.Tensor, labels: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        from targets.nets.labels import apply
        from targets.nets.vae import posterior

        mean, log_variance = posterior(apply(networks["encoder"][0], x, labels))
        return mean, (log_variance / 2).exp()
