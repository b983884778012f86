"""TVAE: a variational autoencoder for rows of a table."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from bench.records import Schema
from targets.base import Batch, Draw, Losses, Networks, Phase, Target, TargetOptions

if TYPE_CHECKING:
    import torch
    from torch import nn

    from targets.nets.rows import RowLayout

HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)


class TVAE(Target):
    """Variational autoencoder for tables: normal numbers with a learned scale per column, softmax categories.

    The loss of a row is its negative evidence lower bound in nats. It departs from the paper where that fits something
    on the members: numbers come transformed by what was fitted on the public reference, not by a Gaussian mixture
    per column (section 4.2), so a number's mean has no tanh and no mode. A category is drawn from its softmax. The
    latent has fewer dimensions than the paper's 128, most of which stay at the prior for tables of tens of columns.
    """

    name = "tvae"
    paper = "Xu et al., Modeling Tabular Data using Conditional GAN, NeurIPS 2019, section 4.5"
    data = frozenset({"table"})
    roles = ("encoder", "decoder")
    private_roles = ("encoder", "decoder")
    loss_limit = 1e6  # nats per row: a number 10 away at the least scale costs 5e5
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "gpu": {"width": 256, "latent": 128, "steps": 30_000, "batch_size": 500},
        "overfit": {"steps": 6000},
    }

    class Options(TargetOptions):
        steps: int = Field(1500, ge=0)
        """Training steps; 0 gives the untrained network, which the quality of a row is read against."""
        width: int = Field(128, ge=1)
        """Units of each of the two hidden layers of both networks."""
        latent: int = Field(16, ge=1)
        """Dimension of the Gaussian latent."""
        learning_rate: float = Field(1e-3, gt=0)
        """Adam's step size."""
        conditional: bool = False
        """Whether both networks are given the label."""

    options: Options

    def phases(self) -> tuple[Phase, ...]:
        return (Phase("elbo", ("encoder", "decoder"), private=True),)

    def build(self, schema: Schema, rng: torch.Generator) -> Networks:
        from targets.nets.labels import WithLabels
        from targets.nets.mlp import RowDecoder, initialise, mlp
        from targets.nets.rows import row_layout

        o, layout = self.options, row_layout(schema)
        classes = (schema.classes or 0) if o.conditional else 0
        encoder: nn.Module = mlp(layout.width + classes, o.width, 2 * o.latent)
        decoder: nn.Module = RowDecoder(o.latent + classes, o.width, layout)
        if classes:
            encoder, decoder = WithLabels(encoder, classes), WithLabels(decoder, classes)
        return {"encoder": (initialise(encoder, rng),), "decoder": (initialise(decoder, rng),)}

    def optimizer(self, phase: Phase, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        import torch

        return torch.optim.Adam(parameters, lr=self.options.learning_rate, fused=True)

    def losses(self, phase: Phase, networks: Networks, batch: Batch, draw: Draw) -> Losses:
        from targets.nets.rows import choice_losses

        labels = batch.labels if self.conditional else None
        mean, deviation = self.posterior(networks, batch.x, labels)
        z = mean + deviation * draw.normal(*mean.shape)
        values, scale, layout = self._likelihood(networks, z, labels)
        off = (batch.x[:, layout.numbers] - values[:, layout.numbers]) / scale
        surprise = (0.5 * off**2 + scale.log() + HALF_LOG_2PI).sum(dim=1)
        divergence = (0.5 * (mean**2 + deviation**2 - 1) - deviation.log()).sum(dim=1)
        return Losses(surprise + choice_losses(values, batch.x, layout) + divergence, None)

    def posterior(
        self, networks: Networks, x: torch.Tensor, labels: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        from targets.nets.labels import apply
        from targets.nets.vae import posterior

        (encoder,) = networks["encoder"]
        mean, log_variance = posterior(apply(encoder, x, labels).float())
        return mean, (0.5 * log_variance).exp()

    def latent(self, n: int, draw: Draw) -> torch.Tensor:
        return draw.normal(n, self.options.latent)

    def decode(self, networks: Networks, z: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
        """The expected row of each latent: means of the numbers, probabilities of the categories."""
        from targets.nets.rows import soft_choices

        values, _, layout = self._likelihood(networks, z, labels)
        return soft_choices(values, layout)

    def generate(self, networks: Networks, n: int, draw: Draw, labels: torch.Tensor | None = None) -> torch.Tensor:
        """Draws of the whole likelihood: numbers with their noise, categories one-hot."""
        from targets.nets.rows import drawn_choices

        values, scale, layout = self._likelihood(networks, self.latent(n, draw), labels)
        rows = drawn_choices(values, layout, draw)
        rows[:, layout.numbers] += scale * draw.normal(*scale.shape)
        return rows

    def _likelihood(
        self, networks: Networks, z: torch.Tensor, labels: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor, RowLayout]:
        """Values ``(rows, values)``, scales ``(rows, numbers)``, and which values are numbers."""
        from targets.nets.labels import apply
        from targets.nets.mlp import layout_of

        (decoder,) = networks["decoder"]
        layout = layout_of(decoder)
        found = apply(decoder, z, labels).float()
        return found[:, : layout.width], found[:, layout.width :], layout
