"""Noise schedules and samplers of diffusion models, against the papers' equations and closed forms."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import pytest
import torch

from bench.devices import Device
from bench.rng import torch_generator
from targets.base import Draw
from targets.nets.diffusion import alpha_bar, ddim, sampling_times


@pytest.mark.parametrize("times", [1000, 100])
def test_the_linear_schedule_is_the_papers(times: int) -> None:
    left, found = 1.0, alpha_bar("linear", times)
    for t in range(times):
        left *= 1 - (1e-4 + (0.02 - 1e-4) * t / (times - 1)) * 1000 / times
        assert found[t] == pytest.approx(left, rel=1e-12)


def test_the_cosine_schedule_is_the_papers() -> None:
    found = alpha_bar("cosine", 1000)
    for t in range(998):  # equation 17, before the clip of beta acts
        f, f0 = (math.cos((s + 0.008) / 1.008 * math.pi / 2) ** 2 for s in ((t + 1) / 1000, 0.0))
        assert found[t] == pytest.approx(f / f0, rel=1e-9)
    assert 1 - found[-1] / found[-2] == pytest.approx(0.999)


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
@pytest.mark.parametrize("times", [2, 10, 50, 1000])
def test_schedules_fall_within_zero_and_one(schedule: Literal["linear", "cosine"], times: int) -> None:
    found = alpha_bar(schedule, times)
    assert found.shape == (times,)
    assert np.all(np.diff(found) < 0)
    assert 0 < found[-1] < found[0] < 1


@pytest.mark.parametrize(("times", "steps"), [(1000, 20), (1000, 1000), (1000, 1), (7, 3), (10, 7)])
def test_sampling_visits_distinct_times_from_the_last_one_down(times: int, steps: int) -> None:
    visited = sampling_times(times, steps)
    assert len(visited) == steps
    assert visited[0] == times - 1
    assert visited[-1] >= 0
    assert all(a > b for a, b in pairwise(visited))
    if times == steps:
        assert visited == list(range(times))[::-1]


MEAN, SPREAD = 0.05, 0.2  # of Gaussian pixels that stay well within [-1, 1], where clipping does nothing


def best_noise(left: np.ndarray) -> Any:
    """E[noise | x] where every pixel is N(MEAN, SPREAD^2): the best possible prediction."""

    def predict(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        a = torch.from_numpy(left)[t][:, None, None, None]
        return (1 - a).sqrt() * (x - a.sqrt() * MEAN) / (a * SPREAD**2 + 1 - a)

    return predict


def test_deterministic_sampling_follows_the_probability_flow() -> None:
    """For Gaussian data the flow keeps (x - sqrt(a) mean) / sqrt(a spread^2 + 1 - a); Song et al., ICLR 2021b."""
    left = alpha_bar("linear", 1000)
    z = torch.randn(4, 1, 8, 8, generator=torch_generator(0, "test"), dtype=torch.float64)
    start = (z - math.sqrt(left[-1]) * MEAN) / math.sqrt(left[-1] * SPREAD**2 + 1 - left[-1])
    x = ddim(best_noise(left), z, left, sampling_times(1000, 1000))
    assert float(((x - MEAN) / SPREAD - start).abs().max()) < 0.05


def test_ancestral_sampling_has_the_moments_of_the_papers_chain() -> None:
    """Mean and variance of a pixel, carried through equations 6 and 7 of Ho et al. one time after the other."""
    left = alpha_bar("cosine", 100)
    draw, visited = Draw(Device(), 0, "test"), sampling_times(100, 100)
    x = ddim(best_noise(left), draw.normal(300, 1, 8, 8).double(), left, visited, eta=1, noise=draw.normal)
    mean, variance = 0.0, 1.0
    for t in visited:
        before = left[t - 1] if t else 1.0
        beta = 1 - left[t] / before
        of_record, of_x = (math.sqrt(before) * beta / (1 - left[t]), math.sqrt(1 - beta) * (1 - before) / (1 - left[t]))
        slope = math.sqrt(left[t]) * SPREAD**2 / (left[t] * SPREAD**2 + 1 - left[t])  # of E[record | x] in x
        record = MEAN + slope * (mean - math.sqrt(left[t]) * MEAN)
        mean = of_record * record + of_x * mean
        variance = (of_record * slope + of_x) ** 2 * variance + (1 - before) / (1 - left[t]) * beta
    n = x.numel()
    assert float(x.mean()) == pytest.approx(mean, abs=4 * math.sqrt(variance / n))
    assert float(x.var()) == pytest.approx(variance, rel=4 * math.sqrt(2 / n))
    assert mean == pytest.approx(MEAN, abs=0.01)
    assert math.sqrt(variance) == pytest.approx(SPREAD, rel=0.1)


def test_one_ancestral_step_is_the_papers_posterior() -> None:
    """Ho et al., equations 6 and 7, for the record that the predicted noise implies."""
    left, t = alpha_bar("linear", 1000), 300
    beta = 1 - left[t] / left[t - 1]
    x = torch.randn(2, 1, 4, 4, generator=torch_generator(0, "test"), dtype=torch.float64)
    record = torch.linspace(-0.9, 0.9, 32, dtype=torch.float64).reshape(2, 1, 4, 4)
    eps = torch.ones(2, 1, 4, 4, dtype=torch.float64)
    seen: list[torch.Tensor] = []

    def predict(noisy: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        seen.append(noisy)
        return (noisy - math.sqrt(left[int(time[0])]) * record) / math.sqrt(1 - left[int(time[0])])

    ddim(predict, x, left, [t, t - 1], eta=1, noise=lambda *shape: eps)
    mean = (
        math.sqrt(left[t - 1]) * beta / (1 - left[t]) * record
        + math.sqrt(1 - beta) * (1 - left[t - 1]) / (1 - left[t]) * x
    )
    variance = (1 - left[t - 1]) / (1 - left[t]) * beta
    assert torch.allclose(seen[1], mean + math.sqrt(variance) * eps, rtol=0, atol=1e-10)


def test_what_is_predicted_of_a_record_is_clipped() -> None:
    left = alpha_bar("linear", 1000)
    z = torch.randn(2, 1, 8, 8, generator=torch_generator(0, "test"))
    x = ddim(lambda x, t: torch.zeros_like(x), z, left, sampling_times(1000, 5))
    assert float(x.abs().max()) <= 1


def test_added_noise_needs_a_source() -> None:
    left = alpha_bar("linear", 10)
    with pytest.raises(ValueError, match="expected a source of noise, since eta is above 0"):
        ddim(lambda x, t: x, torch.zeros(1, 1, 8, 8), left, [9, 4], eta=0.5)
