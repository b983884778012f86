"""The claim of clipped and noised sums against an independent accountant."""

from __future__ import annotations

from typing import Literal

import pytest
from accountants import gaussian_epsilon

from bench.errors import InputError
from bench.results import PrivacyClaim
from defenses._accounting import EPS_ERROR, LARGEST_PRV, gaussian_claim, noise_for

# (rate, noise multiplier, steps, delta)
SETTINGS = [
    (1e-4, 0.7, 10_000, 1e-9),
    (1e-5, 0.5, 10, 1e-6),
    (0.001, 0.5, 2000, 1e-6),
    (0.004, 1.1, 5000, 1e-7),
    (0.01, 0.7, 5000, 1e-5),
    (0.01, 1.0, 1000, 1e-9),
    (0.032, 0.9, 100, 1e-6),
    (0.05, 0.8, 300, 5e-4),
    (0.064, 1.0, 500, 1e-4),
    (0.08, 2.5, 4000, 1e-4),
    (0.1, 0.5, 1, 1e-9),
    (0.1, 2.0, 3000, 1e-9),
    (0.1, 8.0, 10_000, 1e-5),
    (0.1, 50.0, 100, 1e-5),
    (0.25, 1.0, 1, 1e-5),
    (0.256, 3.0, 2000, 1e-4),
    (0.3, 10.0, 3000, 1e-4),
    (0.5, 2.0, 100, 1e-5),
    (0.5, 200.0, 5, 0.04),
    (0.6, 1.2, 30, 1e-3),
    (0.9, 5.0, 50, 1e-4),
    (1.0, 0.5, 1, 1e-5),
    (1.0, 1.0, 1, 1e-5),
    (1.0, 4.0, 20, 1e-5),
    (1.0, 8.0, 1, 1e-9),
    (1.0, 8.0, 1000, 1e-3),
]


def claim_of(
    rate: float,
    sigma: float,
    steps: int,
    delta: float,
    unit: Literal["record", "client"] = "record",
    population: int = 20,
) -> PrivacyClaim:
    return gaussian_claim(
        noise_multiplier=sigma,
        rate=rate,
        steps=steps,
        delta=delta,
        unit=unit,
        population=population,
        max_grad_norm=1.5,
    )


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_the_claim_agrees_with_an_independent_accountant(setting: tuple[float, float, int, float]) -> None:
    rate, sigma, steps, delta = setting
    claim, truth = claim_of(*setting), gaussian_epsilon(*setting)
    assert claim.epsilon is not None
    # The accountant returns its upper bound, so the claim lies about its stated error above the truth.
    assert truth - 1e-3 <= claim.epsilon <= truth + EPS_ERROR + 0.01 * truth + 1e-3
    assert claim.epsilon_rdp is not None
    assert claim.epsilon_rdp >= claim.epsilon
    assert (claim.sample_rate, claim.noise_multiplier, claim.steps, claim.delta) == (rate, sigma, steps, delta)
    assert (claim.unit, claim.adjacency, claim.accountant, claim.void_reason) == ("record", "add/remove", "prv", "")
    assert (claim.max_grad_norm, claim.queries) == (1.5, None)


@pytest.mark.parametrize(
    "setting",
    [(1.0, 0.5, 100, 1e-4), (0.3, 2.0, 10_000, 1e-9), (0.1, 0.02, 3000, 1e-5)],
    ids=str,
)
def test_beyond_the_accountants_range_the_claim_is_the_looser_bound_and_says_so(
    setting: tuple[float, float, int, float],
) -> None:
    claim = claim_of(*setting)
    assert claim.epsilon is not None
    assert claim.epsilon == claim.epsilon_rdp
    assert claim.epsilon > LARGEST_PRV
    assert claim.accountant == "rdp"
    if setting[1] >= 0.5:  # below, one step alone has losses of hundreds of thousands of grid points
        assert claim.epsilon >= gaussian_epsilon(*setting)


def test_the_unit_changes_the_words_and_not_the_figures() -> None:
    record, client = (claim_of(0.1, 1.0, 10, 1e-3, unit) for unit in ("record", "client"))
    assert client == record.model_copy(update={"unit": "client"})


@pytest.mark.parametrize("unit", ["record", "client"])
def test_a_delta_that_lets_one_unit_be_published_voids_the_claim(unit: Literal["record", "client"]) -> None:
    fine, void = (claim_of(0.1, 1.0, 10, delta, unit, population=500) for delta in (0.0019, 0.002))
    assert fine.epsilon is not None
    assert fine.void_reason == ""
    assert (void.epsilon, void.epsilon_rdp) == (None, None)
    assert void.void_reason == f"delta 0.002 is not below 1 / 500 {unit}s"


def test_no_steps_spend_nothing() -> None:
    claim = claim_of(0.1, 1.0, 0, 1e-5)
    assert (claim.epsilon, claim.epsilon_rdp, claim.steps, claim.accountant) == (0.0, 0.0, 0, "prv")


@pytest.mark.parametrize(
    ("epsilon", "delta", "rate", "steps"),
    [(8.0, 1e-4, 0.128, 200), (1.0, 1e-5, 0.064, 500), (0.1, 1e-5, 0.02, 100), (3.0, 1e-6, 1.0, 30)],
)
@pytest.mark.filterwarnings("error")
def test_the_noise_found_spends_the_budget_and_not_more(epsilon: float, delta: float, rate: float, steps: int) -> None:
    sigma = noise_for(epsilon, delta, rate, steps)
    truth = gaussian_epsilon(rate, sigma, steps, delta)
    assert truth <= epsilon
    assert truth >= epsilon - 3 * EPS_ERROR - 0.01 * epsilon


def test_a_budget_below_the_accountants_error_is_the_users_error() -> None:
    with pytest.raises(InputError, match=r"expected an epsilon that some noise can reach, got 0\.005 at delta 1e-05"):
        noise_for(0.005, 1e-5, 0.1, 10)
