"""GAN-Leaks without gradients: the contract, its budget, and what it may touch."""

from __future__ import annotations

import numpy as np
import pytest
from latent_cases import MATRIX, ROW, Linear
from numpy.typing import NDArray
from scipy.optimize import minimize

from bench.attacks.base import Knowledge, TrialSpec
from bench.attacks.gan_leaks_partial import GANLeaksPartial
from bench.contracts import check_attack
from bench.contracts.planted import Planted
from bench.devices import Device
from bench.errors import AccessError
from bench.records import Records, Schema
from bench.release import Release, View
from bench.rng import RecordRng, generator
from targets.base import Draw

RNG = RecordRng(7, "attack", "gan_leaks_partial")


def linear_view() -> View:
    release = Release(Linear(latent=3), {"decoder": ()}, ROW, Device())
    return View("latent", ROW, Device(), None, lambda: release)


def rows(n: int) -> Records:
    return Records(np.arange(n), generator(1, "rows").normal(size=(n, 5)).astype(np.float32), None, ROW)


@pytest.mark.parametrize("prior_weight", [0.0, 0.1])
def test_scores_are_scipys_minima_from_the_same_starts(prior_weight: float) -> None:
    candidates, view = rows(6), linear_view()
    attack = GANLeaksPartial(starts=20, evaluations=None, iterations=100, prior_weight=prior_weight)
    found = attack.score(candidates, view, Knowledge(), RNG).scores
    draws = view.latent(20, Draw(Device(), RNG.seed, "latents")).numpy()
    for x, score in zip(candidates.x, found, strict=True):

        def loss(z: NDArray[np.float64], x: NDArray[np.float32] = x) -> float:
            return float(((z @ MATRIX - x) ** 2).mean() + prior_weight * (z @ z - 3) ** 2)

        start = draws[((draws @ MATRIX - x) ** 2).sum(axis=1).argmin()]
        assert -score == pytest.approx(float(minimize(loss, start, method="Powell").fun), rel=1e-3)


def test_contract() -> None:
    report = check_attack(GANLeaksPartial(evaluations=40), planted=Planted("image", 50, 50, 150))
    assert {rule: reason for rule, reason in report.items() if reason} == {}


def test_a_table_is_judged_too() -> None:
    report = check_attack(GANLeaksPartial(evaluations=40), planted=Planted("table", 50, 50, 150))
    assert {rule: reason for rule, reason in report.items() if reason} == {}


def test_samples_are_not_enough_and_are_not_asked_for() -> None:
    planted = Planted()
    with pytest.raises(AccessError, match="declared access 'samples', but it asked for 'latent'"):
        GANLeaksPartial().score(planted.candidates, planted.view("samples"), Knowledge(), RNG)
    assert not GANLeaksPartial.reads_samples


def test_not_applicable_without_a_generator() -> None:
    trial = TrialSpec(Schema("image", (1, 8, 8)), 10, {}, {"name": "ddpm"}, (), 0, 100)
    reason = GANLeaksPartial().not_applicable(trial, frozenset({"denoiser"}))
    assert reason == "gan_leaks_partial searches the latents of a generator or decoder, and ddpm has none"
    assert GANLeaksPartial().not_applicable(trial, frozenset({"decoder", "encoder"})) is None


def test_the_cap_is_an_option() -> None:
    assert GANLeaksPartial().cap == 200
    assert GANLeaksPartial(candidates=None).cap is None


def test_the_preset_is_the_published_search() -> None:
    assert GANLeaksPartial(**GANLeaksPartial.presets["paper"]).label() == "gan_leaks_partial(preset=paper)"
