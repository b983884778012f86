"""DP-SGD on every network that reads real records, with Poisson sampling and an exact accountant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from pydantic import Field, model_validator

from bench.results import PrivacyClaim
from defenses._accounting import SMALLEST_DELTA, gaussian_claim, noise_for
from defenses._per_record import PerRecordDefense, PerRecordUpdater
from defenses.base import TrainingContext, Updater
from targets.base import Losses, Networks, Phase
from targets.loader import sample_rate

if TYPE_CHECKING:
    import torch


class DPSGD(PerRecordDefense):
    """Differentially private training: clipped per-record gradients plus Gaussian noise.

    The claim covers every iterate of the private networks, for adding or removing one record. A generator that
    learns only from a private discriminator is post-processing, and so is everything sampled from it.
    """

    name = "dp_sgd"
    paper = (
        "Abadi et al., Deep Learning with Differential Privacy, CCS 2016, algorithm 1; accountant: Gopi, Lee and "
        "Wutschitz, Numerical Composition of Differential Privacy, NeurIPS 2021; on GANs: Xie et al., DPGAN, 2018"
    )

    accounted = True

    class Options(PerRecordDefense.Options):
        epsilon: float | None = Field(None, gt=0, allow_inf_nan=False)
        """Privacy budget at the end of training; the noise is found from it. Give this or ``noise_multiplier``."""
        noise_multiplier: float | None = Field(None, gt=0, allow_inf_nan=False)
        """Standard deviation of the noise over the clip norm. Give this or ``epsilon``."""
        delta: float = Field(1e-5, ge=SMALLEST_DELTA, lt=1)
        """Probability with which the guarantee may fail; well below 1 / members."""

        @model_validator(mode="after")
        def _one_of(self) -> Self:
            if (self.epsilon is None) == (self.noise_multiplier is None):
                raise ValueError("expected exactly one of `epsilon` and `noise_multiplier`")
            return self

    options: Options

    def updater(
        self, phase: Phase, networks: Networks, optimizer: torch.optim.Optimizer, context: TrainingContext
    ) -> Updater | None:
        if not phase.private:
            return None
        return _AccountedUpdater(phase, networks, optimizer, context, self.options)


class _AccountedUpdater(PerRecordUpdater):
    """A noisy update that counts itself."""

    def __init__(
        self,
        phase: Phase,
        networks: Networks,
        optimizer: torch.optim.Optimizer,
        context: TrainingContext,
        options: DPSGD.Options,
    ) -> None:
        self.options, self.context, self.rate, self.steps = options, context, sample_rate(context), 0
        self.noise_multiplier = options.noise_multiplier or noise_for(
            options.epsilon or 0.0, options.delta, self.rate, context.steps
        )
        super().__init__(
            phase,
            networks,
            optimizer,
            context,
            noise_multiplier=self.noise_multiplier,
            max_grad_norm=options.max_grad_norm,
            mode=options.mode,
        )

    def step(self, losses: Losses, size: int) -> None:
        super().step(losses, size)
        self.steps += 1

    def claim(self) -> PrivacyClaim:
        return gaussian_claim(
            noise_multiplier=self.noise_multiplier,
            rate=self.rate,
            # What ends a training early was seen in noisy values: the length that it then has is no fixed one, which
            # the accountant needs. The planned length covers every earlier end.
            steps=max(self.steps, self.context.steps),
            delta=self.options.delta,
            unit="record",
            population=self.context.expected_records,
            max_grad_norm=self.options.max_grad_norm,
        )
