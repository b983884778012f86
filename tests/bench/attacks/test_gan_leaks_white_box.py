"""GAN-Leaks with gradients: the contract, the start at the encoder's answer, and the best loss."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from latent_cases import MATRIX, ROW, Linear

from bench.attacks.base import Knowledge, TrialSpec
from bench.attacks.gan_leaks_partial import GANLeaksPartial
from bench.attacks.gan_leaks_white_box import GANLeaksWhiteBox
from bench.contracts import check_attack
from bench.contracts.planted import Planted
from bench.contracts.tiny import tiny_records
from bench.devices import Device
from bench.errors import AccessError
from bench.records import Records, Schema
from bench.release import Release, View
from bench.rng import RecordRng, generator, torch_generator
from targets.base import Networks
from targets.training import set_mode
from targets.vae import VAE

RNG = RecordRng(7, "attack", "gan_leaks_white_box")


def test_on_a_linear_generator_scores_are_the_residuals_of_least_squares() -> None:
    x = generator(1, "rows").normal(size=(9, 5)).astype(np.float32)
    release = Release(Linear(latent=3), {"decoder": ()}, ROW, Device())
    view = View("white_box", ROW, Device(), None, lambda: release)
    attack = GANLeaksWhiteBox(starts=20, prior_weight=0.0)
    found = attack.score(Records(np.arange(9), x, None, ROW), view, Knowledge(), RNG).scores
    best = np.linalg.lstsq(MATRIX.T.astype(np.float64), x.T.astype(np.float64))[0]
    np.testing.assert_allclose(-found, ((best.T @ MATRIX - x) ** 2).mean(axis=1), rtol=1e-4)


@pytest.mark.parametrize("conditional", [False, True])
def test_the_search_starts_at_the_encoders_answer_where_that_is_nearer(conditional: bool) -> None:
    schema, candidates = Schema("image", (1, 8, 8), 3), tiny_records(Schema("image", (1, 8, 8), 3), 9)
    target = VAE(width=4, latent=4, conditional=conditional)
    networks = target.build(schema, torch_generator(3, "weights"))
    set_mode(networks, train=False)

    class Answering(VAE):
        """Encodes each record as the latent of the first of many draws that comes nearest to it."""

        name = "answering"

        def posterior(
            self, networks: Networks, x: torch.Tensor, labels: torch.Tensor | None = None
        ) -> tuple[torch.Tensor, torch.Tensor]:
            draws = torch.randn((500, 4), generator=torch_generator(1, "draws"))
            far = []
            for i, row in enumerate(x):
                label = None if labels is None else labels[i : i + 1].expand(500)
                far.append((self.decode(networks, draws, label) - row).square().flatten(1).sum(dim=1))
            mean = draws[torch.stack(far).argmin(dim=1)]
            return mean, torch.ones_like(mean)

    found = {}
    for kind in (target, Answering(width=4, latent=4, conditional=conditional)):
        release = Release(kind, networks, schema, Device())
        view = View("white_box", schema, Device(), None, lambda release=release: release)
        attack = GANLeaksWhiteBox(starts=1, evaluations=1, perceptual_weight=0.0, prior_weight=0.0)
        found[kind.name] = attack.score(candidates, view, Knowledge(), RNG).scores
    assert (found["answering"] >= found["vae"]).all()
    assert (found["answering"] > found["vae"]).mean() > 0.5


def test_gradients_find_what_a_search_without_them_finds() -> None:
    x = generator(1, "rows").normal(size=(9, 5)).astype(np.float32)
    records = Records(np.arange(9), x, None, ROW)
    release = Release(Linear(latent=3), {"decoder": ()}, ROW, Device())
    scores = [
        attack.score(records, View(attack.access, ROW, Device(), None, lambda: release), Knowledge(), RNG).scores
        for attack in (
            GANLeaksWhiteBox(starts=50, prior_weight=0.1),
            GANLeaksPartial(starts=50, prior_weight=0.1, iterations=50),
        )
    ]
    np.testing.assert_allclose(scores[0], scores[1], rtol=1e-3)


def test_contract() -> None:
    report = check_attack(GANLeaksWhiteBox(evaluations=20), planted=Planted("image", 50, 50, 150))
    assert {rule: reason for rule, reason in report.items() if reason} == {}


def test_a_table_is_judged_too() -> None:
    report = check_attack(GANLeaksWhiteBox(evaluations=20), planted=Planted("table", 50, 50, 150))
    assert {rule: reason for rule, reason in report.items() if reason} == {}


def test_latents_alone_are_not_enough() -> None:
    planted = Planted()
    with pytest.raises(AccessError, match="declared access 'latent', but it asked for 'white_box'"):
        GANLeaksWhiteBox().score(planted.candidates, planted.view("latent"), Knowledge(), RNG)


def test_not_applicable_without_a_generator() -> None:
    trial = TrialSpec(Schema("image", (1, 8, 8)), 10, {}, {"name": "ddpm"}, (), 0, 100)
    reason = GANLeaksWhiteBox().not_applicable(trial, frozenset({"denoiser"}))
    assert reason == "gan_leaks_white_box searches the latents of a generator or decoder, and ddpm has none"
    assert GANLeaksWhiteBox().not_applicable(trial, frozenset({"generator", "discriminator"})) is None
    samples = GANLeaksWhiteBox().not_applicable(trial, frozenset())
    assert samples == "gan_leaks_white_box needs the target's networks, and ddpm has samples alone"


def test_the_cap_is_an_option() -> None:
    assert GANLeaksWhiteBox().cap == 200
    assert GANLeaksWhiteBox(candidates=30).cap == 30


def test_the_preset_is_the_published_search() -> None:
    assert GANLeaksWhiteBox(**GANLeaksWhiteBox.presets["paper"]).label() == "gan_leaks_white_box(preset=paper)"
