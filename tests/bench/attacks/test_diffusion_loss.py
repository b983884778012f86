"""The loss of diffusion models: against a literal loop, a closed form, and what a memorising model must give away."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from diffusion_cases import MEAN, NULL, RNG, SPREAD, gaussian_records, judged, read, scores, small_ddpm

from bench.attacks._diffusion import ROWS, own_times, record_noise
from bench.attacks.diffusion_loss import DiffusionLoss
from bench.contracts import check_attack
from bench.contracts.planted import Planted
from targets.nets.diffusion import alpha_bar


@pytest.mark.parametrize("times", [[1000], [100, -1], []])
def test_times_off_the_published_schedule_are_refused(times: list[int]) -> None:
    with pytest.raises(ValueError, match="times"):
        DiffusionLoss(times=times)


def test_scores_are_those_of_a_literal_loop() -> None:
    candidates, attack = gaussian_records(ROWS + 9), DiffusionLoss(times=[40, 300], noises=3)
    found, left = scores(attack, candidates), alpha_bar("cosine", 300)
    x = candidates.floats().astype(np.float64)
    for row in [0, 5, ROWS - 1, ROWS, ROWS + 8]:
        total = 0.0
        for time in (40, 300):
            t = int(own_times([time], left)[0])
            a = left[t]
            for draw in range(3):
                eps = record_noise(RNG, int(candidates.ids[row]), time, draw, (1, 8, 8)).astype(np.float64)
                for value, noise in zip(x[row].flat, eps.flat, strict=True):
                    seen = math.sqrt(a) * value + math.sqrt(1 - a) * noise
                    predicted = math.sqrt(1 - a) * (seen - math.sqrt(a) * MEAN) / (a * SPREAD**2 + 1 - a)
                    total += (noise - predicted) ** 2
        assert found[row] == pytest.approx(-total / 6, rel=1e-5)


def test_the_mean_score_is_the_least_possible_error() -> None:
    """For pixels N(m, s^2) the best prediction errs by a s^2 / (a s^2 + 1 - a) per pixel."""
    candidates, times = gaussian_records(600), [50, 200, 500]
    left = alpha_bar("cosine", 300)
    a = left[own_times(times, left)]
    least = 64 * a * SPREAD**2 / (a * SPREAD**2 + 1 - a)
    for time, expected in zip(times, least, strict=True):
        found = scores(DiffusionLoss(times=[time], noises=2), candidates)
        assert -found.mean() == pytest.approx(expected, rel=4 * math.sqrt(2 / (600 * 64)))
    assert -scores(DiffusionLoss(times=times), candidates).mean() == pytest.approx(least.mean(), rel=0.02)


def test_several_times_and_noises_are_averaged() -> None:
    candidates = gaussian_records(40)
    each = [scores(DiffusionLoss(times=[t], noises=2), candidates) for t in (60, 120)]
    assert np.allclose(scores(DiffusionLoss(times=[60, 120], noises=2), candidates), np.mean(each, axis=0), rtol=1e-12)
    one, two = (scores(DiffusionLoss(times=[60], noises=n), candidates) for n in (1, 2))
    assert not np.allclose(one, two)


def test_a_records_score_does_not_depend_on_the_others() -> None:
    candidates = gaussian_records(40)
    some = np.array([3, 17, 31])
    assert np.allclose(
        scores(DiffusionLoss(), candidates)[some], scores(DiffusionLoss(), candidates.take(some)), rtol=1e-6
    )


def test_labels_reach_conditional_targets_row_by_row() -> None:
    candidates, attack = gaussian_records(ROWS + 9, classes=4), DiffusionLoss(times=[100], noises=1)
    assert candidates.labels is not None
    plain, told = scores(attack, candidates), scores(attack, candidates, conditional=True)
    left = alpha_bar("cosine", 300)
    a = left[own_times([100], left)[0]]
    for row in range(len(candidates)):
        x = candidates.floats()[row].astype(np.float64)
        eps = record_noise(RNG, int(candidates.ids[row]), 100, 0, (1, 8, 8)).astype(np.float64)
        seen = math.sqrt(a) * x + math.sqrt(1 - a) * eps
        wrong = math.sqrt(1 - a) * (seen - math.sqrt(a) * MEAN) / (a * SPREAD**2 + 1 - a) - eps
        assert told[row] == pytest.approx(-float(((wrong + candidates.labels[row]) ** 2).sum()), rel=1e-5)
    assert np.array_equal(told == plain, candidates.labels == 0)


@pytest.mark.parametrize(("own", "distinct"), [(300, 11), (1, 1)])
def test_it_says_how_many_times_its_own_became(own: int, distinct: int) -> None:
    found = judged(DiffusionLoss(noises=1), gaussian_records(3), times=own)
    assert found.diagnostics == {"distinct_times": distinct}


# --- leaks ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"times": [100], "noises": 1}], ids=str)
def test_a_memorising_model_gives_its_members_away(options: dict[str, Any]) -> None:
    report = check_attack(DiffusionLoss(**options), planted=Planted())
    assert {rule: reason for rule, reason in report.items() if reason} == {}


def test_an_overfitted_model_gives_its_members_away_and_an_untrained_one_does_not() -> None:
    assert read(DiffusionLoss(), small_ddpm(300)) > 0.95
    assert abs(read(DiffusionLoss(), small_ddpm(0)) - 0.5) < NULL


def test_targets_without_a_denoiser_are_not_applicable() -> None:
    planted = Planted()
    reason = DiffusionLoss().not_applicable(planted.trial(), frozenset({"generator", "discriminator"}))
    assert reason == "diffusion_loss needs the target's denoiser, and planted has none"
    assert DiffusionLoss().not_applicable(planted.trial(), frozenset({"denoiser", "average"})) is None
