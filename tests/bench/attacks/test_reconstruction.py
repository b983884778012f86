"""The reconstruction attack: against a loop over records and encodings, a closed form, and models that do leak."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from latent_cases import GREY, fresh
from numpy.typing import NDArray
from torch import nn

import bench.attacks.reconstruction as module
from bench.attacks.base import Knowledge, TrialSpec
from bench.attacks.reconstruction import Reconstruction
from bench.contracts import check_attack
from bench.contracts.planted import Planted
from bench.contracts.tiny import tiny_records
from bench.devices import Device
from bench.errors import IncompatibleError
from bench.metrics.roc import auc
from bench.records import Records, Schema
from bench.release import Release, View
from bench.rng import RecordRng, generator, torch_generator
from targets.base import Networks, Target
from targets.dcgan_vae import DCGANVAE
from targets.training import TrainingRequest, train
from targets.vae import VAE

RNG = RecordRng(7, "attack", "reconstruction")


def judge(target: Target, networks: Networks, candidates: Records, **options: Any) -> NDArray[np.float64]:
    view = View("white_box", candidates.schema, Device(), None, lambda: Release(target, networks, GREY, Device()))
    return Reconstruction(**options).score(candidates, view, Knowledge(), RNG, chunk=len(candidates)).scores


def looped(target: Target, networks: Networks, candidates: Records, k: int) -> NDArray[np.float64]:
    """One record and one encoding at a time."""
    scores = []
    for i in range(len(candidates)):
        one = candidates.take(np.array([i]))
        x, labels = torch.from_numpy(one.floats()), None
        if target.conditional:
            assert one.labels is not None
            labels = torch.from_numpy(one.labels)
        noise = RNG.record(int(one.ids[0]), "encodings").standard_normal((k, 4), dtype=np.float32)
        errors = []
        with torch.no_grad():
            for eps in noise:
                mean, deviation = target.posterior(networks, x, labels)
                decoded = target.decode(networks, mean + deviation * torch.from_numpy(eps), labels)
                errors.append(float(((decoded - x) ** 2).double().mean()))
        scores.append(-np.mean(errors))
    return np.array(scores)


@pytest.mark.parametrize(
    "target",
    [
        VAE(width=4, latent=4),
        VAE(width=4, latent=4, conditional=True),
        DCGANVAE(width=4, latent=4, feature_level=1),
        DCGANVAE(width=4, latent=4, feature_level=1, conditional=True),
    ],
    ids=repr,
)
def test_scores_are_those_of_a_loop(target: Target) -> None:
    candidates, networks = tiny_records(GREY, 9), fresh(target)
    wanted = looped(target, networks, candidates, 13)
    assert wanted.std() > 0.01
    np.testing.assert_allclose(judge(target, networks, candidates, encodings=13), wanted, rtol=1e-5)


def test_rows_per_pass_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    target, candidates = VAE(width=4, latent=4), tiny_records(GREY, 9)
    networks = fresh(target)
    whole = judge(target, networks, candidates, encodings=13)
    monkeypatch.setattr(module, "ROWS", 20)  # two encodings of the nine records at a time, and one at last
    np.testing.assert_allclose(judge(target, networks, candidates, encodings=13), whole, rtol=1e-5)


class Linear(VAE):
    """Decodes by a matrix, so that the mean error over encodings has a closed form."""

    name = "linear"

    def decode(self, networks: Networks, z: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
        return (z @ networks["decoder"][0].weight.T).reshape(-1, 1, 8, 8)


def test_many_encodings_come_near_the_expected_error() -> None:
    """E |x - A(m + s e)|^2 = |x - Am|^2 + sum over latents of s_j^2 |A_j|^2."""
    target, candidates = Linear(width=4, latent=4), tiny_records(GREY, 4)
    matrix = nn.Linear(4, 64, bias=False)
    nn.init.normal_(matrix.weight, generator=torch_generator(0, "matrix"))
    networks = {"encoder": fresh(target)["encoder"], "decoder": (matrix,)}
    with torch.no_grad():
        mean, deviation = target.posterior(networks, torch.from_numpy(candidates.floats()))
        still = (torch.from_numpy(candidates.floats()).flatten(1) - mean @ matrix.weight.T).square().sum(dim=1)
        expected = (still + (deviation.square() * matrix.weight.square().sum(dim=0)).sum(dim=1)) / 64
    found = judge(target, networks, candidates, encodings=10_000)
    np.testing.assert_allclose(-found, expected.numpy(), rtol=0.03)


def test_contract() -> None:
    report = check_attack(Reconstruction(encodings=5), planted=Planted())
    assert {rule: reason for rule, reason in report.items() if reason} == {}


def test_a_table_is_judged_too() -> None:
    report = check_attack(Reconstruction(encodings=3), planted=Planted("table"))
    assert {rule: reason for rule, reason in report.items() if reason} == {}


def test_not_applicable_without_an_encoder() -> None:
    trial = TrialSpec(GREY, 10, {}, {"name": "dcgan"}, (), 0, 100)
    reason = Reconstruction().not_applicable(trial, frozenset({"generator", "discriminator"}))
    assert reason == "reconstruction needs the target's encoder, and dcgan has none"


def test_a_conditional_target_needs_the_candidates_labels() -> None:
    target = VAE(width=4, latent=4, conditional=True)
    records = tiny_records(GREY, 3)
    unlabelled = Records(records.ids, records.x, None, Schema("image", (1, 8, 8)))
    with pytest.raises(IncompatibleError, match="expected a label for every record, got none"):
        judge(target, fresh(target), unlabelled, encodings=2)


def test_an_overfitted_model_gives_its_members_away_and_an_untrained_one_does_not() -> None:
    target = VAE(width=8, latent=8, steps=300, batch_size=20, learning_rate=3e-3, beta=0.5)
    schema = Schema("image", (1, 8, 8))
    x = generator(0, "noise images").integers(0, 256, (80, *schema.shape), dtype=np.uint8)
    everyone = Records(np.arange(80, dtype=np.int64), x, None, schema)
    membership = np.arange(80) % 4 == 0
    members, others = everyone.take(np.flatnonzero(membership)), everyone.take(np.flatnonzero(~membership))
    found = {}
    for subject in (target, target.untrained()):
        assert subject is not None
        trained = train(TrainingRequest(subject, (), members, len(members), others, 0, Device()))
        assert trained.status == "completed"
        found[subject.options.steps] = auc(judge(subject, trained.networks, everyone, encodings=10), membership)
    assert found[300] > 0.95
    assert abs(found[0] - 0.5) < 0.3  # four standard deviations of 20 against 60
