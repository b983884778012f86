"""Co-membership: against a loop of ordinary networks, on sets and single records, and the contract."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from latent_cases import GREY, fresh, view_of
from numpy.typing import NDArray
from torch import nn

import bench.attacks.co_membership as module
from bench.attacks.base import Knowledge, TrialSpec
from bench.attacks.co_membership import CoMembership
from bench.contracts import check_attack
from bench.contracts.planted import Planted, PlantedTarget
from bench.contracts.tiny import tiny_records
from bench.errors import InputError
from bench.metrics.roc import auc
from bench.records import Records
from bench.release import View
from bench.rng import RecordRng, generator, torch_generator
from targets.base import Draw, Networks, Target
from targets.nets.memory import Generator
from targets.vae import VAE

RNG = RecordRng(7, "attack", "co_membership")
PLAIN, CONDITIONAL = VAE(width=4, latent=4), VAE(width=4, latent=4, conditional=True)


def view(target: Target, networks: Networks) -> View:
    return view_of(target, networks, "latent")


def sets_of(records: Records, *sizes: int) -> list[Records]:
    ends = np.cumsum([0, *sizes])
    return [records.take(np.arange(start, end)) for start, end in pairwise(ends)]


def looped(target: Target, networks: Networks, attack: CoMembership, records: Records) -> tuple[float, list[float]]:
    """One set and one ordinary network at a time: the lowest loss, and the last of each restart."""
    o, x = attack.options, torch.from_numpy(records.floats())
    labels = torch.from_numpy(records.labels) if target.conditional and records.labels is not None else None
    lowest, last = np.inf, []
    for restart in range(o.restarts):
        network = nn.Sequential(nn.Flatten(), nn.Linear(64, o.width), nn.LeakyReLU(0.2), nn.Linear(o.width, 4))
        draws = RNG.shared("network", restart)
        with torch.no_grad():
            for layer in (network[1], network[3]):
                bound = layer.in_features**-0.5
                drawn = draws.uniform(-bound, bound, (layer.in_features + 1, layer.out_features)).astype(np.float32)
                layer.weight.copy_(torch.from_numpy(drawn[:-1].T))
                layer.bias.copy_(torch.from_numpy(drawn[-1]))
        optimizer = torch.optim.Adam(network.parameters(), lr=o.learning_rate)
        for _ in range(o.steps):
            decoded = target.decode(networks, network(x), labels)
            loss = (decoded - x).flatten(1).norm(dim=1).mean()
            lowest = min(lowest, loss.item())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        last.append(loss.item())
    return lowest, last


@pytest.mark.parametrize("target", [PLAIN, CONDITIONAL], ids=repr)
def test_single_scores_are_those_of_a_loop(target: Target) -> None:
    networks, candidates = fresh(target), tiny_records(GREY, 5)
    attack = CoMembership(steps=15, restarts=2, width=8)
    found = attack.score(candidates, view(target, networks), Knowledge(), RNG, chunk=8).scores
    wanted = [looped(target, networks, attack, candidates.take(np.array([i])))[0] for i in range(5)]
    np.testing.assert_allclose(-found, wanted, rtol=1e-4)


@pytest.mark.parametrize("target", [PLAIN, CONDITIONAL], ids=repr)
def test_a_sets_score_is_that_of_one_shared_network(target: Target) -> None:
    networks, sets = fresh(target), sets_of(tiny_records(GREY, 20), 3, 7, 3, 7)
    attack = CoMembership(steps=15, restarts=2, width=8)
    found = attack.score_sets(sets, view(target, networks), Knowledge(), RNG)
    assert found.shape == (4,)
    wanted = [looped(target, networks, attack, records)[0] for records in sets]
    np.testing.assert_allclose(-found, wanted, rtol=1e-4)


def test_a_set_of_one_scores_as_the_record_alone() -> None:
    networks, candidates = fresh(PLAIN), tiny_records(GREY, 5)
    attack = CoMembership(steps=10, restarts=1, width=8)
    single = attack.score(candidates, view(PLAIN, networks), Knowledge(), RNG).scores
    together = attack.score_sets(sets_of(candidates, 1, 1, 1, 1, 1), view(PLAIN, networks), Knowledge(), RNG)
    np.testing.assert_allclose(together, single, rtol=1e-6)


def test_the_order_within_a_set_and_of_the_sets_changes_nothing() -> None:
    networks, records = fresh(PLAIN), tiny_records(GREY, 9)
    attack = CoMembership(steps=10, restarts=1, width=8)
    sets = sets_of(records, 4, 3, 2)
    turned = [one.take(np.arange(len(one))[::-1].copy()) for one in sets[::-1]]
    found = attack.score_sets(sets, view(PLAIN, networks), Knowledge(), RNG)
    again = attack.score_sets(turned, view(PLAIN, networks), Knowledge(), RNG)
    np.testing.assert_array_equal(again[::-1], found)


def test_the_last_loss_of_an_optimiser_is_not_stored_in_place_of_the_best() -> None:
    """Under a step size that makes it jump about."""
    networks, candidates = fresh(PLAIN), tiny_records(GREY, 5)
    attack = CoMembership(steps=12, restarts=2, width=8, learning_rate=0.5)
    found = attack.score(candidates, view(PLAIN, networks), Knowledge(), RNG).scores
    lasts = [min(looped(PLAIN, networks, attack, candidates.take(np.array([i])))[1]) for i in range(5)]
    assert (-found <= np.array(lasts) + 1e-4).all()
    assert (-found < np.array(lasts) - 0.01).any()


def test_more_restarts_or_steps_find_no_higher_loss() -> None:
    networks, candidates = fresh(PLAIN), tiny_records(GREY, 6)

    def scores(**options: Any) -> NDArray[np.float64]:
        attack = CoMembership(width=8, **options)
        return attack.score(candidates, view(PLAIN, networks), Knowledge(), RNG).scores

    base = scores(steps=10, restarts=1)
    for better in (scores(steps=10, restarts=3), scores(steps=30, restarts=1)):
        assert (better >= base).all()
        assert (better > base).any()


def test_how_many_are_trained_at_once_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    networks, records = fresh(PLAIN), tiny_records(GREY, 30)
    attack = CoMembership(steps=10, restarts=1, width=8)
    sets = sets_of(records, *[2] * 15)
    whole = attack.score_sets(sets, view(PLAIN, networks), Knowledge(), RNG)
    monkeypatch.setattr(module, "WEIGHTS", 3 * 8 * (64 + 4))  # three sets at a time
    np.testing.assert_allclose(attack.score_sets(sets, view(PLAIN, networks), Knowledge(), RNG), whole, rtol=1e-5)


def test_sets_larger_than_a_pass_are_judged() -> None:
    networks, records = fresh(PLAIN), tiny_records(GREY, 150)
    attack = CoMembership(steps=3, restarts=1, width=8)
    found = attack.score_sets([records, records.take(np.arange(70))], view(PLAIN, networks), Knowledge(), RNG)
    assert np.isfinite(found).all()


def test_an_empty_set_is_refused() -> None:
    records = tiny_records(GREY, 3)
    with pytest.raises(InputError, match="expected at least one record in every set of candidates, got an empty set"):
        CoMembership().score_sets(sets_of(records, 3, 0), view(PLAIN, fresh(PLAIN)), Knowledge(), RNG)


class Shepard(Generator):
    """Blends by inverse distance to the anchors: exact there, and with slopes that lead there from afar.

    (Shepard, A two-dimensional interpolation function for irregularly-spaced data, ACM 1968.)
    """

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        far = torch.cdist(z, self.get_buffer("anchors"), compute_mode="donot_use_mm_for_euclid_dist")
        blend = torch.softmax(-8 * (far.square() + 1e-3).log(), dim=1)
        records: torch.Tensor = torch.tensordot(blend, self.get_buffer("records"), dims=1)
        return records


class Wide(PlantedTarget):
    """Latents of so many dimensions that anchors are well apart."""

    name = "wide"

    def latent(self, n: int, draw: Draw) -> torch.Tensor:
        return draw.normal(n, 32)


class Searchable(Planted):
    """Planted trials whose generator can be searched by its slopes."""

    @property
    def target(self) -> Target:
        return Wide()

    def networks(self, records: Records) -> Networks:
        directions = torch.randn((len(records), 32), generator=torch_generator(0, "anchors"))
        anchors = directions / directions.norm(dim=1, keepdim=True) * 32**0.5
        kept = torch.from_numpy(records.floats())
        return {**super().networks(records), "generator": (Shepard(records=kept, anchors=anchors).eval(),)}


@pytest.fixture(scope="module")
def planted() -> Searchable:
    return Searchable("image", members=40, nonmembers=40, reference=120)


QUICK = CoMembership(steps=60, restarts=1)


def test_contract(planted: Searchable) -> None:
    report = check_attack(QUICK, planted=planted)
    assert {rule: reason for rule, reason in report.items() if reason} == {}


def test_a_table_is_judged_too() -> None:
    """Short rows are near to blends of others, in whose minima a training ends: members are found, but not all."""
    rows = Searchable("table", members=40, nonmembers=40, reference=120)
    report = check_attack(QUICK, planted=rows, leave_out={"finds_planted_members"})
    assert {rule for rule, reason in report.items() if reason} == {"finds_planted_members"}
    scores = QUICK.score(rows.candidates, rows.view("latent"), Knowledge(), RNG).scores
    assert auc(scores, rows.membership) > 0.75


def test_planted_sets_are_told_apart(planted: Searchable) -> None:
    rng, sets, truth = generator(0, "sets"), [], []
    for role in ("members", "nonmembers"):
        for _ in range(12):
            sets.append(planted.roles[role].take(rng.permutation(40)[:4]))
            truth.append(role == "members")
    scores = QUICK.score_sets(sets, planted.view("latent"), Knowledge(), RNG)
    assert auc(scores, np.array(truth)) > 0.9


def test_not_applicable_without_a_generator() -> None:
    trial = TrialSpec(GREY, 10, {}, {"name": "ddpm"}, (), 0, 100)
    reason = CoMembership().not_applicable(trial, frozenset({"denoiser"}))
    assert reason == "co_membership searches the latents of a generator or decoder, and ddpm has none"


def test_the_cap_is_an_option() -> None:
    assert CoMembership().cap == 200
    assert CoMembership(candidates=None).cap is None
    assert CoMembership.scores_sets
