"""The DCGAN+VAE that LOGAN attacks: a variational autoencoder whose decoder is the generator of a GAN."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from bench.records import Schema
from targets.base import Batch, Draw, Losses, Networks, Phase, Target, TargetOptions

if TYPE_CHECKING:
    import torch
    from torch import nn


class DCGANVAE(Target):
    """VAE-GAN: an encoder, a generator that decodes, and a discriminator whose features measure the reconstruction.

    Each network has a loss of its own, per record (algorithm 1 of the paper). With x~ the reconstruction, x_p a
    decoded draw from the prior, f the discriminator's features and F = |f(x) - f(x~)|^2 / 2 (a Gaussian of variance 1):

    - encoder: KL(q(z | x) || N(0, I)) + F, the former weighted by ``beta``;
    - generator: ``gamma`` F + softplus(-D(x~)) + softplus(-D(x_p));
    - discriminator: softplus(-D(x)) + softplus(D(x~)) + softplus(D(x_p)).

    It departs from the paper in the generator's adversarial term, which is the non-saturating one, and in updating
    the three in turn, each against the others' latest weights. Networks are those of DCGAN with GroupNorm, for all
    three read real records. Encoder and generator are released as averages of their weights, and the output reaches
    black and white (``average``, ``stretch``).
    """

    name = "dcgan_vae"
    paper = (
        "Larsen, Sønderby, Larochelle and Winther, Autoencoding beyond Pixels Using a Learned Similarity Metric, ICML "
        "2016, sections 2.2 and 2.3 and algorithm 1; attacked in Hayes et al., LOGAN, PoPETs 2019, section 5"
    )
    roles = ("encoder", "generator", "discriminator")
    private_roles = ("encoder", "generator", "discriminator")
    sides = (8, 64)
    loss_limit = 1e7  # summed over features: a wide network has thousands of them
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "gpu": {
            "width": 64,
            "batch_size": 64,
            "steps": 20_000,
            "learning_rate": 5e-4,
            "discriminator_learning_rate": 2e-4,
        },
    }

    class Options(TargetOptions):
        width: int = Field(16, ge=4, multiple_of=4)
        """Channels of the first layer of the encoder and the discriminator; doubled at each level."""
        latent: int = Field(10, ge=1)
        """Dimension of the latent."""
        feature_level: int = Field(2, ge=1)
        """Convolution of the discriminator, counted from 1 at the image, whose features are compared."""
        gamma: float = Field(0.3, ge=0, allow_inf_nan=False)
        """Weight of the reconstruction against the adversarial terms in the generator's loss: content against style."""
        beta: float = Field(3.0, ge=0, allow_inf_nan=False)
        """Weight of the divergence from the prior in the encoder's loss."""
        learning_rate: float = Field(2e-3, gt=0)
        """Adam's step size of the generator, and of the others unless they have their own."""
        discriminator_learning_rate: float | None = Field(1e-3, gt=0)
        """Adam's step size of the discriminator; None: the same as the generator's."""
        encoder_learning_rate: float | None = Field(None, gt=0)
        """Adam's step size of the encoder; None: the same as the generator's."""
        beta1: float = Field(0.5, ge=0, lt=1)
        """Adam's decay of the first moment."""
        average: float | None = Field(0.995, gt=0, lt=1)
        """Decay of the moving averages of encoder and generator that are released; None: the last weights."""
        stretch: float = Field(1.1, ge=1, allow_inf_nan=False)
        """Factor by which decoded images are stretched before they are clipped to [-1, 1]; 1: not at all."""
        conditional: bool = False
        """Whether all three networks are told the record's label."""
        steps: int = Field(2400, ge=0)
        """Training steps; 0 gives the untrained network, which the quality of a row is read against."""
        batch_size: int = Field(16, ge=2)
        """Records per step."""

    options: Options

    def phases(self) -> tuple[Phase, ...]:
        return tuple(Phase(role, (role,), private=True) for role in ("discriminator", "encoder", "generator"))

    def refuses(self, schema: Schema) -> str | None:
        if (reason := super().refuses(schema)) is not None:
            return reason
        sides = schema.shape[1:]
        levels = (max(sides) - 1).bit_length() - 2
        if self.options.feature_level > levels:
            return (
                f"dcgan_vae has {levels} levels for images of {sides[0]}x{sides[1]}, so it cannot compare features of "
                f"level {self.options.feature_level}; give a smaller feature_level"
            )
        return None

    def refuses_private(self) -> str | None:
        return (
            "its three networks have a loss each, so a record would enter three clipped updates per step, and the "
            "features that one of them is judged by change with another"
        )

    def build(self, schema: Schema, rng: torch.Generator) -> Networks:
        from targets.nets.average import averaged
        from targets.nets.conv import discriminator, initialise
        from targets.nets.labels import WithLabels
        from targets.nets.vae import decoder, encoder

        o, classes = self.options, (schema.classes or 0) if self.conditional else 0
        channels, *sides = schema.shape
        seen = (channels + classes, *sides)
        built: dict[str, nn.Module] = {
            "encoder": initialise(encoder(seen, o.width, o.latent), rng),
            "generator": initialise(decoder(schema.shape, o.width, o.latent + classes), rng),
            "discriminator": initialise(discriminator(seen, o.width, "group"), rng),
        }
        told = {role: WithLabels(net, classes) if self.conditional else net for role, net in built.items()}
        return {role: (net if role == "discriminator" else averaged(net, o.average),) for role, net in told.items()}

    def optimizer(self, phase: Phase, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        import torch

        o = self.options
        own = {"discriminator": o.discriminator_learning_rate, "encoder": o.encoder_learning_rate}.get(phase.name)
        return torch.optim.Adam(parameters, lr=own or o.learning_rate, betas=(o.beta1, 0.999), fused=True)

    def losses(self, phase: Phase, networks: Networks, batch: Batch, draw: Draw) -> Losses:
        import torch
        from torch.nn.functional import softplus

        from targets.nets.labels import apply
        from targets.nets.vae import divergence, features_and_logit, posterior

        o, (judge,), rows = self.options, networks["discriminator"], len(batch.x)
        labels = batch.labels if self.conditional else None
        with torch.set_grad_enabled(phase.name == "encoder"):
            mean, log_variance = posterior(apply(networks["encoder"][0], batch.x, labels))
            z = mean + (log_variance / 2).exp() * draw.normal(*mean.shape)
        if phase.name == "encoder":
            made, _ = features_and_logit(judge, self.decode(networks, z, labels), labels, o.feature_level)
            return Losses(o.beta * divergence(mean, log_variance) + self._off(judge, batch.x, labels, made), None)
        asked = draw.labels(batch.size, batch.schema) if self.conditional else None
        both = None if labels is None or asked is None else torch.cat([labels, asked])
        z = torch.cat([z, self.latent(batch.size, draw)])
        if phase.name == "discriminator":
            with torch.no_grad():
                fake = self.decode(networks, z, both)
            seen = None if labels is None or both is None else torch.cat([labels, both])
            logits = self.logit(judge, torch.cat([batch.x, fake.to(batch.x.dtype)]), seen)
            fakes = softplus(logits[rows:])
            real = softplus(-logits[:rows])
            return Losses(real + fakes[:rows], fakes[rows:], logits[:rows], logits[2 * rows :])
        made, logits = features_and_logit(judge, self.decode(networks, z, both), both, o.feature_level)
        fools = softplus(-logits)
        near = o.gamma * self._off(judge, batch.x, labels, made[:rows])
        return Losses(near + fools[:rows], fools[rows:], generated_logits=logits[rows:])

    def _off(self, judge: nn.Module, x: torch.Tensor, labels: torch.Tensor | None, made: torch.Tensor) -> torch.Tensor:
        """|f(x) - f(x~)|^2 / 2 per row, ``(rows,)``, from the features ``made`` of the reconstructions."""
        import torch

        from targets.nets.vae import features_and_logit

        with torch.no_grad():
            real, _ = features_and_logit(judge, x, labels, self.options.feature_level)
        return (made - real).square().sum(dim=1) / 2

    def after_update(self, phase: Phase, networks: Networks, losses: Losses, batch: Batch) -> None:
        from targets.nets.average import update_averages

        update_averages(networks[phase.name])

    def latent(self, n: int, draw: Draw) -> torch.Tensor:
        return draw.normal(n, self.options.latent)

    def decode(self, networks: Networks, z: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
        from targets.nets.conv import stretched_tanh
        from targets.nets.labels import apply

        return stretched_tanh(apply(networks["generator"][0], z, labels), self.options.stretch)

    def posterior(
        self, networks: Networks, x: torch.Tensor, labels: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        from targets.nets.labels import apply
        from targets.nets.vae import posterior

        mean, log_variance = posterior(apply(networks["encoder"][0], x, labels))
        return mean, (log_variance / 2).exp()

    def logit(self, network: nn.Module, x: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
        from targets.nets.labels import apply

        return apply(network, x, labels)[:, 0]
