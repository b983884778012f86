"""Any statistic, averaged over dropout masks: what knows that the target was trained under such masks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from bench.attacks._statistic import StatisticAttack
from bench.attacks.base import Knowledge, Scored
from bench.errors import IncompatibleError, InputError
from bench.records import Records
from bench.release import View
from bench.rng import RecordRng

if TYPE_CHECKING:
    import torch
    from torch import nn

    from targets.base import Networks


class MCDropout(StatisticAttack):
    """A statistic's mean over the thinned networks that dropout trained: made against dropout as a defense.

    A release has all units, rescaled; what was trained are thinned networks, each of which saw some of the members.
    Each mask is drawn once per layer, with the rate that the layer has, and judges every candidate: a record's score
    depends on no other record, and records are compared under the same masks. All else is in eval mode. Layers of
    ``SeededDropout`` and ``torch.nn.Dropout`` are known.
    """

    name = "mc_dropout"
    made_against = "dropout"
    paper = "after Gal and Ghahramani, Dropout as a Bayesian Approximation, ICML 2016, section 4"

    class Options(StatisticAttack.Options):
        statistic: str | dict[str, Any] = "logan_white_box"
        """The attack whose scores are used: its name, or a mapping with its name and options."""
        masks: int = Field(16, ge=1)
        """Masks over which it is averaged."""

    options: Options

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        if self.statistic.access not in ("latent", "decision", "white_box"):
            raise InputError(
                f"{self.name}: expected a statistic that asks the networks, which masks change, got "
                f"{self.statistic.name}, whose access is {self.statistic.access}"
            )
        self.access = "white_box"  # the masks are put into the networks

    def score_all(self, candidates: Records, view: View, knowledge: Knowledge, rng: RecordRng) -> Scored:
        total, layers = np.zeros(len(candidates)), dropout_layers(view.networks)
        if not layers:
            raise IncompatibleError(
                f"{self.name}: expected networks with dropout layers, got none in {sorted(view.networks)}; attack a "
                "target or a defense that has some"
            )
        for mask in range(self.options.masks):
            with masked(layers, rng.seed, mask):
                total += self.scores(candidates, view, knowledge, rng)
        return Scored(total / self.options.masks, {"dropout_layers": float(len(layers))})


def dropout_layers(networks: Networks) -> list[nn.Module]:
    """Every dropout layer of these networks, once."""
    from torch import nn

    from targets.nets.dropout import SeededDropout

    inner = (layer for parts in networks.values() for network in parts for layer in network.modules())
    return list(dict.fromkeys(layer for layer in inner if isinstance(layer, nn.Dropout | SeededDropout)))


@contextmanager
def masked(layers: Sequence[nn.Module], seed: int, mask: int) -> Iterator[None]:
    """Within, each of these layers, which stay in eval mode, drops by a seeded mask that is the same for every row."""
    handles = [layer.register_forward_hook(_dropping(rate_of(layer), seed, mask, k)) for k, layer in enumerate(layers)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def rate_of(layer: nn.Module) -> float:
    """Probability with which a dropout layer drops a value."""
    from targets.nets.dropout import SeededDropout

    return float(layer.rate if isinstance(layer, SeededDropout) else layer.p)  # type: ignore[arg-type]


def _dropping(rate: float, *purpose: int) -> Callable[[nn.Module, Any, torch.Tensor], torch.Tensor]:
    import torch

    from bench.rng import torch_generator

    kept: dict[tuple[int, ...], torch.Tensor] = {}  # by the shape of a row, which in one network is one

    def hook(layer: nn.Module, given: Any, x: torch.Tensor) -> torch.Tensor:
        shape = tuple(x.shape[1:])
        if shape not in kept:
            seed, *rest = purpose
            draws = torch.rand(shape, generator=torch_generator(seed, "mask", *rest))
            kept[shape] = ((draws >= rate) / (1 - rate)).to(x)
        return x * kept[shape]

    return hook
