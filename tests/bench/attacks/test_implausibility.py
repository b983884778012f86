"""Implausibility against a loop over records and shadows, and on models that do leak and that do not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sample_cases import MEMBERS, NULL, REFERENCE, SAMPLES, SCHEMA, SHADOWS, overfitted, untrained

from bench.attacks.base import Knowledge, TrialSpec
from bench.attacks.implausibility import Implausibility, log_distances, p_values, pseudo_targets, spread
from bench.contracts import check_attack
from bench.contracts.planted import Planted
from bench.devices import Device
from bench.errors import InputError, PluginError
from bench.records import Records, Schema
from bench.release import Model, View
from bench.rng import RecordRng, generator

TABLE = Schema("table", (3,))
Values = NDArray[np.float64]


def normal(*shape: int, seed: int = 0) -> Values:
    return generator(seed, "implausibility tests").normal(size=shape)


def trial(members: int, reference: int) -> TrialSpec:
    sizes = {"members": members, "nonmembers": 2 * members, "reference": reference}
    return TrialSpec(TABLE, members, sizes, {"name": "tvae"}, (), 0, 50)


def test_distances_are_those_of_a_loop() -> None:
    x, samples = normal(8, 3).astype(np.float32), normal(20, 3, seed=1).astype(np.float32)
    samples[4] = x[2]
    for k in (1, 3):
        wanted = [np.log(max(sorted(np.linalg.norm(samples.astype(float) - row, axis=1))[k - 1], 0.01)) for row in x]
        np.testing.assert_allclose(log_distances(x, samples, Device(), k, 0.01), wanted, rtol=1e-9)
    assert log_distances(x, samples, Device(), 1, 0.01)[2] == np.log(0.01)


def test_spread_is_the_root_mean_squared_distance_from_the_mean() -> None:
    x = normal(30, 3).astype(np.float32)
    records = Records(np.arange(30, dtype=np.int64), x, None, TABLE)
    wanted = np.sqrt(np.mean([np.linalg.norm(row - x.mean(axis=0, dtype=float)) ** 2 for row in x]))
    assert spread(records) == pytest.approx(wanted)
    with pytest.raises(InputError, match="expected reference records that differ from each other, got 1 equal ones"):
        spread(records.take(np.array([0])))


def test_each_shadow_is_compared_with_the_others_that_left_the_record_out() -> None:
    far = normal(4, 30)
    trained = generator(0, "trained").random((4, 30)) < 0.5
    trained[:, 0] = True  # nothing to compare it with
    trained[:, 1] = [False, True, True, True]  # to compare with the first alone
    found = pseudo_targets(far, trained)
    for j in range(4):
        members, nonmembers = [], []
        for i in range(30):
            others = [far[m, i] for m in range(4) if m != j and not trained[m, i]]
            if others:
                (members if trained[j, i] else nonmembers).append(far[j, i] - np.mean(others))
        assert members
        assert nonmembers
        np.testing.assert_allclose(found[j][0], members, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(found[j][1], nonmembers, rtol=1e-9, atol=1e-12)


def test_p_values_are_those_of_a_loop() -> None:
    nonmembers = np.array([0.0, 1.0, 1.0, 2.0])
    found = p_values(np.array([-1.0, 0.0, 1.0, 1.5, 9.0]), nonmembers)
    np.testing.assert_allclose(found, [5 / 5, 5 / 5, 4 / 5, 2 / 5, 1 / 5])


def test_p_values_of_non_members_are_uniform() -> None:
    found = p_values(normal(4000), normal(4000, seed=1))
    for share in (0.1, 0.5, 0.9):
        assert (found <= share).mean() == pytest.approx(share, abs=0.04)


def test_scores_are_in_the_order_of_u() -> None:
    planted, attack = Planted("table"), Implausibility(shadows=3)
    knowledge = planted.knowledge(attack)
    noisy = planted.roles["members"].x + 0.3 * normal(planted.members, 12).astype(np.float32)
    view = View("samples", planted.schema, Device(), lambda: noisy)
    scored = attack.score(planted.candidates, view, knowledge, RecordRng(0))
    x = planted.candidates.floats()

    def log_nearest(samples: NDArray[Any]) -> Values:
        return np.log([np.linalg.norm(samples.astype(float) - row, axis=1).min() for row in x])

    u = log_nearest(noisy) - np.mean([log_nearest(m.samples) for m in knowledge.models.values()], axis=0)
    assert np.array_equal(np.argsort(-scored.scores), np.argsort(u))
    assert scored.scores.min() >= 0
    assert scored.scores.max() <= 1


@pytest.mark.parametrize("kind", ["image", "table"])
@pytest.mark.parametrize("options", [{}, {"shadows": 2}, {"shadows": 0}, {"defended": False, "shadows": 3}], ids=str)
def test_contract(options: dict[str, Any], kind: Any) -> None:
    report = check_attack(Implausibility(**options), planted=Planted(kind))
    assert {rule: reason for rule, reason in report.items() if reason} == {}


def test_what_it_needs() -> None:
    requests = Implausibility(shadows=4).needs(trial(20, 60))
    assert [request.name for request in requests] == ["offline-0", "offline-1", "offline-2", "offline-3"]
    assert {(r.source, r.size, r.samples) for r in requests} == {("reference", 20, True)}
    assert Implausibility().knowledge == "shadow"


def test_without_shadows_the_reference_is_all_it_knows() -> None:
    attack = Implausibility(shadows=0)
    assert attack.needs(trial(20, 60)) == ()
    assert attack.knowledge == "reference"
    assert attack.not_applicable(trial(20, 20), frozenset()) is None
    planted = Planted()
    found = attack.score(planted.candidates, planted.view("samples"), planted.knowledge(attack), RecordRng(0))
    assert found.diagnostics == {"calibrated": 0.0}


def test_a_reference_that_shadows_would_use_up() -> None:
    assert "implausibility trains shadows on 20 reference records" in str(
        Implausibility().not_applicable(trial(20, 29), frozenset())
    )
    assert Implausibility().not_applicable(trial(20, 30), frozenset()) is None


def test_one_shadow_is_too_few() -> None:
    with pytest.raises(InputError, match="expected 0 shadows or at least 2, to compare one with the others; got 1"):
        Implausibility(shadows=1)


def test_shadows_that_did_not_come() -> None:
    planted, attack = Planted(), Implausibility(shadows=3)
    with pytest.raises(PluginError, match="expected reference records and 3 shadows, got 300 and 0"):
        attack.score(
            planted.candidates,
            planted.view("samples"),
            Knowledge(planted.roles["reference"], members=5, nonmembers=5),
            RecordRng(0),
        )


def test_shadows_that_were_all_trained_on_the_same_records() -> None:
    planted, attack = Planted(), Implausibility(shadows=2)
    reference = planted.roles["reference"]
    model = Model(planted.schema, Device(), lambda: planted.release("memorised"), lambda: reference.x, reference.ids)
    knowledge = Knowledge(reference, models={"a": model, "b": model}, members=100, nonmembers=100)
    with pytest.raises(
        InputError, match=r"expected at least 10 reference records .* got 0 and 0; ask for more shadows"
    ):
        attack.score(planted.candidates, planted.view("samples"), knowledge, RecordRng(0))


def test_public_sizes_must_be_there() -> None:
    planted, attack = Planted(), Implausibility(shadows=2)
    given = planted.knowledge(attack)
    with pytest.raises(PluginError, match="expected the public numbers of members and non-members, got 0 and 0"):
        attack.score(
            planted.candidates,
            planted.view("samples"),
            Knowledge(given.reference, models=given.models),
            RecordRng(0),
        )


def test_it_tells_members_and_how_surely() -> None:
    subject, attack = overfitted(), Implausibility(shadows=SHADOWS)
    assert subject.auc(attack) > 0.9
    figures = subject.score(attack).diagnostics
    assert figures["calibrated"] == 1
    assert figures["prior"] == pytest.approx(MEMBERS / len(subject.candidates))
    assert figures["brier"] < 0.7 * figures["brier_prior"]
    assert abs(untrained().auc(attack) - 0.5) < NULL
    nothing = untrained().score(attack).diagnostics
    assert nothing["brier"] == pytest.approx(nothing["brier_prior"], abs=0.03)


def test_a_p_value_alone_tells_members_too() -> None:
    attack = Implausibility(shadows=0)
    assert overfitted().auc(attack) > 0.9
    assert abs(untrained().auc(attack) - 0.5) < NULL


def test_the_case_is_what_it_is_taken_for() -> None:
    subject = overfitted()
    assert subject.view.samples.shape == (SAMPLES, *SCHEMA.shape)
    assert len(np.intersect1d(subject.reference.ids, subject.candidates.ids)) == 0
    parts = [model.trained_on for model in subject.shadows.values()]
    assert np.array_equal(np.sort(np.concatenate([p for p in parts if p is not None])), subject.reference.ids)
    assert len(subject.reference) == REFERENCE
