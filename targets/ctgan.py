"""CTGAN: a generative adversarial network for rows of a table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from bench.records import Schema
from targets.base import Batch, Draw, Losses, Networks, Phase, Target, TargetOptions

if TYPE_CHECKING:
    import torch
    from torch import nn

    from targets.nets.rows import RowLayout

TEMPERATURE = 0.2  # of the Gumbel-softmax (section 4.4)
PENALTY = 10.0  # weight of the gradient penalty (Gulrajani et al., NeurIPS 2017, section 4)


class CTGAN(Target):
    """GAN for tables: a residual generator, Gumbel-softmax categories and a discriminator that judges single rows.

    It departs from the paper where that mixes records or fits something on the members. Numbers come transformed by
    what was fitted on the public reference, not by a Gaussian mixture per column (section 4.2), so they have no tanh
    and no mode. There is no training-by-sampling (section 4.3), which balances by the members' category frequencies:
    ``conditional`` gives the label, drawn by its public share. The discriminator judges one row, not 10 packed into
    one (section 4.4): the loss of a pack belongs to no single record, and an attack asks about one. It sees
    generated categories one-hot, as the real ones are, with the gradient of the paper's Gumbel-softmax behind them. The
    paper's dropout in the discriminator is the defense ``dropout``. The loss is non-saturating, so that it can be
    trained privately; ``loss: wgan_gp`` is the paper's.
    """

    name = "ctgan"
    paper = "Xu et al., Modeling Tabular Data using Conditional GAN, NeurIPS 2019, sections 4.2 to 4.4"
    data = frozenset({"table"})
    roles = ("generator", "discriminator")
    private_roles = ("discriminator",)
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "gpu": {"width": 256, "steps": 50_000, "batch_size": 500},
        "overfit": {"steps": 6000},
    }

    class Options(TargetOptions):
        width: int = Field(128, ge=1)
        """Units of each of the two hidden layers of both networks."""
        latent: int = Field(128, ge=1)
        """Dimension of the generator's Gaussian input."""
        learning_rate: float = Field(2e-4, gt=0)
        """Adam's step size."""
        loss: Literal["non_saturating", "wgan_gp"] = "non_saturating"
        """The discriminator's loss; ``wgan_gp`` is the paper's, and cannot be trained privately."""
        critic_steps: int = Field(1, ge=1)
        """Updates of the discriminator per update of the generator."""
        conditional: bool = False
        """Whether both networks are given the label."""

    options: Options

    def phases(self) -> tuple[Phase, ...]:
        return (
            Phase("discriminator", ("discriminator",), private=True),
            Phase("generator", ("generator",), private=False, every=self.options.critic_steps),
        )

    def refuses_private(self) -> str | None:
        if self.options.loss == "wgan_gp":
            return (
                "loss=wgan_gp differentiates twice through its gradient penalty, and the hooks that gather one "
                "gradient per record see only one backward pass; use loss=non_saturating"
            )
        return super().refuses_private()

    def build(self, schema: Schema, rng: torch.Generator) -> Networks:
        from targets.nets.labels import WithLabels
        from targets.nets.mlp import RowGenerator, initialise, mlp
        from targets.nets.rows import row_layout

        o, layout = self.options, row_layout(schema)
        classes = (schema.classes or 0) if o.conditional else 0
        generator: nn.Module = RowGenerator(o.latent + classes, o.width, layout)
        discriminator: nn.Module = mlp(layout.width + classes, o.width, 1, slope=0.2)
        if classes:
            generator, discriminator = WithLabels(generator, classes), WithLabels(discriminator, classes)
        return {"generator": (initialise(generator, rng),), "discriminator": (initialise(discriminator, rng),)}

    def optimizer(self, phase: Phase, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        import torch

        return torch.optim.Adam(parameters, lr=self.options.learning_rate, betas=(0.5, 0.9), fused=True)

    def losses(self, phase: Phase, networks: Networks, batch: Batch, draw: Draw) -> Losses:
        import torch
        from torch.nn.functional import softplus

        (discriminator,) = networks["discriminator"]
        wasserstein = self.options.loss == "wgan_gp"
        labels = draw.labels(batch.size, batch.schema) if self.conditional else None
        if phase.name == "generator":
            logit = self.logit(discriminator, self._relaxed(networks, batch.size, draw, labels), labels)
            if wasserstein:
                return Losses(None, -logit)
            return Losses(None, softplus(-logit), generated_logits=logit)
        with torch.no_grad():
            fake = self._relaxed(networks, batch.size, draw, labels).to(batch.x.dtype)
        # One pass over both, so that per-record gradients come from one forward and one backward pass.
        real_labels = batch.labels if self.conditional else None
        both_labels = None if labels is None or real_labels is None else torch.cat([real_labels, labels])
        both = self.logit(discriminator, torch.cat([batch.x, fake]), both_labels)
        real_logit, fake_logit = both[: len(batch.x)], both[len(batch.x) :]
        if not wasserstein:
            return Losses(softplus(-real_logit), softplus(fake_logit), real_logit, fake_logit)
        return Losses(self._penalty(discriminator, batch.x, fake, real_labels, draw) - real_logit, fake_logit)

    def _relaxed(self, networks: Networks, n: int, draw: Draw, labels: torch.Tensor | None) -> torch.Tensor:
        """Rows for the discriminator: drawn categories that gradients flow through."""
        from targets.nets.rows import drawn_choices

        return drawn_choices(*self._raw(networks, self.latent(n, draw), labels), draw, TEMPERATURE)

    def _raw(self, networks: Networks, z: torch.Tensor, labels: torch.Tensor | None) -> tuple[torch.Tensor, RowLayout]:
        """Rows with logits in place of categories, and which values these are."""
        from targets.nets.labels import apply
        from targets.nets.mlp import layout_of

        (generator,) = networks["generator"]
        return apply(generator, z, labels).float(), layout_of(generator)

    def _penalty(
        self, critic: nn.Module, x: torch.Tensor, fake: torch.Tensor, labels: torch.Tensor | None, draw: Draw
    ) -> torch.Tensor:
        """Per record: the squared distance of the critic's slope from 1 between it and one generated row."""
        import torch

        partner = fake[torch.arange(len(x), device=x.device) % len(fake)]
        with torch.enable_grad():
            share = draw.uniform(len(x), 1)
            between = (share * x + (1 - share) * partner).requires_grad_()
            (slope,) = torch.autograd.grad(self.logit(critic, between, labels).sum(), between, create_graph=True)
            penalty: torch.Tensor = PENALTY * (slope.norm(dim=1) - 1) ** 2
        return penalty

    def latent(self, n: int, draw: Draw) -> torch.Tensor:
        return draw.normal(n, self.options.latent)

    def decode(self, networks: Networks, z: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
        """The row of each latent, with the categories' probabilities in place of a draw."""
        from targets.nets.rows import soft_choices

        return soft_choices(*self._raw(networks, z, labels))

    def generate(self, networks: Networks, n: int, draw: Draw, labels: torch.Tensor | None = None) -> torch.Tensor:
        """Rows with each category drawn, one-hot."""
        from targets.nets.rows import drawn_choices

        return drawn_choices(*self._raw(networks, self.latent(n, draw), labels), draw)

    def logit(self, network: nn.Module, x: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
        from targets.nets.labels import apply

        return apply(network, x, labels)[:, 0]
