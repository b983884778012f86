"""DP-SGD on every network that reads real records, with Poisson sampling and an exact accountant."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Self

from pydantic import Field, model_validator

from bench.errors import InputError
from bench.results import PrivacyClaim
from defenses._per_record import PerRecordDefense, PerRecordUpdater
from defenses.base import TrainingContext, Updater
from targets.base import Losses, Networks, Phase
from targets.loader import sample_rate

if TYPE_CHECKING:
    import torch

EPS_ERROR = 0.01  # the PRV accountant's stated error of epsilon; also the tolerance of the noise search

# Below it the rounding of the accountant's Fourier transform shows: at 1e-13 its bound can lie .15 under the truth.
SMALLEST_DELTA = 1e-9


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


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the accountants' warnings that say nothing here."""
    with warnings.catch_warnings():
        # RDP serves as a looser bound and to choose a domain; that its orders could be finer is no news.
        warnings.filterwarnings("ignore", message="Optimal order is the")
        # At sample rate 1 the privacy loss has no lower end: log(1 - rate) is meant to be -inf.
        warnings.filterwarnings("ignore", message="divide by zero encountered in log")
        yield


@cache
def noise_for(epsilon: float, delta: float, rate: float, steps: int) -> float:
    """The smallest noise multiplier (to the accountant's tolerance) that keeps within ``epsilon`` at ``delta``.

    Raises:
        InputError: no noise is enough, since the accountant's own error already exceeds ``epsilon``.
    """
    from opacus.accountants.utils import get_noise_multiplier

    try:
        with _quiet():
            found = get_noise_multiplier(
                target_epsilon=epsilon,
                target_delta=delta,
                sample_rate=rate,
                steps=max(1, steps),
                accountant="prv",
                epsilon_tolerance=EPS_ERROR,
                eps_error=EPS_ERROR,
            )
    except ValueError as error:
        raise InputError(
            f"dp_sgd: expected an epsilon that some noise can reach, got {epsilon:g} at delta {delta:g}; the "
            f"accountant's own error is {EPS_ERROR:g}, so ask for more than that, or give noise_multiplier ({error})"
        ) from error
    return float(found)


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
        self.options, self.rate, self.steps = options, sample_rate(context), 0
        self.expected_records = context.expected_records
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
        from opacus.accountants import PRVAccountant, RDPAccountant

        spent = {}
        for name, accountant, extra in (
            ("prv", PRVAccountant(), {"eps_error": EPS_ERROR}),
            ("rdp", RDPAccountant(), {}),
        ):
            accountant.history = [(self.noise_multiplier, self.rate, self.steps)]
            with _quiet():
                epsilon = float(accountant.get_epsilon(delta=self.options.delta, **extra)) if self.steps else 0.0
                spent[name] = max(0.0, epsilon)  # a large delta alone may cover what the steps leak
        void = ""
        if self.options.delta >= 1 / self.expected_records:
            void = f"delta {self.options.delta:g} is not below 1 / {self.expected_records} records"
        return PrivacyClaim(
            epsilon=None if void else spent["prv"],
            epsilon_rdp=None if void else spent["rdp"],
            void_reason=void,
            delta=self.options.delta,
            noise_multiplier=self.noise_multiplier,
            sample_rate=self.rate,
            steps=self.steps,
            max_grad_norm=self.options.max_grad_norm,
        )
