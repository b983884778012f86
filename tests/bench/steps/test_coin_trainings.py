"""Trainings on two outcomes of the same coins: all that is public about them is the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from opacus.optimizers import DPOptimizer

import defenses.dp_federated
import targets.loader
from bench.attacks.base import Attack
from bench.attacks.implausibility import Implausibility, _prior
from bench.candidates import candidates_of
from bench.data.sets.digits import Digits
from bench.data.split import Split, make_split
from bench.devices import Device
from bench.matrix import SplitOptions
from bench.records import Records
from bench.registry import get
from bench.steps import features
from bench.steps.attack import _knowledge
from bench.steps.data import _write
from bench.steps.task import Job, Task
from bench.steps.train import asked_records, request_of
from bench.store import Store
from targets.training import TrainingRequest, context_of, train

PUBLIC = 40 + 20  # half of the pool of 80, and 20 records that are always trained on
OUTCOMES = (25, 40, 61)  # how many of the pool join


@pytest.fixture(scope="module")
def split() -> Split:
    asked: dict[str, Any] = {"members": 40, "nonmembers": 40, "always": 20, "reference": 100, "validation": 70}
    return make_split(Digits().load(Path()), SplitOptions(membership="coin", holdout=50, **asked), Path())


def outcome(split: Split, joined: int) -> Split:
    """The same audit records, of which others joined."""
    pool = split.candidates()[0].ids
    inside = np.isin(pool, np.random.Generator(np.random.PCG64(joined)).permutation(pool)[:joined])
    return replace(split, ids={**split.ids, "members": pool[inside], "nonmembers": pool[~inside]})


def job(split: Split, folder: Path, *stack: dict[str, Any]) -> Job:
    """A training of three steps on a stored split."""
    store, inputs = Store(folder), {"data": ("data", "d" * 64)}
    with store.write(*inputs["data"]) as place:
        _write(place, split)
    config = {
        "target": get("targets", "dcgan")(width=4, latent=4, batch_size=8, steps=3).spec(),
        "defenses": [get("defenses", str(s.pop("name")))(**s).spec() for s in map(dict, stack)],
        "records": {"source": "members"},
        "seed": 0,
        "precision": "float32",
        "snapshot_records": 0,
    }
    task = Task("train", "0" * 64, config, inputs, None, {}, "train", "train", 3)
    return Job(task, store, folder, Device("cpu"), lambda done, total: None)


def requests(split: Split, tmp_path: Path, *stack: dict[str, Any]) -> list[TrainingRequest]:
    return [request_of(job(outcome(split, n), tmp_path / str(n), *stack)) for n in OUTCOMES]


def test_the_training_set_is_the_members_and_those_that_are_always_in(split: Split, tmp_path: Path) -> None:
    for n, request in zip(OUTCOMES, requests(split, tmp_path), strict=True):
        ids = np.concatenate([outcome(split, n).ids["members"], split.ids["always"]])
        np.testing.assert_array_equal(request.records.ids, np.sort(ids))
        assert len(request.records) == n + 20
        assert request.expected_records == PUBLIC


def test_more_data_adds_to_the_public_number(split: Split, tmp_path: Path) -> None:
    made = requests(split, tmp_path, {"name": "more_data", "factor": 2})
    assert [request.expected_records for request in made] == [2 * PUBLIC] * 3
    assert [len(request.records) for request in made] == [n + 20 + PUBLIC for n in OUTCOMES]
    assert len({request.validation.fingerprint() for request in made}) == 1


@pytest.mark.parametrize(
    "defense",
    [
        {"name": "clip_only"},
        {"name": "dp_sgd", "noise_multiplier": 0.8, "delta": 1e-3},
        {"name": "dp_sgd", "epsilon": 2.0, "delta": 1e-3},
    ],
    ids=str,
)
def test_private_steps_follow_the_public_number(
    split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, defense: dict[str, Any]
) -> None:
    rates, made = [], []
    poisson_rows, prepare = targets.loader.poisson_rows, DPOptimizer.__init__

    def rows(n: int, rate: float, seed: int) -> Any:
        rates.append((n, rate))
        return poisson_rows(n, rate, seed)

    def noted(self: Any, *args: Any, **given: Any) -> None:
        made.append((given["noise_multiplier"], given["max_grad_norm"], given["expected_batch_size"]))
        prepare(self, *args, **given)

    monkeypatch.setattr(targets.loader, "poisson_rows", rows)
    monkeypatch.setattr(DPOptimizer, "__init__", noted)
    results = [train(request) for request in requests(split, tmp_path, defense)]
    assert rates == [(n + 20, 8 / PUBLIC) for n in OUTCOMES]
    assert made == [made[0]] * 3
    assert made[0][1:] == (1.0, 8)
    assert results[0].claim == results[1].claim == results[2].claim
    if defense["name"] == "dp_sgd":
        assert results[0].claim is not None
        assert (results[0].claim.sample_rate, results[0].claim.steps) == (8 / PUBLIC, 3)


def test_a_vote_follows_the_public_number_and_a_record_stays_with_its_teacher(split: Split, tmp_path: Path) -> None:
    pate = {"name": "pate_gan", "teachers": 4, "noise_scale": 3.0, "delta": 1e-3}
    results = [(request.records.ids, train(request)) for request in requests(split, tmp_path, pate)]
    assert results[0][1].claim is not None
    assert len({result.claim for _, result in results}) == 1
    teachers: dict[int, set[int]] = {}
    for ids, result in results:
        assert result.parts is not None
        for record, part in zip(ids.tolist(), result.parts.tolist(), strict=True):
            teachers.setdefault(record, set()).add(part)
    assert all(len(found) == 1 for found in teachers.values())


def test_a_federation_follows_its_clients(split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rounds: list[tuple[Any, ...]] = []
    add = defenses.dp_federated.add_noisy_mean

    def noted(networks: Any, clients: Any, *rest: Any) -> None:
        rounds.append(rest[:-1])
        add(networks, clients, *rest)

    monkeypatch.setattr(defenses.dp_federated, "add_noisy_mean", noted)
    asked = {"name": "dp_federated", "clients": 5, "sample_rate": 0.5, "noise_multiplier": 1.0, "local_steps": 1}
    results = [train(request) for request in requests(split, tmp_path, asked)]
    assert len({result.claim for result in results}) == 1
    assert results[0].claim is not None
    assert results[0].claim.unit == "client"
    assert rounds == [(1.0, 1.0, 0.5 * 5)] * 9  # the bound, the noise, the divisor: three rounds each


class Level(Attack):
    """Needs whatever its knowledge level grants."""

    name = "level"
    access = "samples"


@pytest.mark.parametrize("knowledge", ["nothing", "reference", "shadow", "shadow + candidates"])
def test_no_level_of_a_certified_attack_sees_a_coin(split: Split, tmp_path: Path, knowledge: Any) -> None:
    """What is granted is the same on every outcome, and so are the candidates."""
    attack = Level()
    attack.knowledge = knowledge  # type: ignore[misc]
    seen = []
    for n in OUTCOMES:
        given = outcome(split, n)
        candidates = candidates_of(given, attack)
        found = _knowledge(job(given, tmp_path / str(n)), attack, given, candidates)
        assert found.membership is None
        assert found.known is None
        reference = None if found.reference is None else found.reference.fingerprint()
        seen.append((found.members, found.nonmembers, reference, candidates.records.fingerprint(), len(found.models)))
    assert seen == [seen[0]] * 3
    assert seen[0][:2] == (40, 40)


def test_models_of_an_attack_train_on_the_same_records_whoever_joined(split: Split) -> None:
    asked = {"size": 30, "seed": 3, "part": 1, "known": [0.0, 0.0], "against": None}
    for source in ("candidates", "reference"):
        found = [asked_records({**asked, "source": source}, outcome(split, n), None) for n in OUTCOMES]
        assert len({records.fingerprint() for records in found}) == 1


def test_the_prior_of_a_candidate_is_the_coins(split: Split, tmp_path: Path) -> None:
    attack = Implausibility()
    given = outcome(split, 61)
    assert _prior(_knowledge(job(given, tmp_path), attack, given, candidates_of(given, attack))) == 0.5


def test_what_a_defense_may_read_of_the_members_is_what_it_trains_on(split: Split, tmp_path: Path) -> None:
    (request, *_) = requests(split, tmp_path)
    members = context_of(request).members
    assert isinstance(members, Records)
    assert members.fingerprint() == request.records.fingerprint()


def test_samples_of_an_audit_on_blank_canaries_are_compared_with_real_records(split: Split, tmp_path: Path) -> None:
    """A canary among the members would say how far samples are from canaries, and not how near to what was learnt."""
    given = replace(split, canaries="blank")
    made = job(given, tmp_path)
    task = replace(made.task, kind="features", config={"extractor": "efficientnet_lite0-64"})
    (tmp_path / "out").mkdir()
    features.compute(replace(made, task=task, folder=tmp_path / "out"))
    with np.load(tmp_path / "out" / "features.npz") as arrays:
        assert {role: len(arrays[role]) for role in arrays.files} == {"members": 20, "reference": 100, "holdout": 50}
