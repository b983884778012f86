"""Federated averaging as a defense: who has which record, what the server sees, and what an attack on that finds."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fed_cases import small
from pydantic import ValidationError

from bench.attacks.base import Knowledge
from bench.attacks.update_observer import UpdateObserver
from bench.contracts import check_defense
from bench.contracts.tiny import GREY, MIXED, differing, shortened, tiny_records, tiny_request
from bench.devices import Device
from bench.errors import IncompatibleError, InputError
from bench.matrix import load_matrix
from bench.metrics.roc import auc
from bench.plan.build import build_plan
from bench.records import Records, Schema
from bench.release import Release, View
from bench.rng import RecordRng, generator
from defenses._partition import even_parts, skewed_parts
from defenses.base import Defense, stack_refuses
from defenses.clip_only import ClipOnly
from defenses.dp_sgd import DPSGD
from defenses.dropout import Dropout
from defenses.early_stopping import EarlyStopping
from defenses.federated import Federated
from defenses.label_smoothing import LabelSmoothing
from defenses.spectral_norm import SpectralNorm
from defenses.weight_norm import WeightNorm
from targets.base import Target, to_tensors
from targets.ctgan import CTGAN
from targets.dcgan import DCGAN
from targets.ddpm import DDPM
from targets.memorizer import Memorizer
from targets.training import TrainingRequest, train
from targets.vae import VAE
from targets.wgan_gp import WGANGP


@pytest.mark.parametrize(
    ("defense", "target", "schema"),
    [
        (Federated(), DCGAN(width=4, latent=4), GREY),
        (Federated(sampled=None, optimizer_state="fresh"), DCGAN(width=4, latent=4, norm="batch"), GREY),
        (Federated(skew=0.1, secure_aggregation=True), DCGAN(width=4, latent=4, conditional=True), GREY),
        (Federated(clients=2), VAE(width=4, latent=4), GREY),
        (Federated(clients=2), DDPM(width=8, sampling_steps=3), GREY),
        (Federated(clients=2), WGANGP(width=4, latent=4), GREY),
        (Federated(clients=3), CTGAN(width=8, latent=4), MIXED),
    ],
    ids=repr,
)
def test_contract(defense: Federated, target: Target, schema: Schema) -> None:
    report = check_defense(defense, target=target, schema=schema)
    assert {rule: reason for rule, reason in report.items() if reason} == {}


@pytest.mark.parametrize(
    "defenses",
    [(WeightNorm(), Dropout()), (SpectralNorm(),), (LabelSmoothing(),)],
    ids=repr,
)
def test_stacks_train_within_each_client(defenses: tuple[Defense, ...]) -> None:
    result = train(tiny_request(small(), [Federated(clients=3), *defenses]))
    assert result.status == "completed"
    assert differing(result.networks, train(tiny_request(small(), [Federated(clients=3)])).networks)


def test_parts_are_the_truth_of_who_had_which_record() -> None:
    request = tiny_request(small(), [Federated(clients=5)])
    parts = train(request).parts
    assert parts is not None
    np.testing.assert_array_equal(parts, even_parts(24, 5, request.seed))
    assert sorted(np.bincount(parts)) == [4, 5, 5, 5, 5]


def test_skew_divides_labels() -> None:
    schema = Schema("image", (1, 8, 8), 3)
    records = tiny_records(schema, 300)
    request = replace(tiny_request(small()), records=records)
    assert records.labels is not None
    shares = []
    for skew in (0.05, 1000.0):
        parts = Federated(clients=4, skew=skew).parts_of(request)
        np.testing.assert_array_equal(parts, skewed_parts(records.labels, 4, skew, request.seed))
        share = [np.bincount(records.labels[parts == p], minlength=3).max() / (parts == p).sum() for p in range(4)]
        shares.append(np.mean(share))
    assert shares[0] > 0.75
    assert shares[1] < 0.45


def test_clients_are_drawn_without_replacement_and_equally_often() -> None:
    drawn = list(islice(Federated(clients=5, sampled=2).cohorts(0), 2000))
    assert all(len(set(c)) == 2 and list(c) == sorted(c) for c in drawn)
    counts = Counter(client for c in drawn for client in c)
    assert all(abs(counts[client] - 800) < 5 * (2000 * 0.4 * 0.6) ** 0.5 for client in range(5))
    assert drawn[:50] != list(islice(Federated(clients=5, sampled=2).cohorts(1), 50))
    assert next(Federated(clients=3, sampled=None).cohorts(0)) == (0, 1, 2)


def test_the_server_sees_every_model_that_was_sent() -> None:
    """24 records, 4 clients, batches of 4: 2 steps a round; 7 steps are 4 rounds, of which 2 are kept."""
    request = tiny_request(small(7), [Federated(clients=4, sampled=3, kept_rounds=2)])
    result = train(request)
    assert len(result.updates) == 2
    cohorts = list(islice(Federated(clients=4, sampled=3).cohorts(request.seed), 4))
    assert [seen.cohort for seen in result.updates] == [cohorts[1], cohorts[3]]
    assert differing(result.updates[-1].aggregate, result.networks) == []
    for seen in result.updates:
        assert seen.clients is not None
        sent = [to_tensors(seen.clients[client]) for client in seen.cohort]
        for name, tensor in to_tensors(seen.aggregate).items():
            if tensor.dtype == torch.float32:  # six records each, so that the mean has no weights
                mean = np.mean([s[name].double().numpy() for s in sent], axis=0)
                np.testing.assert_array_equal(tensor.numpy(), mean.astype(np.float32))
        assert not any(m.training for networks in seen.clients.values() for n in networks.values() for m in n)
        assert not any(m.training for n in seen.aggregate.values() for m in n)


def test_rounds_last_as_many_passes_as_asked() -> None:
    """A client has six records on average: 12 in two passes, and so three batches of 4."""
    result = train(tiny_request(small(7), [Federated(clients=4, local_epochs=2, kept_rounds=99)]))
    assert len(result.updates) == 3


def test_as_many_updates_in_a_row_as_the_undefended_model() -> None:
    target = shortened(WGANGP(width=4, latent=4, critic_steps=3), 7)
    plain, result = train(tiny_request(target)), train(tiny_request(target, [Federated(clients=3)]))
    assert result.steps_done == plain.steps_done == 7
    assert {n: v.shape for n, v in result.history.items()} == {n: v.shape for n, v in plain.history.items()}
    assert result.history["loss/generator"].shape == (2,)


def test_secure_aggregation_shows_the_same_sums_alone() -> None:
    first, second = (
        train(tiny_request(small(), [Federated(clients=3, secure_aggregation=secure)])) for secure in (False, True)
    )
    assert all(seen.clients is not None for seen in first.updates)
    assert all(seen.clients is None for seen in second.updates)
    assert [s.cohort for s in first.updates] == [s.cohort for s in second.updates]
    for one, other in zip(first.updates, second.updates, strict=True):
        assert differing(one.aggregate, other.aggregate) == []
    assert "the clients' sum" in Federated(secure_aggregation=True).caveat
    assert "each client's model" in Federated().caveat


def test_a_training_that_diverges_says_so() -> None:
    result = train(tiny_request(small(5, learning_rate=1e30), [Federated(clients=3)]))
    assert result.status == "diverged"


def test_an_aggregation_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("def first(models, sizes, current, number):\n    return models[0]\n", encoding="utf-8")
    defense = Federated(clients=3, aggregate="./mine.py:first").at(tmp_path)
    assert defense.files == ("aggregate",)
    assert defense.path("aggregate") == tmp_path / "mine.py"
    result = train(tiny_request(small(2), [defense]))
    seen = result.updates[-1]
    assert seen.clients is not None
    sent = to_tensors(seen.clients[seen.cohort[0]])
    parameters = {name for name, p in result.networks["generator"][0].named_parameters()}
    for name in parameters:
        assert torch.equal(to_tensors(seen.aggregate)[f"generator.0.{name}"], sent[f"generator.0.{name}"])
    assert differing(result.networks, train(tiny_request(small(2), [Federated(clients=3)])).networks)


MATRIX = """
name: mine
dataset: {name: digits, members: 40, nonmembers: 80, reference: 120, validation: 40, holdout: 120}
targets: [{name: dcgan, width: 4, steps: 30}]
defenses: [federated, {name: federated, aggregate: "./mine.py:first"}]
attacks: [nearest_sample]
seeds: [0]
samples: 200
quality: {records: 100}
"""


def test_editing_the_aggregation_trains_anew(tmp_path: Path) -> None:
    (tmp_path / "matrix.yaml").write_text(MATRIX, "utf-8")
    keys = []
    for text in ("first = max\n", "first = min\n", "first = max\n"):
        (tmp_path / "mine.py").write_text(text, "utf-8")
        plan = build_plan(load_matrix(tmp_path / "matrix.yaml"))
        keys.append([trial.steps["train"].key for trial in plan.trials])
    assert keys[0] == keys[2]
    assert keys[0][0] == keys[1][0]  # without an aggregation of its own
    assert keys[0][1] != keys[1][1]


def test_without_an_aggregation_no_file_is_looked_for(tmp_path: Path) -> None:
    assert Federated().files == ()
    assert Federated().at(tmp_path).files == ()
    missing = Federated(aggregate="./no.py:f").at(tmp_path)
    assert missing.files == ("aggregate",)
    with pytest.raises(InputError, match="expected a file with an aggregation as 'aggregate', but there is no"):
        missing.path("aggregate")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"clients": 0}, "greater than or equal to 1"),
        ({"clients": 3, "sampled": 4}, "expected to sample at most 3 clients, got sampled=4"),
        ({"sampled": 0}, "greater than or equal to 1"),
        ({"skew": 0.0}, "greater than 0"),
        ({"local_epochs": 0}, "greater than or equal to 1"),
        ({"kept_rounds": 0}, "greater than or equal to 1"),
        ({"optimizer_state": "lost"}, "'kept' or 'fresh'"),
        ({"sampled": 1, "secure_aggregation": True}, "secure aggregation over at least 2 clients"),
        ({"clients": 1, "sampled": None, "secure_aggregation": True}, "secure aggregation over at least 2 clients"),
        ({"aggregate": "mine.py:f", "secure_aggregation": True}, "no aggregate of your own under secure aggregation"),
        ({"aggregate": "median"}, "should match pattern"),
        ({"aggregate": "mine.py:1f"}, "should match pattern"),
    ],
)
def test_options_that_fail(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        Federated(**options)


@pytest.mark.parametrize(
    ("stack", "target", "schema", "reason"),
    [
        (
            (Federated(),),
            Memorizer(),
            GREY,
            "no one holds all records, but memorizer takes something",
        ),
        ((Federated(skew=1.0),), small(), Schema("image", (1, 8, 8)), "with skew divides labels among clients"),
        ((Dropout(), Federated()), small(), GREY, r"it must come first in a stack: write \[federated, dropout\]"),
        ((Federated(), DPSGD(noise_multiplier=1.0)), small(), GREY, "federated replaces the training procedure"),
        ((Federated(), ClipOnly()), small(), GREY, "federated replaces the training procedure"),
        ((Federated(), EarlyStopping()), small(), GREY, "federated replaces the training procedure"),
        ((Federated(), Federated(clients=3)), small(), GREY, "at most one defense of a stack may replace"),
    ],
    ids=repr,
)
def test_refused(stack: tuple[Defense, ...], target: Target, schema: Schema, reason: str) -> None:
    with pytest.raises(IncompatibleError, match=reason):
        raise IncompatibleError(stack_refuses(stack, target, schema))


def test_too_few_records_and_labels_that_are_not_there() -> None:
    request = tiny_request(small(), [Federated(clients=25)])
    with pytest.raises(IncompatibleError, match="at least one record for each of 25 parts, got 24 records"):
        train(request)
    unlabelled = Records(request.records.ids, request.records.x, None, Schema("image", (1, 8, 8)))
    with pytest.raises(IncompatibleError, match="with skew divides labels among clients, and these records have none"):
        Federated(skew=1.0).parts_of(replace(request, records=unlabelled))


def test_the_parts_are_declared() -> None:
    assert Federated(clients=7).partitions == 7
    assert Federated().releases_updates
    assert Federated().adaptive == ("update_observer",)


@pytest.fixture(scope="module")
def overfitted() -> tuple[TrainingRequest, Any]:
    """Four clients with ten noise images each, learnt by heart."""
    target = DCGAN(
        width=16, latent=8, norm="none", steps=120, batch_size=10, discriminator_learning_rate=5e-3, learning_rate=2e-4
    )
    request = replace(
        tiny_request(target, [Federated(clients=4, sampled=None, local_epochs=60, kept_rounds=2)]),
        records=tiny_records(GREY, 40),
        expected_records=40,
    )
    return request, train(request)


def test_the_server_finds_members_and_the_client_that_has_them(overfitted: tuple[TrainingRequest, Any]) -> None:
    request, result = overfitted
    release = Release(request.target, result.networks, GREY, Device(), updates=result.updates)
    view = View("updates", GREY, Device(), release=lambda: release)
    x = np.concatenate([request.records.x, tiny_records(GREY, 40, seed=5).x])
    both = Records(np.arange(80, dtype=np.int64), x, np.zeros(80, np.int64), GREY)
    membership = np.arange(80) < 40
    attack = UpdateObserver()
    scores = attack.score(both, view, Knowledge(), RecordRng(0, "test")).scores
    assert auc(scores, membership) > 0.7  # chance: .5 with a standard deviation of .065
    named = attack.name_parts(both.take(np.flatnonzero(membership)), view)
    accuracy = float((named == result.parts).mean())
    assert accuracy > 0.6  # chance: a quarter, with a standard deviation of .07
    shuffled = generator(0, "test").permutation(result.parts)
    assert abs(float((named == shuffled).mean()) - 0.25) < 0.25
