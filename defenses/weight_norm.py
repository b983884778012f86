"""Weight normalisation of the discriminator."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from bench.errors import IncompatibleError
from bench.records import Schema
from defenses.base import Defense, TrainingContext, weighted_layers
from targets.base import Networks, Target


class WeightNorm(Defense):
    """Weight normalisation: each output's weight vector is a direction times a learned length."""

    name = "weight_norm"
    paper = (
        "Salimans and Kingma, Weight Normalization, NeurIPS 2016, equation 2; "
        "as a defense: Hayes et al., LOGAN, PoPETs 2019, section 6"
    )
    family = "architecture"

    class Options(Defense.Options):
        roles: list[str] = Field(["discriminator"], min_length=1)
        """Networks whose convolutions and linear layers are normalised."""

    options: Options

    def refuses(self, target: Target, schema: Schema, before: Sequence[Defense]) -> str | None:
        if (reason := super().refuses(target, schema, before)) is not None:
            return reason
        if any(other.name == "spectral_norm" for other in before):
            return (
                f"{self.name} takes a weight apart, which spectral_norm has made a computed one; write "
                f"[{self.name}, spectral_norm]"
            )
        return None

    def adapt_networks(self, networks: Networks, context: TrainingContext) -> Networks:
        from torch import nn
        from torch.nn.utils.parametrizations import weight_norm

        layers = weighted_layers(self, networks, self.options.roles, context)
        if not layers:
            raise IncompatibleError(f"weight_norm finds no layer to normalise in {self.options.roles}")
        for layer in layers:
            # The output channels are dimension 1 of a transposed convolution's weight, 0 of the others.
            weight_norm(layer, dim=1 if isinstance(layer, nn.ConvTranspose2d) else 0)
        return networks
