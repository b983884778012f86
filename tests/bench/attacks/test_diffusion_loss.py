"""The loss of diffusion models: against a literal loop, a closed form, and what a memorising model must give away."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from bench.attacks._diffusion import PUBLISHED, log_snr, noisy, own_times
from bench.attacks.base import Knowledge
from bench.attacks.diffusion_loss import ROWS, DiffusionLoss, record_noise
from bench.contracts import check_attack
from bench.contracts.planted import Planted
from bench.devices import Device
from bench.errors import InputError
from bench.records import Records, Schema
from bench.release import Release, View
from bench.rng import RecordRng, generator
from targets.base import Networks, Target
from targets.nets.diffusion import alpha_bar

SCHEMA = Schema("image", (1, 8, 8))
MEAN, SPREAD = 0.1, 0.3


class Gaussian(Target):
    """The best denoiser of pixels N(MEAN, SPREAD^2), on a short cosine schedule; a label adds an error of its size."""

    name = "gaussian"
    roles = ("denoiser",)
    private_roles = ("denoiser",)

    class Options(Target.Options):
        conditional: bool = False

    def alpha_bar(self) -> NDArray[np.float64]:
        return alpha_bar("cosine", 300)

    def predict_noise(
        self, networks: Networks, x: torch.Tensor, t: torch.Tensor, labels: torch.Tensor | None = None
    ) -> torch.Tensor:
        a = torch.from_numpy(self.alpha_bar())[t][:, None, None, None]
        found = (1 - a).sqrt() * (x - a.sqrt() * MEAN) / (a * SPREAD**2 + 1 - a)
        return found if labels is None else found + labels[:, None, None, None]


def records(n: int, classes: int | None = None) -> Records:
    """Images whose grey levels are N(MEAN, SPREAD^2), up to the rounding to 256 of them."""
    rng = generator(0, "test records")
    x = np.rint(np.clip(rng.normal(MEAN, SPREAD, (n, 1, 8, 8)) + 1, 0, 2) * 127.5).astype(np.uint8)
    labels = None if classes is None else rng.integers(0, classes, n)
    return Records(np.arange(100, 100 + n, dtype=np.int64), x, labels, Schema("image", (1, 8, 8), classes))


def scores(attack: DiffusionLoss, candidates: Records, **options: Any) -> NDArray[np.float64]:
    release = Release(Gaussian(**options), {"denoiser": (torch.nn.Identity(),)}, candidates.schema, Device())
    view = View("white_box", candidates.schema, Device(), release=lambda: release)
    return attack.score(candidates, view, Knowledge(), RecordRng(0, "test")).scores


# --- times ------------------------------------------------------------------------------------------------------------


def test_published_times_are_the_papers_own_on_the_papers_schedule() -> None:
    assert own_times(range(1000), alpha_bar("linear", 1000)).tolist() == list(range(1000))


@pytest.mark.parametrize("times", [50, 1000])
def test_times_are_matched_by_the_nearest_log_snr(times: int) -> None:
    left, published = alpha_bar("cosine", times), [0, 7, 100, 300, 650, 999]
    found = own_times(published, left)
    for t, own in zip(published, found.tolist(), strict=True):
        wanted = math.log(PUBLISHED[t] / (1 - PUBLISHED[t]))
        distances = [abs(math.log(a / (1 - a)) - wanted) for a in left.tolist()]
        assert distances[own] == min(distances)


def test_equal_noise_is_not_an_equal_share_of_the_time() -> None:
    (own,) = own_times([100], alpha_bar("cosine", 1000))
    assert own > 190  # t / T would be 100, where a cosine schedule has lost a third as much signal
    assert alpha_bar("cosine", 1000)[own] == pytest.approx(PUBLISHED[100], rel=0.002)


def test_noise_beyond_the_schedule_is_its_end() -> None:
    left = np.array([0.9, 0.5])
    assert own_times([0, 999], left).tolist() == [0, 1]


@pytest.mark.parametrize("times", [[1000], [100, -1]])
def test_times_off_the_published_schedule_are_refused(times: list[int]) -> None:
    with pytest.raises(InputError, match=r"diffusion times from 0 to 999.*got \[(1000|-1)\]"):
        own_times(times, PUBLISHED)
    with pytest.raises(ValueError, match="times"):
        DiffusionLoss(times=times)


def test_log_snr_is_zero_where_half_is_left() -> None:
    assert log_snr(np.array([0.5, 0.2])).tolist() == pytest.approx([0, math.log(0.25)])


def test_noisy_records_keep_unit_variance() -> None:
    x, eps = torch.ones(3), torch.full((3,), 2.0)
    assert torch.allclose(noisy(x, eps, 0.64), torch.full((3,), 0.8 + 0.6 * 2))


# --- scores -----------------------------------------------------------------------------------------------------------


def test_scores_are_those_of_a_literal_loop() -> None:
    candidates, attack = records(ROWS + 9), DiffusionLoss(times=[40, 300], noises=3)
    found, left = scores(attack, candidates), alpha_bar("cosine", 300)
    rng, x = RecordRng(0, "test"), candidates.floats().astype(np.float64)
    for row in [0, 5, ROWS - 1, ROWS, ROWS + 8]:
        total = 0.0
        for time in (40, 300):
            t = int(own_times([time], left)[0])
            a = left[t]
            for draw in range(3):
                eps = record_noise(rng, int(candidates.ids[row]), time, draw, (1, 8, 8)).astype(np.float64)
                for value, noise in zip(x[row].flat, eps.flat, strict=True):
                    seen = math.sqrt(a) * value + math.sqrt(1 - a) * noise
                    predicted = math.sqrt(1 - a) * (seen - math.sqrt(a) * MEAN) / (a * SPREAD**2 + 1 - a)
                    total += (noise - predicted) ** 2
        assert found[row] == pytest.approx(-total / 6, rel=1e-5)


def test_the_mean_score_is_the_least_possible_error() -> None:
    """For pixels N(m, s^2) the best prediction errs by a s^2 / (a s^2 + 1 - a) per pixel."""
    candidates, times = records(600), [50, 200, 500]
    left = alpha_bar("cosine", 300)
    a = left[own_times(times, left)]
    least = 64 * a * SPREAD**2 / (a * SPREAD**2 + 1 - a)
    for time, expected in zip(times, least, strict=True):
        found = scores(DiffusionLoss(times=[time], noises=2), candidates)
        assert -found.mean() == pytest.approx(expected, rel=4 * math.sqrt(2 / (600 * 64)))
    assert -scores(DiffusionLoss(times=times), candidates).mean() == pytest.approx(least.mean(), rel=0.02)


def test_several_times_and_noises_are_averaged() -> None:
    candidates = records(40)
    each = [scores(DiffusionLoss(times=[t], noises=2), candidates) for t in (60, 120)]
    assert np.allclose(scores(DiffusionLoss(times=[60, 120], noises=2), candidates), np.mean(each, axis=0), rtol=1e-12)
    one, two = (scores(DiffusionLoss(times=[60], noises=n), candidates) for n in (1, 2))
    assert not np.allclose(one, two)


def test_a_records_score_does_not_depend_on_the_others() -> None:
    candidates = records(40)
    some = np.array([3, 17, 31])
    assert np.allclose(
        scores(DiffusionLoss(), candidates)[some], scores(DiffusionLoss(), candidates.take(some)), rtol=1e-6
    )


def test_labels_reach_conditional_targets_row_by_row() -> None:
    candidates, attack = records(ROWS + 9, classes=4), DiffusionLoss(times=[100], noises=1)
    assert candidates.labels is not None
    plain, told = scores(attack, candidates), scores(attack, candidates, conditional=True)
    left = alpha_bar("cosine", 300)
    rng, a = RecordRng(0, "test"), left[own_times([100], left)[0]]
    for row in range(len(candidates)):
        x = candidates.floats()[row].astype(np.float64)
        eps = record_noise(rng, int(candidates.ids[row]), 100, 0, (1, 8, 8)).astype(np.float64)
        seen = math.sqrt(a) * x + math.sqrt(1 - a) * eps
        wrong = math.sqrt(1 - a) * (seen - math.sqrt(a) * MEAN) / (a * SPREAD**2 + 1 - a) - eps
        assert told[row] == pytest.approx(-float(((wrong + candidates.labels[row]) ** 2).sum()), rel=1e-5)
    assert np.array_equal(told == plain, candidates.labels == 0)


# --- leaks ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"times": [100], "noises": 1}], ids=str)
def test_a_memorising_model_gives_its_members_away(options: dict[str, Any]) -> None:
    report = check_attack(DiffusionLoss(**options), planted=Planted())
    assert {rule: reason for rule, reason in report.items() if reason} == {}


def test_targets_without_a_denoiser_are_not_applicable() -> None:
    planted = Planted()
    reason = DiffusionLoss().not_applicable(planted.trial(), frozenset({"generator", "discriminator"}))
    assert reason == "diffusion_loss needs the target's denoiser, and planted has none"
    assert DiffusionLoss().not_applicable(planted.trial(), frozenset({"denoiser", "average"})) is None
