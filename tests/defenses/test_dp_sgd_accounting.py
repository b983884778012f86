"""What a private training claims: its noise, rate and steps, and when the claim is void."""

from __future__ import annotations

import math

import pytest
from accountants import gaussian_epsilon
from dp_cases import context, request, tiny
from pydantic import ValidationError

from bench.identity import ROOT
from bench.matrix import load_matrix
from bench.results import PrivacyClaim
from defenses._accounting import EPS_ERROR, gaussian_claim, noise_for
from defenses.base import Defense, TrainingContext
from defenses.clip_only import ClipOnly
from defenses.dp_sgd import DPSGD
from defenses.none import NoDefense
from targets.base import Networks
from targets.training import build_networks, set_mode, train


def claim_of(
    batch_size: int, expected: int, sigma: float, steps: int, delta: float, done: int | None = None
) -> PrivacyClaim:
    """What a training of so many planned steps claims, without its updates."""
    target = tiny(batch_size=batch_size, steps=steps)
    about = context(target, expected)
    networks = build_networks(target, (), about)
    set_mode(networks, train=True)
    phase = target.phases()[0]
    optimizer = target.optimizer(phase, networks["discriminator"][0].parameters())
    updater = DPSGD(noise_multiplier=sigma, delta=delta).updater(phase, networks, optimizer, about)
    assert updater is not None
    updater.steps = steps if done is None else done  # type: ignore[attr-defined]
    claim = updater.claim()
    assert claim is not None
    return claim


@pytest.mark.parametrize(
    "setting", [(8, 800, 1.0, 1000, 1e-5), (64, 20, 1.0, 1, 1e-5), (5, 100, 0.8, 300, 0.02)], ids=str
)
def test_the_claim_is_the_shared_accountants(setting: tuple[int, int, float, int, float]) -> None:
    batch_size, expected, sigma, steps, delta = setting
    assert claim_of(*setting) == gaussian_claim(
        noise_multiplier=sigma,
        rate=min(1.0, batch_size / expected),
        steps=steps,
        delta=delta,
        unit="record",
        population=expected,
        max_grad_norm=1.0,
    )


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
    truth = gaussian_epsilon(rate, claim.noise_multiplier, steps, options.delta)
    assert claim.epsilon is not None
    assert truth - 1e-3 <= claim.epsilon <= truth + EPS_ERROR + 0.01 * truth
    assert claim.epsilon <= options.epsilon


def test_a_training_by_budget_claims_within_it() -> None:
    result = train(request(tiny(steps=8), DPSGD(epsilon=2.0, delta=1e-4, max_grad_norm=0.5)))
    claim = result.claim
    assert claim is not None
    assert claim.epsilon is not None
    assert 2.0 - 2 * EPS_ERROR <= claim.epsilon <= 2.0
    assert (claim.steps, claim.max_grad_norm, claim.delta) == (8, 0.5, 1e-4)
    truth = gaussian_epsilon(8 / 30, claim.noise_multiplier, 8, 1e-4)
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


class Stopper(Defense):
    """Ends the training after two steps."""

    name = "stopper"

    def after_step(self, number: int, networks: Networks, context: TrainingContext, state: object) -> bool:
        return number == 2


def test_a_training_that_ends_early_claims_what_the_planned_one_would_spend() -> None:
    """Whether to end may rest on noisy values, and a length that these decide is not covered by a fixed length's."""
    early = train(request(tiny(), Stopper(), DPSGD(noise_multiplier=1.0)))
    whole = train(request(tiny(), DPSGD(noise_multiplier=1.0)))
    assert (early.steps_done, whole.steps_done) == (2, 6)
    assert early.claim is not None
    assert early.claim.steps == 6
    assert early.claim == whole.claim


def test_steps_beyond_the_plan_are_claimed_too() -> None:
    assert claim_of(8, 800, 1.0, 6, 1e-5, done=9) == claim_of(8, 800, 1.0, 9, 1e-5)
    assert claim_of(8, 800, 1.0, 6, 1e-5, done=0) == claim_of(8, 800, 1.0, 6, 1e-5)


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
