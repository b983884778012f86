"""Dropout in the discriminator, with masks from a named generator."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from bench.errors import IncompatibleError
from defenses.base import Defense, TrainingContext, asked_networks
from targets.base import Draw, Networks

if TYPE_CHECKING:
    from torch import nn


class Dropout(Defense):
    """Dropout after every activation of the discriminator, so that it cannot lean on single records' details."""

    name = "dropout"
    paper = (
        "Srivastava et al., Dropout, JMLR 2014, section 4; as a defense: Hayes et al., LOGAN, PoPETs 2019, section 6"
    )

    adaptive = ("mc_dropout",)

    class Options(Defense.Options):
        rate: float = Field(0.5, gt=0, lt=1)
        """Probability with which a unit is dropped."""
        roles: list[str] = Field(["discriminator"], min_length=1)
        """Networks that get dropout."""

    options: Options

    def adapt_networks(self, networks: Networks, context: TrainingContext) -> Networks:
        draw = Draw(context.device, context.seed, "dropout", repr(self))
        asked = asked_networks(self, networks, self.options.roles, context)
        added = sum(add_dropout(module, self.options.rate, draw) for module in asked)
        if not added:
            raise IncompatibleError(f"dropout finds no activation to follow in {self.options.roles}")
        return networks


def add_dropout(module: nn.Module, rate: float, draw: Draw) -> int:
    """Put a dropout layer behind every activation inside ``module``; returns how many."""
    from torch import nn

    from targets.nets.dropout import SeededDropout

    added = 0
    for name, child in list(module.named_children()):
        if isinstance(child, nn.ReLU | nn.LeakyReLU | nn.SiLU | nn.GELU | nn.ELU):
            setattr(module, name, nn.Sequential(child, SeededDropout(rate, draw)))
            added += 1
        else:
            added += add_dropout(child, rate, draw)
    return added
