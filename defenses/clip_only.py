"""Per-record clipping without noise: separates what clipping does from what noise does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from defenses._per_record import PerRecordDefense, PerRecordUpdater
from defenses.base import TrainingContext, Updater
from targets.base import Networks, Phase

if TYPE_CHECKING:
    import torch


class ClipOnly(PerRecordDefense):
    """Per-record gradient clipping with Poisson sampling and no noise; it claims nothing."""

    name = "clip_only"
    paper = "the clipping half of Abadi et al., Deep Learning with Differential Privacy, CCS 2016, algorithm 1"

    def updater(
        self, phase: Phase, networks: Networks, optimizer: torch.optim.Optimizer, context: TrainingContext
    ) -> Updater | None:
        if not phase.private:
            return None
        return PerRecordUpdater(
            phase,
            networks,
            optimizer,
            context,
            noise_multiplier=0.0,
            max_grad_norm=self.options.max_grad_norm,
            mode=self.options.mode,
        )
