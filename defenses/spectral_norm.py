"""Spectral normalisation of the discriminator."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from bench.errors import IncompatibleError
from bench.rng import derive_seed
from defenses.base import Defense, TrainingContext, weighted_layers
from targets.base import Networks, modules

if TYPE_CHECKING:
    from torch import nn


class SpectralNorm(Defense):
    """Spectral normalisation: each weight matrix is divided by its largest singular value.

    A convolution's weight is the matrix of one row per output channel, as in the paper. The singular value is that of
    the power iteration, which goes on by ``power_iterations`` at every pass in training, those of the generator's phase
    included, and stands still in evaluation mode. It departs from the paper in starting from 15 iterations, and in
    following the weights of running averages too, which no pass in training goes through: theirs would be divided by
    what was the largest singular value long ago.
    """

    name = "spectral_norm"
    paper = (
        "Miyato, Kataoka, Koyama and Yoshida, Spectral Normalization for Generative Adversarial Networks, ICLR 2018, "
        "section 2.1 and algorithm 1"
    )
    family = "architecture"
    mixes_records = (
        "every pass in training moves the power iteration's vectors, and Opacus gathers no gradient per record of "
        "layers with such buffers (its validator lets them pass, its hooks refuse them)"
    )

    class Options(Defense.Options):
        roles: list[str] = Field(["discriminator"], min_length=1)
        """Networks whose convolutions and linear layers are normalised."""
        power_iterations: int = Field(1, ge=1)
        """Power iterations at each pass in training."""

    options: Options

    def adapt_networks(self, networks: Networks, context: TrainingContext) -> Networks:
        import torch
        from torch.nn.utils.parametrizations import spectral_norm

        layers = weighted_layers(self, networks, self.options.roles, context)
        if not layers:
            raise IncompatibleError(f"spectral_norm finds no layer to normalise in {self.options.roles}")
        with torch.random.fork_rng(devices=[]):
            # Networks are built on the CPU, and torch draws the iteration's start from the global generator there.
            torch.default_generator.manual_seed(derive_seed(context.seed, "spectral norm", repr(self)))
            for layer in layers:
                spectral_norm(layer, n_power_iterations=self.options.power_iterations)
                if not bool(torch.isfinite(layer.weight).all()):
                    raise IncompatibleError(
                        f"spectral_norm expected layers of {self.options.roles} with weights that are not all 0, got "
                        f"{type(layer).__name__} of shape {tuple(layer.weight.shape)}: it has no direction to keep"
                    )
        return networks

    def start(self, networks: Networks, context: TrainingContext) -> list[nn.Module]:
        """The normalised layers that no gradient trains: those of running averages."""
        from torch.nn.utils.parametrize import is_parametrized

        return [
            layer
            for module in modules(networks, [role for role in self.options.roles if role in networks])
            for layer in module.modules()
            if is_parametrized(layer, "weight") and not any(p.requires_grad for p in layer.parameters())
        ]

    def after_step(self, number: int, networks: Networks, context: TrainingContext, state: list[nn.Module]) -> bool:
        import torch

        with torch.no_grad():
            for layer in state:
                _ = layer.weight  # in training mode, looking at a normalised weight is an iteration
        return False
