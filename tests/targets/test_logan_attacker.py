"""The attacker's GAN: which of its records are fakes to its discriminator, and how much each class counts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from training_cases import run, same, weights

from bench.contracts import check_target
from bench.contracts.tiny import GREY, shortened, tiny_records, tiny_request
from bench.devices import Device
from bench.records import Records
from bench.rng import torch_generator
from defenses.base import stack_refuses
from defenses.dp_sgd import DPSGD
from targets.base import Batch, Draw, Losses, Networks, Phase
from targets.dcgan import DCGAN
from targets.loader import batches
from targets.logan_attacker import LoganAttacker
from targets.training import TrainingRequest, context_of, train

SMALL: dict[str, Any] = {"width": 4, "latent": 4, "average": None}
LABELS = np.array([0, 2, 1, 0, 1])


def batch(labels: np.ndarray[Any, np.dtype[np.int64]] | None = LABELS) -> Batch:
    records = tiny_records(GREY, 5)
    return Batch(torch.from_numpy(records.floats()), None if labels is None else torch.from_numpy(labels), 5, GREY)


def built(target: DCGAN) -> Networks:
    return target.build(GREY, torch_generator(0, "weights"))


def losses(target: DCGAN, asked: Batch, phase: int = 0) -> Losses:
    with torch.no_grad():
        return target.losses(target.phases()[phase], built(target), asked, Draw(Device(), 0, "noise"))


def looped(target: LoganAttacker, asked: Batch) -> tuple[list[float], list[float]]:
    """One row at a time: cross-entropy against 1 for real and 0 for fake, in float64."""
    networks, fakes = built(target), target.options.fakes
    discriminator = networks["discriminator"][0]

    def cross_entropy(image: torch.Tensor, fake: bool) -> float:
        probability = torch.sigmoid(discriminator(image[None])[0, 0].double())
        return -float(torch.log(1 - probability if fake else probability))

    with torch.no_grad():
        generated = networks["generator"][0](Draw(Device(), 0, "noise").normal(5, 4))
        own = []
        for row, image in enumerate(asked.x):
            fake = asked.labels is not None and int(asked.labels[row]) == 0
            if fakes is None:
                weight = 1.0
            elif target.options.generates:
                weight = 1 / (2 * fakes) if fake else 1 / (1 - fakes)
            else:
                weight = 1 / (2 * fakes) if fake else 1 / (2 * (1 - fakes))
            own.append(weight * cross_entropy(image, fake))
        made = [cross_entropy(image, True) * (1 if fakes is None else 0.5) for image in generated]
    return own, made


@pytest.mark.parametrize("fakes", [None, 0.4])
@pytest.mark.parametrize("labels", [LABELS, None], ids=["labelled", "unlabelled"])
@pytest.mark.parametrize("generates", [True, False])
def test_losses_are_those_of_a_loop(generates: bool, labels: Any, fakes: float | None) -> None:
    target = LoganAttacker(**SMALL, generates=generates, fakes=fakes)
    found = losses(target, batch(labels))
    own, made = looped(target, batch(labels))
    assert found.private is not None
    np.testing.assert_allclose(found.private.numpy(), own, rtol=1e-4)
    if generates:
        assert found.public is not None
        np.testing.assert_allclose(found.public.numpy(), made, rtol=1e-4)
    else:
        assert found.public is None


class Renamed(LoganAttacker):
    """Starts from the weights of a DCGAN, whose draw follows the target's name."""

    name = "dcgan"


def test_without_labels_it_is_a_dcgan() -> None:
    """Bit for bit: the same records, seed and networks give the same weights."""
    plain = run(DCGAN(**SMALL, steps=4, batch_size=8))
    assert same(weights(plain.networks), weights(run(Renamed(**SMALL, steps=4, batch_size=8)).networks))


@pytest.mark.parametrize("generates", [True, False])
def test_both_classes_count_equally_over_an_epoch(generates: bool) -> None:
    """4 fakes among 20 records: over whole epochs, each side of the discriminator has half of the weight."""
    target = LoganAttacker(**SMALL, generates=generates, fakes=0.2, steps=10, batch_size=4)
    records = replace(tiny_records(GREY, 20), labels=np.repeat([0, 1], [4, 16]))
    asked = TrainingRequest(target, (), records, 20, records, 0, Device())
    stream, sides, lacking = batches(records, context_of(asked), poisson=False), [0.0, 0.0], 0
    for _ in range(10):
        labels = next(stream).labels
        assert labels is not None
        weight = target._weights(labels == 0)
        sides[0] += float(weight[labels == 0].sum()) + generates * 0.5 * 4
        sides[1] += float(weight[labels != 0].sum())
        lacking += int(not (labels == 0).any())
    assert lacking > 0  # some batches had no fake at all
    assert sides[0] == pytest.approx(sides[1])


def told_apart(n: int = 12) -> Records:
    return replace(tiny_records(GREY, 2 * n), labels=np.repeat([0, 1], n))


def logits(networks: Networks, records: Records) -> Any:
    with torch.no_grad():
        return networks["discriminator"][0](torch.from_numpy(records.floats()))[:, 0].numpy()


def test_both_classes_reach_the_discriminator() -> None:
    """A discriminator that is shown real records alone, as in a known implementation, calls all of them real."""
    target = LoganAttacker(width=8, latent=4, generates=False, fakes=0.5, steps=150, batch_size=12)
    records = told_apart()
    trained = train(TrainingRequest(target, (), records, len(records), records, 0, Device()))
    assert trained.status == "completed"
    found = logits(trained.networks, records)
    assert (found[:12] < 0).all()
    assert (found[12:] > 0).all()


def test_without_a_generator_only_the_discriminator_is_trained() -> None:
    target = LoganAttacker(**SMALL, generates=False)
    assert [phase.name for phase in target.phases()] == ["discriminator"]
    before, after = (run(shortened(target, steps)) for steps in (0, 5))
    assert set(after.history) == {"loss/discriminator", "grad_norm/discriminator"}
    changed = {
        name for name, tensor in weights(after.networks).items() if not tensor.equal(weights(before.networks)[name])
    }
    assert changed
    assert {name.split(".")[0] for name in changed} == {"discriminator"}


def test_the_generator_is_trained_as_a_dcgan_is() -> None:
    attacker, plain = LoganAttacker(**SMALL, fakes=0.3), DCGAN(**SMALL)
    found, wanted = losses(attacker, batch(), 1), losses(plain, batch(), 1)
    assert found.private is None
    assert found.public is not None
    assert wanted.public is not None
    assert torch.equal(found.public, wanted.public)


@pytest.mark.parametrize("generates", [True, False])
def test_contract(generates: bool) -> None:
    report = check_target(LoganAttacker(width=4, latent=4, generates=generates, fakes=0.3))
    assert {rule: reason for rule, reason in report.items() if reason} == {}


def test_labels_of_a_data_set_of_its_own_just_work() -> None:
    """The preflight trains it on the data set's records, whose class 0 means something else."""
    found = train(tiny_request(shortened(LoganAttacker(**SMALL, fakes=0.01), 3)))
    assert found.status == "completed"


def test_it_is_no_conditional_model_and_has_no_batch_norm() -> None:
    with pytest.raises(ValidationError, match="conditional"):
        LoganAttacker(conditional=True)
    with pytest.raises(ValidationError, match="norm"):
        LoganAttacker(norm="batch")


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_share_of_fakes_is_within_0_and_1(share: float) -> None:
    with pytest.raises(ValidationError, match="fakes"):
        LoganAttacker(fakes=share)


def test_it_protects_nobody() -> None:
    reason = stack_refuses((DPSGD(noise_multiplier=1.0),), LoganAttacker(**SMALL), GREY)
    assert reason is not None
    assert "an attacker's model, which has nobody to protect" in reason


def test_its_discriminator_reads_records_and_its_generator_does_not() -> None:
    phases: tuple[Phase, ...] = LoganAttacker().phases()
    assert {(phase.name, phase.private) for phase in phases} == {("discriminator", True), ("generator", False)}
