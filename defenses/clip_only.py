"""Per-record clipping without noise: separates what clipping does from what noise does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import Field

from bench.records import Schema
from defenses._per_record import GradSampleMode, PerRecordUpdater, refuses_per_record
from defenses.base import Defense, TrainingContext, Updater
from targets.base import Networks, Phase, Target

if TYPE_CHECKING:
    import torch


class ClipOnly(Defense):
    """Per-record gradient clipping with Poisson sampling and no noise; it claims nothing."""

    name = "clip_only"
    paper = "the clipping half of Abadi et al., Deep Learning with Differential Privacy, CCS 2016, algorithm 1"
    family = "privacy"
    per_record = True

    class Options(Defense.Options):
        max_grad_norm: float = Field(1.0, gt=0, allow_inf_nan=False)
        """Bound on the norm of one record's gradient over all private networks."""
        mode: GradSampleMode = "hooks"
        """How Opacus computes per-record gradients."""

    options: Options

    def refuses(self, target: Target, schema: Schema, before: Sequence[Defense]) -> str | None:
        return super().refuses(target, schema, before) or refuses_per_record(self, target, schema, before)

    def poisson(self) -> bool:
        return True

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
