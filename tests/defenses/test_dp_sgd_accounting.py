"""The claim against an independent accountant: dp-accounting's privacy loss distributions."""

from __future__ import annotations

import math
from functools import cache

import dp_accounting  # type: ignore[import-untyped]
import pytest
from dp_accounting.pld import PLDAccountant  # type: ignore[import-untyped]
from dp_cases import context, request, tiny
from pydantic import ValidationError

from bench.errors import InputError
from bench.identity import ROOT
from bench.matrix import load_matrix
from bench.results import PrivacyClaim
from defenses.base import Defense
from defenses.clip_only import ClipOnly
from defenses.dp_sgd import DPSGD, EPS_ERROR, noise_for
from defenses.none import NoDefense
from targets.training import build_networks, set_mode, train

# (expected batch, expected members, noise multiplier, steps, delta)
SETTINGS = [
    (8, 800, 1.0, 1000, 1e-5),
    (8, 800, 1.0, 1000, 1e-9),
    (64, 1000, 1.0, 500, 1e-4),
    (32, 250, 1.3, 1200, 1e-4),
    (10, 20, 2.0, 100, 1e-5),
    (10, 40, 1.0, 1, 1e-5),
    (8, 400, 0.6, 10, 1e-3),
    (2, 2000, 0.5, 2000, 1e-6),
    (90, 100, 5.0, 50, 1e-4),
    (20, 20, 4.0, 20, 1e-5),
    (64, 20, 1.0, 1, 1e-5),
    (10, 100, 20.0, 1000, 1e-5),
    (10, 100, 2.0, 3000, 1e-9),
    (10, 100, 50.0, 100, 1e-5),
    (4, 1000, 1.1, 5000, 1e-7),
    (30, 100, 10.0, 3000, 1e-4),
    (5, 100, 0.8, 300, 5e-3),
    (64, 250, 3.0, 2000, 1e-4),
    (32, 1000, 0.9, 100, 1e-6),
    (16, 100, 1.5, 400, 1e-5),
    (8, 100, 2.5, 4000, 1e-4),
    (6, 10, 1.2, 30, 1e-3),
    (2, 400_000, 0.7, 10_000, 1e-8),
    (2, 200_000, 0.5, 10, 1e-6),
    (10, 20, 200.0, 5, 0.04),
]


@cache
def independent_epsilon(rate: float, sigma: float, steps: int, delta: float) -> float:
    """Epsilon of the Poisson-sampled Gaussian for adding or removing one record, by composing its PLD."""
    accountant = PLDAccountant(dp_accounting.NeighboringRelation.ADD_OR_REMOVE_ONE, value_discretization_interval=2e-4)
    step = dp_accounting.PoissonSampledDpEvent(rate, dp_accounting.GaussianDpEvent(sigma))
    return float(accountant.compose(step, steps).get_epsilon(delta))


def claim_of(batch_size: int, expected: int, sigma: float, steps: int, delta: float) -> PrivacyClaim:
    """What a training of so many steps claims, without its updates."""
    target = tiny(batch_size=batch_size, steps=steps)
    about = context(target, expected)
    networks = build_networks(target, (), about)
    set_mode(networks, train=True)
    phase = target.phases()[0]
    optimizer = target.optimizer(phase, networks["discriminator"][0].parameters())
    updater = DPSGD(noise_multiplier=sigma, delta=delta).updater(phase, networks, optimizer, about)
    assert updater is not None
    updater.steps = steps  # type: ignore[attr-defined]
    claim = updater.claim()
    assert claim is not None
    return claim


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_the_claim_agrees_with_an_independent_accountant(setting: tuple[int, int, float, int, float]) -> None:
    batch_size, expected, sigma, steps, delta = setting
    claim = claim_of(*setting)
    truth = independent_epsilon(min(1.0, batch_size / expected), sigma, steps, delta)
    assert claim.epsilon is not None
    # The accountant returns its upper bound, so the claim lies about its stated error above the truth.
    assert truth - 1e-3 <= claim.epsilon <= truth + EPS_ERROR + 0.01 * truth + 1e-3
    assert claim.epsilon_rdp is not None
    assert claim.epsilon_rdp >= claim.epsilon
    assert (claim.delta, claim.noise_multiplier, claim.steps) == (delta, sigma, steps)
    assert (claim.unit, claim.adjacency, claim.accountant, claim.void_reason) == ("record", "add/remove", "prv", "")


@pytest.mark.parametrize(
    ("epsilon", "delta", "rate", "steps"),
    [(8.0, 1e-4, 0.128, 200), (1.0, 1e-5, 0.064, 500), (0.1, 1e-5, 0.02, 100), (3.0, 1e-6, 1.0, 30)],
)
@pytest.mark.filterwarnings("error")
def test_the_noise_found_spends_the_budget_and_not_more(epsilon: float, delta: float, rate: float, steps: int) -> None:
    sigma = noise_for(epsilon, delta, rate, steps)
    truth = independent_epsilon(rate, sigma, steps, delta)
    assert truth <= epsilon
    assert truth >= epsilon - 3 * EPS_ERROR - 0.01 * epsilon


def test_the_quickstarts_claim_is_confirmed_by_an_independent_accountant() -> None:
    resolved = load_matrix(ROOT / "matrix.yaml")
    ((_, split),) = resolved.datasets
    (target,) = resolved.targets
    (defense,) = [stack[0] for stack in resolved.defenses if stack[0].name == "dp_sgd"]
    assert isinstance(split.members, int)
    rate, steps, options = target.options.batch_size / split.members, target.options.steps, defense.options
    assert options.epsilon <= 10
    claim = claim_of(
        target.options.batch_size,
        split.members,
        noise_for(options.epsilon, options.delta, rate, steps),
        steps,
        options.delta,
    )
    truth = independent_epsilon(rate, claim.noise_multiplier, steps, options.delta)
    assert claim.epsilon is not None
    assert truth - 1e-3 <= claim.epsilon <= truth + EPS_ERROR + 0.01 * truth
    assert claim.epsilon <= options.epsilon


def test_a_budget_below_the_accountants_error_is_the_users_error() -> None:
    with pytest.raises(InputError, match=r"expected an epsilon that some noise can reach, got 0\.005 at delta 1e-05"):
        noise_for(0.005, 1e-5, 0.1, 10)


def test_a_training_by_budget_claims_within_it() -> None:
    result = train(request(tiny(steps=8), DPSGD(epsilon=2.0, delta=1e-4, max_grad_norm=0.5)))
    claim = result.claim
    assert claim is not None
    assert claim.epsilon is not None
    assert 2.0 - 2 * EPS_ERROR <= claim.epsilon <= 2.0
    assert (claim.steps, claim.max_grad_norm, claim.delta) == (8, 0.5, 1e-4)
    truth = independent_epsilon(8 / 30, claim.noise_multiplier, 8, 1e-4)
    assert claim.epsilon == pytest.approx(truth, abs=EPS_ERROR + 0.01 * truth)


def test_the_claim_rests_on_the_expected_members_and_not_on_the_coins() -> None:
    claims = [train(request(tiny(), DPSGD(noise_multiplier=1.0), n=n, expected=40)).claim for n in (31, 40, 47)]
    assert claims[0] is not None
    assert claims[0].sample_rate == 8 / 40
    assert claims[0] == claims[1] == claims[2]


def test_no_steps_spend_nothing() -> None:
    claim = train(request(tiny(steps=0), DPSGD(noise_multiplier=1.0))).claim
    assert claim is not None
    assert (claim.epsilon, claim.epsilon_rdp, claim.steps) == (0.0, 0.0, 0)


class Reader(Defense):
    """Looks at members outside of the accounting."""

    name = "reader"
    reads_members = "chooses its threshold on member records"


def test_a_defense_that_reads_members_voids_the_claim() -> None:
    claim = train(request(tiny(), Reader(), DPSGD(noise_multiplier=1.0))).claim
    assert claim is not None
    assert (claim.epsilon, claim.epsilon_rdp) == (None, None)
    assert claim.void_reason == "reader: chooses its threshold on member records"
    assert claim.noise_multiplier == 1.0
    assert claim.steps == 6


@pytest.mark.parametrize("defense", [NoDefense(), ClipOnly()], ids=repr)
def test_without_noise_nothing_is_claimed(defense: Defense) -> None:
    assert train(request(tiny(), defense)).claim is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "exactly one of `epsilon` and `noise_multiplier`"),
        ({"epsilon": 1.0, "noise_multiplier": 1.0}, "exactly one of `epsilon` and `noise_multiplier`"),
        ({"epsilon": 0.0}, "greater than 0"),
        ({"noise_multiplier": 0.0}, "greater than 0"),
        ({"epsilon": 1.0, "delta": 1e-13}, r"greater than or equal to 0\.000000001"),
        ({"epsilon": 1.0, "delta": 1.0}, "less than 1"),
        ({"epsilon": 1.0, "max_grad_norm": 0.0}, "greater than 0"),
        ({"epsilon": 1.0, "mode": "ew"}, "'hooks' or 'functorch'"),
        ({"epsilon": math.inf}, "finite number"),
        ({"noise_multiplier": math.inf}, "finite number"),
        ({"noise_multiplier": 1.0, "max_grad_norm": math.inf}, "finite number"),
    ],
)
def test_options_are_checked(options: dict[str, float], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        DPSGD(**options)
