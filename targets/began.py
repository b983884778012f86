"""BEGAN: an autoencoder judges images by how well it can redraw them, and a controller keeps both sides in balance."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from bench.records import Schema
from targets.base import Batch, Draw, Losses, Networks, Phase, Target, TargetOptions

if TYPE_CHECKING:
    import torch
    from torch import nn


class BEGAN(Target):
    """Boundary equilibrium GAN with an autoencoder as discriminator; any image from 8x8 grey to 64x64 colour.

    ``L(v) = |v - D(v)|``, averaged over the pixels, is the autoencoder's error on an image. The discriminator lowers
    ``L(x) - k L(G(z))``, the generator lowers ``L(G(z))``, and after each step ``k`` moves by
    ``balance_rate * (gamma L(x) - L(G(z)))`` within [0, 1], so that in equilibrium ``L(G(z)) = gamma L(x)``. Where a
    discriminator is asked for its opinion it answers ``-L(v)``: larger = more real, and never above 0, so that a hard
    answer read at 0 says nothing.

    The state lies in buffers of the discriminator: ``k``, ``real_error`` (the batch's mean of ``L(x)``) and
    ``convergence``, the paper's measure ``L(x) + |gamma L(x) - L(G(z))|``, which falls as training converges.

    The defaults are those of a training of minutes, not of the paper's days: the generator is DCGAN's, with BatchNorm
    and Gaussian input, its weights are averaged and its output is stretched (``average``, ``stretch``); images grow by
    transposed convolutions; ``k`` moves 100 times as fast; and ``gamma`` is 1, since with less the generator settles
    on the images that are easiest to redraw, such as thin strokes.
    """

    name = "began"
    paper = (
        "Berthelot, Schumm and Metz, BEGAN: Boundary Equilibrium Generative Adversarial Networks, arXiv:1703.10717, "
        "2017, section 3.3"
    )
    roles = ("generator", "discriminator")
    critic = True
    private_roles = ("discriminator",)
    sides = (8, 64)
    loss_limit = 10.0  # an error of 2 a pixel is the worst of a redrawn image that stays in [-1, 1]
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "gpu": {"width": 64, "batch_size": 64, "steps": 50_000, "learning_rate": 4e-4, "balance_rate": 0.01},
    }

    class Options(TargetOptions):
        steps: int = Field(2600, ge=0)
        """Training steps; 0 gives the untrained network, which the quality of a row is read against."""
        batch_size: int = Field(16, ge=2)
        """Records per step (under Poisson sampling: the expected number)."""
        width: int = Field(16, ge=4)
        """Channels of the autoencoder's first layer, by which they grow at each level; the generator's of its last."""
        latent: int = Field(64, ge=1)
        """Dimension of the generator's Gaussian input and of the autoencoder's code."""
        learning_rate: float = Field(1e-3, gt=0)
        """Adam's step size of both networks."""
        beta1: float = Field(0.5, ge=0, lt=1)
        """Adam's decay of the first moment."""
        stretch: float = Field(1.1, ge=1, allow_inf_nan=False)
        """Factor by which the generator's last tanh is stretched before it is clipped to [-1, 1]; 1: a plain tanh."""
        average: float | None = Field(0.995, gt=0, lt=1)
        """Decay of the moving average of the generator's weights that is released; None: the last weights."""
        gamma: float = Field(1.0, gt=0, le=1)
        """Diversity ratio: ``L(G(z)) / L(x)`` in equilibrium; lower gives cleaner and less varied images."""
        balance_rate: float = Field(0.1, gt=0)
        """How fast ``k`` moves (lambda_k)."""

    options: Options

    def phases(self) -> tuple[Phase, ...]:
        return (
            Phase("discriminator", ("discriminator",), private=True),
            Phase("generator", ("generator",), private=False),
        )

    def refuses_private(self) -> str | None:
        return "began sets its balance k from the mean loss on real records, which no noise has covered"

    def build(self, schema: Schema, rng: torch.Generator) -> Networks:
        import torch
        from torch import nn

        from targets.nets.autoencoder import decoder, encoder, fan_in
        from targets.nets.average import averaged
        from targets.nets.conv import generator, initialise

        o = self.options
        made = initialise(generator(schema.shape, o.width, o.latent, o.stretch), rng)
        # The autoencoder's output is not bounded: the mean absolute error draws mostly black images to black, where
        # a tanh would no longer pass on a gradient.
        redraw = nn.Sequential(encoder(schema.shape, o.width, o.latent), decoder(schema.shape, o.width, o.latent))
        judge = fan_in(redraw, rng)
        for name in ("k", "real_error", "convergence"):
            judge.register_buffer(name, torch.zeros(()))
        return {"generator": (averaged(made, o.average),), "discriminator": (judge,)}

    def optimizer(self, phase: Phase, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        import torch

        o = self.options
        return torch.optim.Adam(parameters, lr=o.learning_rate, betas=(o.beta1, 0.999), fused=True)

    def losses(self, phase: Phase, networks: Networks, batch: Batch, draw: Draw) -> Losses:
        import torch

        (judge,) = networks["discriminator"]
        z = self.latent(batch.size, draw)
        if phase.name == "generator":
            return Losses(None, self._error(judge, self.decode(networks, z)))
        with torch.no_grad():
            fake = self.decode(networks, z).to(batch.x.dtype)
        errors = self._error(judge, torch.cat([batch.x, fake]))
        rows = len(batch.x)
        return Losses(errors[:rows], -judge.get_buffer("k") * errors[rows:])

    def after_update(self, phase: Phase, networks: Networks, losses: Losses, batch: Batch) -> None:
        from targets.nets.average import update_averages

        if phase.name == "generator":
            update_averages(networks["generator"])
        (judge,) = networks["discriminator"]
        k, real, convergence = (judge.get_buffer(name) for name in ("k", "real_error", "convergence"))
        if losses.private is not None:
            if len(losses.private):  # an empty batch says nothing of the error on real records: the last one stands
                real.copy_(losses.private.float().mean())
        elif losses.public is not None:
            balance = self.options.gamma * real - losses.public.float().mean()
            k.add_(self.options.balance_rate * balance).clamp_(0, 1)
            convergence.copy_(real + balance.abs())

    def _error(self, judge: nn.Module, x: torch.Tensor) -> torch.Tensor:
        """Mean absolute error per pixel of the redrawn images, ``(rows,)``."""
        # The network works in [0, 1]: whatever its weights, zero is the image it redraws most easily, and where that
        # is a grey that no record shows, the generator settles on it.
        bright = (x + 1) / 2
        redrawn: torch.Tensor = judge(bright)
        return 2 * (bright - redrawn).float().abs().flatten(1).mean(dim=1)

    def latent(self, n: int, draw: Draw) -> torch.Tensor:
        return draw.normal(n, self.options.latent)

    def decode(self, networks: Networks, z: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
        (generator,) = networks["generator"]
        images: torch.Tensor = generator(z)
        return images

    def logit(self, network: nn.Module, x: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
        return -self._error(network, x)
