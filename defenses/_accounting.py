"""What noisy updates of clipped gradients spend: the accounting that defenses with Gaussian noise share."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Literal

from bench.errors import InputError
from bench.results import PrivacyClaim

EPS_ERROR = 0.01  # the PRV accountant's stated error of epsilon; also the tolerance of the noise search

# Below it the rounding of the accountant's Fourier transform shows: at 1e-13 its bound can lie .15 under the truth.
SMALLEST_DELTA = 1e-9

# Above it, by RDP, epsilon is left at that: PRV takes minutes and gigabytes, and its exponentials overflow from 700.
LARGEST_PRV = 200.0


def gaussian_claim(
    *,
    noise_multiplier: float,
    rate: float,
    steps: int,
    delta: float,
    unit: Literal["record", "client"],
    population: int,
    max_grad_norm: float,
) -> PrivacyClaim:
    """The claim of noisy sums, each over units that Poisson sampling drew: every unit adds a vector of bounded norm.

    It holds for adding or removing one unit, and for all sums together. How many there will be must be known before
    the first one: where noisy values decide when to stop, only the longest training that they allow is covered, so
    count that.

    Args:
        noise_multiplier: standard deviation of the noise on each coordinate of the sum, over ``max_grad_norm``.
        rate: probability with which each unit joins a sum; independent of all data.
        steps: how many sums are released at most.
        delta: probability with which the guarantee may fail.
        unit: what is protected.
        population: how many units a public observer expects.
        max_grad_norm: bound on the norm of what one unit adds.
    """
    by_prv, by_rdp = _prv_and_rdp(noise_multiplier, rate, steps, delta) if steps else (0.0, 0.0)
    void = delta_too_large(delta, population, unit)
    return PrivacyClaim(
        epsilon=None if void else by_rdp if by_prv is None else by_prv,
        epsilon_rdp=None if void else by_rdp,
        void_reason=void,
        delta=delta,
        unit=unit,
        accountant="rdp" if by_prv is None else "prv",
        noise_multiplier=noise_multiplier,
        sample_rate=rate,
        steps=steps,
        max_grad_norm=max_grad_norm,
    )


def delta_too_large(delta: float, population: int, unit: Literal["record", "client"]) -> str:
    """Why this delta is no guarantee: publishing one of so many units in full would keep to it; "" if it is one."""
    return f"delta {delta:g} is not below 1 / {population} {unit}s" if delta >= 1 / population else ""


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
            f"expected an epsilon that some noise can reach, got {epsilon:g} at delta {delta:g}; the accountant's own "
            f"error is {EPS_ERROR:g}, so ask for more than that, or give noise_multiplier ({error})"
        ) from error
    return float(found)


@cache
def _prv_and_rdp(noise_multiplier: float, rate: float, steps: int, delta: float) -> tuple[float | None, float]:
    """Upper bounds of epsilon from both accountants, never below 0; None where the first is out of its range."""
    from opacus.accountants import PRVAccountant, RDPAccountant

    prv, rdp = PRVAccountant(), RDPAccountant()
    prv.history = rdp.history = [(noise_multiplier, rate, steps)]
    with _quiet():
        loose = max(0.0, float(rdp.get_epsilon(delta=delta)))  # a large delta alone may cover what the steps leak
        if loose > LARGEST_PRV:
            return None, loose
        return max(0.0, float(prv.get_epsilon(delta=delta, eps_error=EPS_ERROR))), loose


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the accountants' warnings that say nothing here."""
    with warnings.catch_warnings():
        # RDP serves as a looser bound and to choose a domain; that its orders could be finer is no news.
        warnings.filterwarnings("ignore", message="Optimal order is the")
        # At sample rate 1 the privacy loss has no lower end: log(1 - rate) is meant to be -inf.
        warnings.filterwarnings("ignore", message="divide by zero encountered in log")
        yield
