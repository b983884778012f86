"""The server of federated training: on planted rounds, whose clients have memorised what is theirs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.attacks.base import Knowledge
from bench.attacks.update_observer import UpdateObserver, from_aggregates, predicted_client
from bench.contracts import check_attack
from bench.contracts.planted import Leak, Planted
from bench.devices import Device
from bench.errors import AccessError, PluginError
from bench.metrics.roc import auc
from bench.records import Records
from bench.release import Release, View
from bench.rng import RecordRng, generator
from targets.base import Networks
from targets.rounds import Round

RNG = RecordRng(0, "attack", "update_observer")
PLANTED = Planted(members=60, nonmembers=60, reference=60)
CLIENTS = 3


def parts(records: Records) -> list[Records]:
    return [records.take(part) for part in np.array_split(np.arange(len(records)), CLIENTS)]


def memory(*records: Records) -> Networks:
    """A model that has memorised all of these."""
    ids = np.sort(np.concatenate([r.ids for r in records]))
    return PLANTED.networks(PLANTED.records.by_id(ids))


def open_rounds(records: Records, cohorts: Sequence[tuple[int, ...]]) -> tuple[Round, ...]:
    own = parts(records)
    return tuple(Round(c, memory(*(own[i] for i in c)), {i: memory(own[i]) for i in c}) for c in cohorts)


def secure_rounds(records: Records, cohorts: Sequence[tuple[int, ...]]) -> tuple[Round, ...]:
    return tuple(replace(r, clients=None) for r in open_rounds(records, cohorts))


def view(rounds: tuple[Round, ...]) -> View:
    release = Release(PLANTED.target, memory(PLANTED.roles["reference"]), PLANTED.schema, Device(), updates=rounds)
    return View("updates", PLANTED.schema, Device(), release=lambda: release)


def judge(rounds: tuple[Round, ...], **chunk: int) -> Any:
    return UpdateObserver().score(PLANTED.candidates, view(rounds), Knowledge(), RNG, **chunk)


def logit(networks: Networks) -> NDArray[np.float64]:
    """A margin minus each candidate's distance to the nearest that this model has memorised."""
    kept = networks["discriminator"][0].get_buffer("records").numpy().astype(np.float64)
    x = PLANTED.candidates.floats().astype(np.float64)
    return np.array([PLANTED.margin - min(np.sqrt(((row - k) ** 2).sum()) for k in kept) for row in x])


def test_scores_are_those_of_a_loop_over_rounds_and_clients() -> None:
    rounds = open_rounds(PLANTED.roles["members"], [(0, 1), (1, 2), (0, 1, 2)])
    wanted = []
    for seen in rounds:
        assert seen.clients is not None
        wanted.append(np.max([logit(networks) for networks in seen.clients.values()], axis=0))
    found = judge(rounds)
    np.testing.assert_allclose(found.scores, np.mean(wanted, axis=0), rtol=1e-4)
    assert found.diagnostics == {"rounds": 3.0, "clients": 3.0}


def test_several_discriminators_of_a_client_count_by_their_largest() -> None:
    own = parts(PLANTED.roles["members"])
    both = {"discriminator": (*memory(own[0])["discriminator"], *memory(own[1])["discriminator"])}
    found = judge((Round((0,), both, {0: both}),)).scores
    np.testing.assert_allclose(found, np.maximum(logit(memory(own[0])), logit(memory(own[1]))), rtol=1e-4)


def test_global_models_and_the_difference_that_one_client_makes() -> None:
    cohorts = [(0, 1), (1, 2), (0, 1)]
    rounds = secure_rounds(PLANTED.roles["members"], cohorts)
    levels = [logit(seen.aggregate) for seen in rounds]
    wanted = []
    for i in range(len(PLANTED.candidates)):
        differences = []
        for client in (0, 2):  # client 1 is in every round
            with_it = [level[i] for level, c in zip(levels, cohorts, strict=True) if client in c]
            without = [level[i] for level, c in zip(levels, cohorts, strict=True) if client not in c]
            differences.append(np.mean(with_it) - np.mean(without))
        wanted.append(np.mean([level[i] for level in levels]) + max(differences))
    np.testing.assert_allclose(judge(rounds).scores, wanted, rtol=1e-4)


def test_where_every_round_has_everyone_there_is_no_difference() -> None:
    rounds = secure_rounds(PLANTED.roles["members"], [(0, 1, 2)] * 2)
    np.testing.assert_allclose(judge(rounds).scores, logit(rounds[0].aggregate), rtol=1e-4)


@pytest.mark.parametrize("make", [open_rounds, secure_rounds])
def test_it_finds_members_and_nothing_where_nothing_is(make: Any) -> None:
    cohorts = [(0, 1), (1, 2), (0, 2)]
    assert auc(judge(make(PLANTED.roles["members"], cohorts)).scores, PLANTED.membership) > 0.99
    never = auc(judge(make(PLANTED.roles["reference"], cohorts)).scores, PLANTED.membership)
    assert abs(never - 0.5) < 0.22  # four standard deviations of 60 against 60


def test_the_client_that_has_a_record_is_told() -> None:
    members = PLANTED.roles["members"]
    rounds = open_rounds(members, [(0, 1), (1, 2), (0, 1, 2)])
    scores = np.full((3, CLIENTS, len(PLANTED.candidates)), np.nan)
    for place, seen in enumerate(rounds):
        assert seen.clients is not None
        for client, networks in seen.clients.items():
            scores[place, client] = logit(networks)
    found = predicted_client(scores)[PLANTED.membership]
    owner = np.concatenate([np.full(len(part), client) for client, part in enumerate(parts(members))])
    assert found.tolist() == owner.tolist()


def test_a_client_is_predicted_by_its_mean_over_the_rounds_it_took_part_in() -> None:
    scores = np.array([[[1.0], [2.5]], [[4.0], [np.nan]]])
    assert predicted_client(scores).tolist() == [1]  # -.75 and 0, from a round of its own, against .75
    scores[0, 0] = 2.5
    assert predicted_client(scores).tolist() == [0]  # of equals the first


def test_a_difference_is_between_means() -> None:
    logits = generator(0, "test").normal(size=(4, 5))
    cohorts = np.array([[1, 0, 1], [1, 1, 1], [1, 0, 1], [1, 0, 1]], dtype=np.bool_)
    wanted = logits.mean(axis=0) + logits[1] - logits[[0, 2, 3]].mean(axis=0)
    np.testing.assert_allclose(from_aggregates(logits, cohorts), wanted)


@dataclass(frozen=True)
class Secure(Planted):
    """The planted rounds behind secure aggregation."""

    def updates(self, records: Records) -> tuple[Round, ...]:
        return tuple(replace(seen, clients=None) for seen in super().updates(records))


@pytest.mark.parametrize("planted", [Planted(), Secure(), Planted("table")], ids=["open", "secure", "table"])
def test_contract(planted: Planted) -> None:
    report = check_attack(UpdateObserver(), planted=planted)
    assert {rule: reason for rule, reason in report.items() if reason} == {}


def test_rounds_that_show_some_clients_models_are_an_error() -> None:
    members = PLANTED.roles["members"]
    mixed = (*open_rounds(members, [(0, 1)]), *secure_rounds(members, [(1, 2)]))
    with pytest.raises(PluginError, match="all hold the clients' models or none, got 2 rounds, 1 of them with models"):
        judge(mixed)
    with pytest.raises(PluginError, match="got 0 rounds"):
        judge(())


def test_not_applicable_without_updates() -> None:
    trial = PLANTED.trial()
    roles = frozenset({"generator", "discriminator"})
    assert UpdateObserver().not_applicable(trial, roles) == (
        "update_observer observes federated updates, and no defense of this stack releases any"
    )
    assert UpdateObserver().not_applicable(replace(trial, updates=True), roles) is None


def test_a_round_holds_the_models_of_its_cohort() -> None:
    networks = memory(PLANTED.roles["reference"])
    with pytest.raises(PluginError, match=r"expected models of the clients of a cohort, \[0, 1\], got \[0\]"):
        Round((0, 1), networks, {0: networks})
    with pytest.raises(PluginError, match="leave out rounds in which nobody took part"):
        Round((), networks, {})
    with pytest.raises(PluginError, match="at least 2 clients"):
        Round((0,), networks)
    with pytest.raises(PluginError, match="at least 2 clients"):
        Round((0, 0), networks)
    assert Round((0,), networks, {0: networks}).clients is not None


@pytest.mark.parametrize("access", ["samples", "latent", "decision", "white_box"])
def test_updates_are_seen_with_their_access_alone(access: Any) -> None:
    leak: Leak = "memorised"
    seen = PLANTED.view(access, leak)
    with pytest.raises(AccessError, match="updates"):
        _ = seen.updates
    with pytest.raises(AccessError, match="updates"):
        seen.opened({})
    with pytest.raises(AccessError, match="white_box"):
        _ = PLANTED.view("updates", leak).networks


def test_a_client_is_told_from_those_of_its_own_rounds() -> None:
    """Later rounds are surer of every record; who happened to be in them is not therefore its owner."""
    rng = generator(0, "levels")
    cohorts = [(0, 1), (1, 2), (0, 2), (0, 1), (1, 2), (0, 2)]
    owner = rng.integers(0, 3, 300)
    scores = np.full((6, 3, 300), np.nan)
    for place, cohort in enumerate(cohorts):
        for client in cohort:
            scores[place, client] = 5.0 * place + (owner == client) + 0.5 * rng.normal(size=300)
    assert (predicted_client(scores) == owner).mean() > 0.9
    naive = np.nanmean(scores, axis=0).argmax(axis=0)
    assert (naive == owner).mean() < 0.5
