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
from bench.errors import InputError
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
FAKES, REAL = 3, 7  # of all records, whose shares are not those of a batch


def batch(labels: np.ndarray[Any, np.dtype[np.int64]] | None = LABELS) -> Batch:
    records = tiny_records(GREY, 5)
    return Batch(torch.from_numpy(records.floats()), None if labels is None else torch.from_numpy(labels), 5, GREY)


def built(target: DCGAN) -> Networks:
    return target.build(GREY, torch_generator(0, "weights"))


def labelled(*labels: int) -> Records:
    return replace(tiny_records(GREY, len(labels)), labels=np.array(labels, dtype=np.int64))


def unlabelled(n: int) -> Records:
    return replace(tiny_records(GREY, n), labels=None, schema=replace(GREY, classes=None))


def fitted(target: LoganAttacker, records: Records) -> LoganAttacker:
    """A target that has counted these records, as the loop has it do before the first step."""
    target.fit(built(target), records, tiny_records(GREY, 0))
    return target


def losses(target: DCGAN, asked: Batch, phase: int = 0) -> Losses:
    with torch.no_grad():
        return target.losses(target.phases()[phase], built(target), asked, Draw(Device(), 0, "noise"))


def looped(target: LoganAttacker, asked: Batch) -> tuple[list[float], list[float]]:
    """One row at a time: cross-entropy against 1 for real and 0 for fake, in float64."""
    networks, balanced = built(target), target.options.balanced
    discriminator = networks["discriminator"][0]

    def cross_entropy(image: torch.Tensor, fake: bool) -> float:
        probability = torch.sigmoid(discriminator(image[None])[0, 0].double())
        return -float(torch.log(1 - probability if fake else probability))

    with torch.no_grad():
        generated = networks["generator"][0](Draw(Device(), 0, "noise").normal(5, 4))
        own = []
        for row, image in enumerate(asked.x):
            fake = asked.labels is not None and int(asked.labels[row]) == 0
            if not balanced:
                weight = 1.0
            elif target.options.generates:
                weight = (FAKES + REAL) / (2 * FAKES) if fake else (FAKES + REAL) / REAL
            else:
                weight = (FAKES + REAL) / (2 * FAKES) if fake else (FAKES + REAL) / (2 * REAL)
            own.append(weight * cross_entropy(image, fake))
        made = [cross_entropy(image, True) * (0.5 if balanced else 1) for image in generated]
    return own, made


@pytest.mark.parametrize("balanced", [False, True])
@pytest.mark.parametrize("labels", [LABELS, None], ids=["labelled", "unlabelled"])
@pytest.mark.parametrize("generates", [True, False])
def test_losses_are_those_of_a_loop(generates: bool, labels: Any, balanced: bool) -> None:
    counted = labelled(*[0] * FAKES, *[1] * (REAL - 2), 2, 2)
    target = fitted(LoganAttacker(**SMALL, generates=generates, balanced=balanced), counted)
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


@pytest.mark.parametrize("balanced", [False, True])
def test_without_labels_it_is_a_dcgan(balanced: bool) -> None:
    """Bit for bit: the same records, seed and networks give the same weights, since there is nothing to balance."""
    plain = run(DCGAN(**SMALL, steps=4, batch_size=8))
    found = run(Renamed(**SMALL, balanced=balanced, steps=4, batch_size=8))
    assert same(weights(plain.networks), weights(found.networks))


@pytest.mark.parametrize("generates", [True, False])
@pytest.mark.parametrize("labels", [(0, 1, 1, 1, 1), (0, 0, 0, 2, 1), (0, 2)], ids=str)
def test_it_counts_the_classes_where_they_are_to_be_balanced(labels: tuple[int, ...], generates: bool) -> None:
    """Class 0 is fake and every other one real, however many there are."""
    target = fitted(LoganAttacker(balanced=True, generates=generates), labelled(*labels))
    assert target._fakes == labels.count(0) / len(labels)
    assert fitted(LoganAttacker(generates=generates), labelled(*labels))._fakes is None
    rows = torch.tensor(labels) == 0
    assert torch.equal(LoganAttacker(generates=generates)._weights(rows), torch.ones(len(labels)))


def test_it_counts_anew_for_other_records() -> None:
    """Nothing is left of what an earlier training counted."""
    target = fitted(LoganAttacker(balanced=True), labelled(0, 0, 0, 1))
    assert fitted(target, labelled(0, 1, 1, 1))._fakes == 0.25
    assert fitted(target, labelled(1, 1))._fakes is None


@pytest.mark.parametrize("balanced", [True, False])
@pytest.mark.parametrize(
    ("generates", "labels"),
    [(False, (0, 0, 0)), (True, (0, 0, 0)), (False, (1, 2, 1)), (False, None)],
    ids=["only fakes", "only fakes and generated", "only real", "only unlabelled"],
)
def test_one_class_alone_is_refused(generates: bool, labels: tuple[int, ...] | None, balanced: bool) -> None:
    """Before anything trains, and by the loop too."""
    records = unlabelled(3) if labels is None else labelled(*labels)
    target = LoganAttacker(**SMALL, generates=generates, balanced=balanced, steps=1, batch_size=2)
    with pytest.raises(InputError, match=r"expected records of class 0, .* got 3 of one kind alone"):
        target.fit(built(target), records, labelled(0, 1))  # reference records are none of its own
    with pytest.raises(InputError, match=r"expected records of class 0, .* got 3 of one kind alone"):
        train(TrainingRequest(target, (), records, 3, records, 0, Device(), reference=labelled(0, 1)))


@pytest.mark.parametrize("records", [labelled(1, 2, 1), unlabelled(3)], ids=["labelled", "unlabelled"])
def test_only_real_records_have_the_generated_ones_as_fakes(records: Records) -> None:
    """Its own images are the whole of the fake side then, so that every row counts the same."""
    target = fitted(LoganAttacker(**SMALL, balanced=True), records)
    assert target._fakes is None
    own, plain = batch(np.ones(5, dtype=np.int64)), losses(DCGAN(**SMALL), batch(None))
    found = losses(target, own)
    assert found.private is not None
    assert plain.private is not None
    assert found.public is not None
    assert plain.public is not None
    assert torch.equal(found.private, plain.private)
    assert torch.equal(found.public, plain.public)


class Noting(LoganAttacker):
    """Notes the share that each batch is weighted by."""

    def losses(self, phase: Phase, networks: Networks, batch: Batch, draw: Draw) -> Losses:
        self.noted = [*getattr(self, "noted", []), self._fakes]
        return super().losses(phase, networks, batch, draw)


def test_the_loop_has_it_count_all_records_before_the_first_step() -> None:
    """Of the records that it trains on, not of those expected, of the validation set or of the reference."""
    target = Noting(**SMALL, balanced=True, generates=False, steps=3, batch_size=2)
    records, others = labelled(0, 1, 1, 1, 2), labelled(0, 0, 0, 1)
    assert train(TrainingRequest(target, (), records, 10_000, others, 0, Device(), reference=others)).status
    assert target.noted == [0.2] * 3


@pytest.mark.parametrize("generates", [True, False])
def test_both_classes_count_equally_over_an_epoch(generates: bool) -> None:
    """4 fakes among 20 records: over whole epochs, each side of the discriminator has half of the weight."""
    records = replace(tiny_records(GREY, 20), labels=np.repeat([0, 1], [4, 16]))
    target = fitted(LoganAttacker(**SMALL, generates=generates, balanced=True, steps=10, batch_size=4), records)
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
    target = LoganAttacker(width=8, latent=4, generates=False, balanced=True, steps=150, batch_size=12)
    records = told_apart()
    trained = train(TrainingRequest(target, (), records, len(records), records, 0, Device()))
    assert trained.status == "completed"
    found = logits(trained.networks, records)
    assert (found[:12] < 0).all()
    assert (found[12:] > 0).all()


def test_without_a_generator_only_the_discriminator_is_trained() -> None:
    target = LoganAttacker(**SMALL, generates=False)
    records = told_apart()
    assert [phase.name for phase in target.phases()] == ["discriminator"]
    before, after = (
        train(TrainingRequest(shortened(target, steps), (), records, len(records), records, 0, Device()))
        for steps in (0, 5)
    )
    assert set(after.history) == {"loss/discriminator", "grad_norm/discriminator"}
    changed = {
        name for name, tensor in weights(after.networks).items() if not tensor.equal(weights(before.networks)[name])
    }
    assert changed
    assert {name.split(".")[0] for name in changed} == {"discriminator"}


def test_the_generator_is_trained_as_a_dcgan_is() -> None:
    attacker, plain = fitted(LoganAttacker(**SMALL, balanced=True), told_apart()), DCGAN(**SMALL)
    found, wanted = losses(attacker, batch(), 1), losses(plain, batch(), 1)
    assert found.private is None
    assert found.public is not None
    assert wanted.public is not None
    assert torch.equal(found.public, wanted.public)


@pytest.mark.parametrize("generates", [True, False])
def test_contract(generates: bool) -> None:
    target = LoganAttacker(width=4, latent=4, generates=generates, balanced=True)
    report = check_target(fitted(target, labelled(0, 0, 0, *[1] * 7)))
    assert target._fakes == 0.3  # the rules on losses judged weighted rows
    assert {rule: reason for rule, reason in report.items() if reason} == {}


def test_labels_of_a_data_set_of_its_own_just_work() -> None:
    """As the contract trains it: on a data set's records, whose class 0 means something else."""
    found = train(tiny_request(shortened(LoganAttacker(**SMALL, balanced=True), 3)))
    assert found.status == "completed"


def test_it_is_no_conditional_model_and_has_no_batch_norm() -> None:
    with pytest.raises(ValidationError, match="conditional"):
        LoganAttacker(conditional=True)
    with pytest.raises(ValidationError, match="norm"):
        LoganAttacker(norm="batch")


def test_no_share_of_fakes_can_be_given() -> None:
    """It is counted, so that it cannot be another than that of the records."""
    with pytest.raises(ValidationError, match="fakes"):
        LoganAttacker(fakes=0.3)


def test_it_protects_nobody() -> None:
    reason = stack_refuses((DPSGD(noise_multiplier=1.0),), LoganAttacker(**SMALL), GREY)
    assert reason is not None
    assert "an attacker's model, which has nobody to protect" in reason


def test_its_discriminator_reads_records_and_its_generator_does_not() -> None:
    phases: tuple[Phase, ...] = LoganAttacker().phases()
    assert {(phase.name, phase.private) for phase in phases} == {("discriminator", True), ("generator", False)}
