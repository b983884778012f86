"""PIA and PIAN: against literal loops in float64, a closed form, and models that do leak."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
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
from bench.attacks.pia import PIA
from bench.attacks.pian import PIAN
from bench.contracts import check_attack
from bench.contracts.planted import Planted
from bench.rng import generator
from targets.nets.diffusion import alpha_bar

BOTH = pytest.mark.parametrize("attack", [PIA, PIAN], ids=["pia", "pian"])


def looped(
    attack: type[PIA], x: NDArray[np.float64], first: float, later: float, power: int = 4, label: int = 0
) -> float:
    """Two questions about one record, and one value after the other."""
    eps = gaussian_noise(x, first, label)
    if attack is PIAN:
        eps = eps / (sum(abs(value) for value in eps.flat) / eps.size) * 0.7978845608028654
    seen = gaussian_noise(math.sqrt(later) * x + math.sqrt(1 - later) * eps, later, label)
    return -sum(abs(a - b) ** power for a, b in zip(eps.flat, seen.flat, strict=True))


@BOTH
@pytest.mark.parametrize(
    "options", [{}, {"time": 60}, {"norm": 1}, {"time": 500, "norm": 2}], ids=lambda options: str(options)
)
def test_scores_are_those_of_a_literal_loop(attack: type[PIA], options: dict[str, int]) -> None:
    candidates, left = gaussian_records(ROWS + 5), alpha_bar("cosine", 300)
    first, later = left[own_times([0, options.get("time", 200)], left)]
    x = candidates.floats().astype(np.float64)
    wanted = [looped(attack, row, first, later, options.get("norm", 4)) for row in x]
    np.testing.assert_allclose(scores(attack(**options), candidates), wanted, rtol=1e-5)
    assert np.std(wanted) > 0.05 * abs(np.mean(wanted))


def test_the_distance_under_a_linear_denoiser_has_a_closed_form() -> None:
    """With e(x, t) = c_t (x - sqrt(a_t) m), the two noises differ by a linear function of the record."""
    first, later = PUBLISHED[0], PUBLISHED[200]
    c0, c = (math.sqrt(1 - a) / (a * SPREAD**2 + 1 - a) for a in (first, later))
    slope = c0 - c * (math.sqrt(later) + math.sqrt(1 - later) * c0)
    at_mean = c0 * (1 - math.sqrt(first)) * MEAN * (1 - c * math.sqrt(1 - later))
    candidates = gaussian_records(20)
    away = candidates.floats().astype(np.float64) - MEAN
    wanted = -((slope * away + at_mean) ** 4).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(scores(PIA(), candidates, schedule="linear", times=1000), wanted, rtol=1e-5)


def test_rescaled_noise_has_the_mean_absolute_value_of_normal_noise() -> None:
    seen = torch.from_numpy(generator(0, "seen").normal(3.0, 7.0, (5, 2, 4, 4)).astype(np.float32))
    scaled = PIAN().as_noise(seen)
    normal = generator(0, "normal").standard_normal(1_000_000)
    assert scaled.abs().mean(dim=(1, 2, 3)).tolist() == pytest.approx([np.abs(normal).mean()] * 5, rel=0.003)
    ratio = scaled / seen
    assert torch.allclose(ratio, ratio[:, :1, :1, :1].expand_as(ratio))  # one factor per record
    assert ratio.flatten(1)[:, 0].unique().numel() == 5


def test_a_record_in_which_no_noise_is_seen_keeps_none() -> None:
    seen = torch.stack([torch.zeros(1, 2, 2), torch.ones(1, 2, 2)])
    assert PIAN().as_noise(seen).flatten(1).tolist() == [[0.0] * 4, pytest.approx([0.7978845608] * 4)]


def test_pia_adds_the_noise_as_it_was_seen() -> None:
    seen = torch.randn(3, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    assert torch.equal(PIA().as_noise(seen), seen)


@BOTH
def test_labels_reach_conditional_targets_row_by_row(attack: type[PIA]) -> None:
    candidates, left = gaussian_records(ROWS + 5, classes=4), alpha_bar("cosine", 300)
    first, later = left[own_times([0, 200], left)]
    assert candidates.labels is not None
    x = candidates.floats().astype(np.float64)
    wanted = [looped(attack, row, first, later, 4, int(y)) for row, y in zip(x, candidates.labels, strict=True)]
    np.testing.assert_allclose(scores(attack(), candidates, conditional=True), wanted, rtol=1e-4)


@pytest.mark.parametrize(("times", "distinct"), [(300, 2), (2, 1)])
def test_it_says_whether_its_two_times_differ(times: int, distinct: int) -> None:
    assert judged(PIA(), gaussian_records(2), times=times).diagnostics == {"distinct_times": distinct}


@BOTH
@pytest.mark.parametrize("options", [{"time": 1000}, {"time": 0}, {"norm": 0}, {"norm": 9}], ids=str)
def test_options_out_of_range_are_refused(attack: type[PIA], options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"time|norm"):
        attack(**options)


@BOTH
def test_contract(attack: type[PIA]) -> None:
    report = check_attack(attack(), planted=Planted())
    assert {rule: reason for rule, reason in report.items() if reason} == {}


@BOTH
def test_an_overfitted_model_gives_its_members_away_and_an_untrained_one_does_not(attack: type[PIA]) -> None:
    assert read(attack(), small_ddpm(300)) > 0.85
    assert abs(read(attack(), small_ddpm(0)) - 0.5) < NULL


@BOTH
def test_targets_without_a_denoiser_are_not_applicable(attack: type[PIA]) -> None:
    reason = attack().not_applicable(Planted().trial(), frozenset({"generator", "encoder"}))
    assert reason == f"{attack.name} needs the target's denoiser, and planted has none"
