"""Two defenses of the quickstart, broken as a careless edit would break them; `bench compare` must see both."""

from __future__ import annotations

from typing import TYPE_CHECKING

from defenses.base import TrainingContext, Updater
from defenses.dp_sgd import DPSGD
from defenses.dropout import Dropout, add_dropout
from targets.base import Draw, Networks, Phase

if TYPE_CHECKING:
    import torch


class DropsNothing(Dropout):
    """Dropout whose rate is lost on the way: its layers are there, and drop nothing."""

    name = "drops_nothing"

    def adapt_networks(self, networks: Networks, context: TrainingContext) -> Networks:
        draw = Draw(context.device, context.seed, "dropout", repr(self))
        for role in self.options.roles:
            for module in networks[role]:
                add_dropout(module, 0.0, draw)
        return networks


class NoiseOff(DPSGD):
    """DP-SGD that clips, accounts and claims as it should, and adds no noise."""

    name = "noise_off"

    def updater(
        self, phase: Phase, networks: Networks, optimizer: torch.optim.Optimizer, context: TrainingContext
    ) -> Updater | None:
        made = super().updater(phase, networks, optimizer, context)
        if made is not None:
            made.dp_optimizer.noise_multiplier = 0.0
        return made
