"""What latent searches share: the loss against a loop, starts by label, and power where a model is overfitted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from latent_cases import GREY, fresh, view_of
from numpy.typing import NDArray

from bench.attacks._latent_search import LatentLoss, SearchOptions, blocks, nearest_draws
from bench.attacks._perceptual import distance, features
from bench.attacks.base import Attack, Knowledge
from bench.attacks.co_membership import CoMembership
from bench.attacks.gan_leaks_partial import GANLeaksPartial
from bench.attacks.gan_leaks_white_box import GANLeaksWhiteBox
from bench.contracts.tiny import tiny_records
from bench.devices import Device
from bench.metrics.roc import auc
from bench.records import Records, Schema
from bench.release import Access, Release, View
from bench.rng import RecordRng, generator
from targets.base import Draw, Networks, Target
from targets.dcgan import DCGAN
from targets.training import TrainingRequest, train
from targets.vae import VAE

RNG = RecordRng(7, "attack", "latent search")


def view(target: Target, networks: Networks, access: Access = "white_box") -> View:
    return view_of(target, networks, access)


def test_blocks_cover_every_place_once_in_passes_of_a_multiple_of_16_rows() -> None:
    for n in (0, 1, 16, 63, 64, 65, 130):
        found = list(blocks(n))
        assert np.concatenate([rows for rows, _ in found] or [np.zeros(0)]).tolist() == list(range(n))
        for rows, padded in found:
            assert len(padded) % 16 == 0
            assert padded[: len(rows)].tolist() == rows.tolist()
            assert len(padded) - len(rows) < 16
            assert (padded[len(rows) :] == n - 1).all()


@pytest.mark.parametrize("target", [VAE(width=4, latent=4), VAE(width=4, latent=4, conditional=True)], ids=repr)
@pytest.mark.parametrize("perceptual_weight", [0.0, 0.5])
def test_the_loss_is_that_of_a_loop_over_candidates(target: Target, perceptual_weight: float) -> None:
    networks, candidates = fresh(target), tiny_records(GREY, 9)
    options = SearchOptions(pixel_weight=2.0, perceptual_weight=perceptual_weight, prior_weight=0.03)
    loss = LatentLoss(view(target, networks), candidates.floats(), candidates.labels, (4,), options)
    z = generator(0, "z").normal(size=(70, 4))
    which = np.arange(70) * 5 % 9
    assert candidates.labels is not None
    wanted = []
    for point, i in zip(z, which, strict=True):
        x = torch.from_numpy(candidates.floats()[i : i + 1])
        label = torch.from_numpy(candidates.labels[i : i + 1]) if target.conditional else None
        with torch.no_grad():
            decoded = target.decode(networks, torch.from_numpy(point[None].astype(np.float32)), label)
        looks = float(distance(features(x), features(decoded)))
        squared = float(((x - decoded) ** 2).mean())
        wanted.append(2 * squared + perceptual_weight * looks + 0.03 * (float(point @ point) - 4) ** 2)
    found = loss.values(z, which)
    np.testing.assert_allclose(found, wanted, rtol=1e-5)
    with_slopes, slopes = loss.slopes(z, which)
    np.testing.assert_array_equal(with_slopes, found)
    moved = np.array([loss.values(z + step, which) for step in 1e-3 * np.concatenate([np.eye(4), -np.eye(4)])])
    near = np.isclose(slopes, (moved[:4] - moved[4:]).T / 2e-3, rtol=0.01, atol=1e-3 * np.abs(slopes).max())
    assert near.mean() > 0.97  # all but where a rectifier has its kink between the two points


def test_a_table_has_no_perceptual_term() -> None:
    schema = Schema("table", (4,))

    class Identity(VAE):
        name = "identity"

        def decode(self, networks: Networks, z: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
            return z

    given = View("latent", schema, Device(), None, lambda: Release(Identity(), {}, schema, Device()))
    x = generator(0, "rows").normal(size=(3, 4)).astype(np.float32)
    loss = LatentLoss(given, x, None, (4,), SearchOptions(prior_weight=0.0))
    z = generator(1, "rows").normal(size=(3, 4))
    np.testing.assert_allclose(loss.values(z, np.arange(3)), ((z - x) ** 2).mean(axis=1), rtol=1e-5)


def test_a_loss_does_not_depend_on_the_company_in_a_pass() -> None:
    target = DCGAN(width=8, latent=6)
    candidates = tiny_records(GREY, 40)
    loss = LatentLoss(view(target, fresh(target)), candidates.floats(), candidates.labels, (6,), SearchOptions())
    z = generator(0, "z").normal(size=(40, 6))
    whole, slopes = loss.slopes(z, np.arange(40))
    for chosen in ([17], [39, 2, 5], list(range(3, 37))):
        part, part_slopes = loss.slopes(z[chosen], np.array(chosen))
        np.testing.assert_allclose(part, whole[chosen], rtol=1e-6)
        np.testing.assert_allclose(part_slopes, slopes[chosen], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("conditional", [False, True])
def test_a_search_starts_at_the_nearest_draw_among_those_with_the_candidates_label(conditional: bool) -> None:
    target = VAE(width=4, latent=4, conditional=conditional)
    networks, candidates = fresh(target), tiny_records(GREY, 9)
    seen = view(target, networks, "latent")
    assert candidates.labels is not None
    starts = nearest_draws(candidates, seen, 50, RNG)
    assert starts.shape == (4,)
    assert starts.ids.tolist() == candidates.ids.tolist()
    z = seen.latent(50, Draw(Device(), RNG.seed, "latents"))
    for i, x in enumerate(candidates.floats()):
        label = torch.full((50,), int(candidates.labels[i])) if conditional else None
        with torch.no_grad():
            records = target.decode(networks, z, label)
        far = (records - torch.from_numpy(x)).square().flatten(1).sum(dim=1)
        np.testing.assert_array_equal(starts.z[i], z[far.argmin()].numpy())


def test_a_conditional_target_is_told_from_one_that_takes_no_labels() -> None:
    for conditional in (True, False):
        target = VAE(width=4, latent=4, conditional=conditional)
        assert view(target, fresh(target)).conditional is conditional


def test_padding_is_not_searched_again(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    decode = View.decode

    def counted(self: View, z: torch.Tensor, labels: NDArray[np.int64] | None = None) -> torch.Tensor:
        asked.append(len(z))
        return decode(self, z, labels)

    monkeypatch.setattr(View, "decode", counted)
    target = VAE(width=4, latent=4)
    attack = GANLeaksWhiteBox(starts=16, evaluations=1)
    attack.score(tiny_records(GREY, 5), view(target, fresh(target)), Knowledge(), RNG, chunk=512)
    # The draws, both starts of each candidate, and the one point of the search.
    assert asked == [16, 16, 16, 16]


# Power: one training, and its first state.

EVERYONE = Records(
    np.arange(80, dtype=np.int64),
    generator(0, "noise images").integers(0, 256, (80, 1, 8, 8), dtype=np.uint8),
    None,
    Schema("image", (1, 8, 8)),
)
MEMBERS = np.arange(80) % 4 == 0
ATTACKS: list[Attack] = [
    GANLeaksPartial(starts=256, evaluations=80),
    GANLeaksWhiteBox(starts=256, evaluations=60),
    CoMembership(steps=60, restarts=1),
]


@dataclass(frozen=True)
class Trained:
    target: Target
    networks: Networks

    def scores(self, attack: Attack, **chunk: Any) -> NDArray[np.float64]:
        seen = View(
            attack.access,
            EVERYONE.schema,
            Device(),
            None,
            lambda: Release(self.target, self.networks, EVERYONE.schema, Device()),
        )
        return attack.score(EVERYONE, seen, Knowledge(), RNG, **chunk).scores


def trained(target: Target) -> Trained:
    members, others = (EVERYONE.take(np.flatnonzero(chosen)) for chosen in (MEMBERS, ~MEMBERS))
    found = train(TrainingRequest(target, (), members, len(members), others, 0, Device()))
    assert found.status == "completed"
    return Trained(target, found.networks)


@pytest.fixture(scope="module")
def overfitted() -> Trained:
    return trained(VAE(width=8, latent=8, steps=300, batch_size=20, learning_rate=3e-3, beta=0.5))


@pytest.fixture(scope="module")
def untrained(overfitted: Trained) -> Trained:
    target = overfitted.target.untrained()
    assert target is not None
    return trained(target)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_members_of_an_overfitted_model_are_found_and_those_of_an_untrained_one_are_not(
    overfitted: Trained, untrained: Trained, attack: Attack
) -> None:
    found, nothing = auc(overfitted.scores(attack), MEMBERS), auc(untrained.scores(attack), MEMBERS)
    print(f"{attack.name}: AUC {found:.3f} overfitted, {nothing:.3f} untrained")
    assert found > 0.95
    assert abs(nothing - 0.5) < 0.3  # four standard deviations of 20 against 60


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_on_a_real_network_too_the_chunk_changes_nothing(overfitted: Trained, attack: Attack) -> None:
    np.testing.assert_allclose(overfitted.scores(attack, chunk=37), overfitted.scores(attack), rtol=1e-6)


def test_a_longer_search_finds_no_higher_loss(overfitted: Trained) -> None:
    short = overfitted.scores(GANLeaksWhiteBox(starts=64, evaluations=5))
    longer = overfitted.scores(GANLeaksWhiteBox(starts=64, evaluations=50))
    assert (longer >= short).all()
    assert (longer > short).mean() > 0.9
