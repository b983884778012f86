"""What a target may ask of the loop: phases that run now and then, state after an update, labels, records at once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from training_cases import SCHEMA, noise_records, request, same, tiny, weights

from bench.devices import Device
from bench.errors import IncompatibleError, StoreError
from bench.records import Records, Schema
from defenses.clip_only import ClipOnly
from targets.base import Batch, Draw, Losses, Networks, Phase, from_tensors, to_tensors
from targets.dcgan import DCGAN
from targets.training import build_networks, context_of, generate_labelled, train


class Seldom(DCGAN):
    """A DCGAN whose generator learns on every third step, and which notes what it is called with."""

    name = "seldom"
    events: list[Any]

    def phases(self) -> tuple[Phase, ...]:
        judge, maker = super().phases()
        return (judge, replace(maker, every=3))

    def fit(self, networks: Networks, records: Records, reference: Records) -> None:
        self.events = [("fit", len(records), len(reference))]

    def after_update(self, phase: Phase, networks: Networks, losses: Losses, batch: Batch) -> None:
        assert not torch.is_grad_enabled()
        self.events.append((phase.name, len(batch.x)))


def test_a_phase_runs_on_every_third_step_and_is_told_after_it() -> None:
    target = tiny(Seldom, steps=7)
    assert isinstance(target, Seldom)
    asked = request(target, reference=noise_records(5, seed=2))
    found = train(asked)
    assert target.events[0] == ("fit", 30, 5)
    assert [name for name, _ in target.events[1:]] == [
        "discriminator", "discriminator", "discriminator", "generator", "discriminator", "discriminator",
        "discriminator", "generator", "discriminator",
    ]  # fmt: skip
    assert {rows for name, rows in target.events[1:] if name == "generator"} == {0}, "a public phase saw records"
    assert {name: len(values) for name, values in found.history.items()} == {
        "loss/discriminator": 7, "grad_norm/discriminator": 7, "loss/generator": 2, "grad_norm/generator": 2,
    }  # fmt: skip


def test_nothing_is_fitted_in_a_training_of_no_steps() -> None:
    target = tiny(Seldom, steps=0)
    assert isinstance(target, Seldom)
    target.events = []
    train(request(target))
    assert target.events == []


class Explodes(Seldom):
    """Its generator's loss is not finite from its second update on, which is step 6."""

    name = "explodes"

    def losses(self, phase: Phase, networks: Networks, batch: Batch, draw: Draw) -> Losses:
        found = super().losses(phase, networks, batch, draw)
        done = sum(name == "generator" for name, *_ in self.events)
        if phase.name == "generator" and done == 1 and found.public is not None:
            return Losses(None, found.public * float("inf"))
        return found


def test_divergence_of_a_seldom_phase_is_dated_in_steps() -> None:
    found = train(request(tiny(Explodes, steps=10)))
    assert found.status == "diverged"
    assert found.steps_done == 6
    assert len(found.history["loss/discriminator"]) == 6
    assert len(found.history["loss/generator"]) == 2


def test_per_record_defenses_refuse_records_read_on_some_steps_only() -> None:
    class Rare(DCGAN):
        name = "rare"

        def phases(self) -> tuple[Phase, ...]:
            judge, maker = super().phases()
            return (replace(judge, every=2), maker)

    reason = ClipOnly().refuses(Rare(), SCHEMA, ())
    assert reason == "clip_only counts every step, but rare reads records on every 2th only"


def test_per_record_defenses_say_what_the_target_says() -> None:
    class Mixed(DCGAN):
        name = "mixed"

        def refuses_private(self) -> str | None:
            return "records meet"

    assert ClipOnly().refuses(Mixed(), SCHEMA, ()) == "clip_only cannot protect mixed: records meet"


def labelled(n: int = 30, shares: tuple[float, ...] = ()) -> Records:
    schema = Schema("image", (1, 10, 12), 10, class_shares=shares)
    plain = noise_records(n, labels=True)
    return Records(plain.ids, plain.x, plain.labels, schema)


def test_a_conditional_dcgan_is_told_labels_and_makes_records_for_them() -> None:
    target = tiny(conditional=True, steps=4)
    records = labelled()
    found = train(replace(request(target), records=records))
    x, labels = generate_labelled(target, found.networks, records.schema, 6, 0, Device())
    assert labels is not None
    assert x.shape == (6, 1, 10, 12)
    assert labels.shape == (6,)
    assert labels.dtype == np.int64
    z = target.latent(1, Draw(Device(), 0, "test")).expand(2, -1)
    first, second = target.decode(found.networks, z, torch.tensor([0, 9]))
    assert not torch.equal(first, second), "the generator ignores its label"
    logits = target.logit(found.networks["discriminator"][0], torch.zeros(2, 1, 10, 12), torch.tensor([0, 9]))
    assert logits[0] != logits[1], "the discriminator ignores its label"


def test_an_unconditional_target_ignores_the_labels_of_its_records() -> None:
    target = tiny(steps=3)
    plain, told = request(target), replace(request(target), records=labelled())
    first, second = (weights(train(asked).networks) for asked in (plain, told))
    assert same(first, second)


def test_a_conditional_target_refuses_records_without_labels() -> None:
    assert tiny(conditional=True).refuses(SCHEMA) == (
        "dcgan with conditional=true needs labels, and these records have none"
    )
    assert tiny(conditional=True).refuses(labelled().schema) is None


def test_labels_are_drawn_by_their_public_shares() -> None:
    shares = (0.5, 0.0, 0.3, 0.2)
    drawn = Draw(Device(), 0, "test").labels(20_000, Schema("table", (2,), 4, class_shares=shares))
    found = np.bincount(drawn.numpy(), minlength=4) / 20_000
    assert np.abs(found - shares).max() < 4 * (0.25 / 20_000) ** 0.5
    assert found[1] == 0
    even = Draw(Device(), 0, "test").labels(20_000, Schema("table", (2,), 4))
    assert np.abs(np.bincount(even.numpy(), minlength=4) / 20_000 - 0.25).max() < 4 * (0.1875 / 20_000) ** 0.5
    with pytest.raises(IncompatibleError, match="expected records with labels to draw classes of"):
        Draw(Device(), 0, "test").labels(3, Schema("table", (2,)))


def test_stored_weights_go_back_where_they_came_from_and_nowhere_else() -> None:
    asked = request(tiny())
    first = build_networks(asked.target, (), context_of(asked))
    second = build_networks(asked.target, (), context_of(replace(asked, seed=1)))
    kept = to_tensors(first)
    assert not same(weights(first), weights(second))
    from_tensors(second, kept)
    assert same(weights(first), weights(second))
    with pytest.raises(StoreError, match=r"of the networks \['discriminator', 'generator'\], got \['e"):
        from_tensors(second, {**kept, "encoder.0.weight": torch.zeros(1)})
    name = next(iter(kept))
    with pytest.raises(StoreError, match="the weights do not fit"):
        from_tensors(second, {n: t for n, t in kept.items() if n != name})


def test_nothing_of_real_records_reaches_what_a_private_target_keeps() -> None:
    class Keeps(DCGAN):
        name = "keeps"
        seen: list[Any]

        def after_update(self, phase: Phase, networks: Networks, losses: Losses, batch: Batch) -> None:
            self.seen.append((phase.name, losses.private is None, len(batch.x)))

    target = tiny(Keeps, steps=2)
    assert isinstance(target, Keeps)
    target.seen = []
    train(request(target, ClipOnly()))
    assert {entry for entry in target.seen if entry[0] == "discriminator"} == {("discriminator", True, 0)}
    target.seen = []
    train(request(target))
    assert {entry for entry in target.seen if entry[0] == "discriminator"} == {("discriminator", False, 8)}


def test_a_target_that_takes_records_at_once_cannot_be_private() -> None:
    reason = ClipOnly().refuses(tiny(Seldom), SCHEMA, ())
    assert reason is not None
    assert "takes more from the records than clipped gradients" in reason
