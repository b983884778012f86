"""SecMI: against a literal loop in float64, a closed form, and models that do leak."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from diffusion_cases import (
    MEAN,
    NULL,
    SPREAD,
    gaussian_noise,
    gaussian_records,
    judged,
    read,
    scores,
    small_ddpm,
)
from numpy.typing import NDArray

from bench.attacks._diffusion import PUBLISHED, ROWS, own_times
from bench.attacks.secmi import SecMI
from bench.contracts import check_attack
from bench.contracts.planted import Planted
from bench.errors import InputError
from targets.nets.diffusion import alpha_bar


def stepped(x: NDArray[np.float64], now: float, then: float, label: int = 0) -> NDArray[np.float64]:
    """One step of DDIM as it is written: to the record that is seen, and to that noise again."""
    eps = gaussian_noise(x, now, label)
    record = (x - math.sqrt(1 - now) * eps) / math.sqrt(now)
    return math.sqrt(then) * record + math.sqrt(1 - then) * eps


def looped(x: NDArray[np.float64], visited: list[int], left: NDArray[np.float64], label: int = 0) -> float:
    """Minus the squared distance of one record at the last but one of the times from where it comes back to."""
    *path, last, beyond = visited
    for now, then in pairwise([*path, last]):
        x = stepped(x, left[now], left[then], label)
    back = stepped(stepped(x, left[last], left[beyond], label), left[beyond], left[last], label)
    return -float(((back - x) ** 2).sum())


@pytest.mark.parametrize(
    ("schedule", "times"), [("linear", 1000), ("cosine", 300), ("linear", 40)], ids=["published", "cosine", "few times"]
)
def test_scores_are_those_of_a_literal_loop(schedule: str, times: int) -> None:
    candidates, left = gaussian_records(ROWS + 5), alpha_bar(schedule, times)  # type: ignore[arg-type]
    found = scores(SecMI(), candidates, schedule=schedule, times=times)
    own = own_times(range(0, 111, 10), left).tolist()
    visited = sorted(set(own[:-1]))
    visited.append(max(own[-1], visited[-1] + 1))
    assert visited == list(range(0, 111, 10)) or times < 1000
    x = candidates.floats().astype(np.float64)
    wanted = [looped(row, visited, left) for row in x]
    np.testing.assert_allclose(found, wanted, rtol=1e-4)
    assert np.std(wanted) > 0.05 * abs(np.mean(wanted))


def test_the_error_of_a_linear_denoiser_has_a_closed_form() -> None:
    """With e = c (x - sqrt(a) m), each step multiplies x - sqrt(a) m by a number, and so do the two there and back."""

    def c(a: float) -> float:
        return math.sqrt(1 - a) / (a * SPREAD**2 + 1 - a)

    def factor(now: float, then: float) -> float:
        return math.sqrt(then / now) * (1 - math.sqrt(1 - now) * c(now)) + math.sqrt(1 - then) * c(now)

    candidates = gaussian_records(20)
    lefts = PUBLISHED[list(range(0, 111, 10))]
    path = math.prod(factor(a, b) for a, b in pairwise(lefts[:-1]))
    there_and_back = factor(lefts[-2], lefts[-1]) * factor(lefts[-1], lefts[-2])
    away = candidates.floats().astype(np.float64) - math.sqrt(PUBLISHED[0]) * MEAN
    wanted = -((path * (1 - there_and_back)) ** 2) * (away**2).sum(axis=(1, 2, 3))
    found = scores(SecMI(), candidates, schedule="linear", times=1000)
    np.testing.assert_allclose(found, wanted, rtol=1e-4)


def test_t_sec_and_interval_are_those_that_were_asked_for() -> None:
    candidates = gaussian_records(6)
    found = scores(SecMI(t_sec=55, interval=20), candidates, schedule="linear", times=1000)
    x = candidates.floats().astype(np.float64)
    np.testing.assert_allclose(found, [looped(row, [0, 20, 40, 55, 75], PUBLISHED) for row in x], rtol=1e-4)


def test_labels_reach_conditional_targets_row_by_row() -> None:
    candidates = gaussian_records(ROWS + 5, classes=4)
    assert candidates.labels is not None
    found = scores(SecMI(t_sec=20), candidates, conditional=True, schedule="linear", times=1000)
    x = candidates.floats().astype(np.float64)
    wanted = [
        looped(row, [0, 10, 20, 30], PUBLISHED, int(label)) for row, label in zip(x, candidates.labels, strict=True)
    ]
    np.testing.assert_allclose(found, wanted, rtol=1e-4)


@pytest.mark.parametrize(("schedule", "times"), [("linear", 1000), ("cosine", 1000), ("linear", 40), ("cosine", 20)])
def test_it_says_how_many_times_it_visited(schedule: str, times: int) -> None:
    snr = [a / (1 - a) for a in alpha_bar(schedule, times).tolist()]  # type: ignore[arg-type]
    wanted = [PUBLISHED[t] / (1 - PUBLISHED[t]) for t in range(0, 111, 10)]
    nearest = [min(range(times), key=lambda t: abs(math.log(snr[t] / asked))) for asked in wanted]
    visited = len({*nearest[:-1], max(nearest[-1], nearest[-2] + 1)})
    assert (visited == 12) == (times == 1000)
    found = judged(SecMI(), gaussian_records(2), schedule=schedule, times=times)
    assert found.diagnostics == {"distinct_times": visited}


def test_the_step_there_and_back_leads_to_another_time_though_the_target_has_few() -> None:
    left = alpha_bar("linear", 4)
    assert own_times([100, 110], left).tolist() == [0, 0]
    found = judged(SecMI(), gaussian_records(9), schedule="linear", times=4)
    assert found.diagnostics["distinct_times"] == 2
    assert (found.scores < -1e-3).all()


def test_a_target_without_a_noisier_time_is_refused() -> None:
    with pytest.raises(InputError, match=r"noisier than t_sec = 900, but that is as noisy as the last of its 2 times"):
        scores(SecMI(t_sec=900, interval=90), gaussian_records(2), times=2)


@pytest.mark.parametrize("options", [{"t_sec": 990, "interval": 10}, {"t_sec": 0}, {"interval": 0}], ids=str)
def test_steps_off_the_published_schedule_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"t_sec|interval"):
        SecMI(**options)
    SecMI(t_sec=989, interval=10)


def test_contract() -> None:
    report = check_attack(SecMI(), planted=Planted())
    assert {rule: reason for rule, reason in report.items() if reason} == {}


def test_an_overfitted_model_gives_its_members_away_and_an_untrained_one_does_not() -> None:
    assert read(SecMI(), small_ddpm(300)) > 0.95
    assert abs(read(SecMI(), small_ddpm(0)) - 0.5) < NULL


def test_targets_without_a_denoiser_are_not_applicable() -> None:
    reason = SecMI().not_applicable(Planted().trial(), frozenset({"generator", "encoder"}))
    assert reason == "secmi needs the target's denoiser, and planted has none"
