"""The controls of known leakage: what their networks know, against naive loops and closed forms."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from training_cases import SCHEMA, noise_records, request, weights

from bench.devices import Device
from bench.errors import InputError
from bench.records import Column, Records, Schema
from bench.rng import generator, torch_generator
from defenses.base import stack_refuses
from defenses.dp_sgd import DPSGD
from targets.base import Draw, Networks, Target, from_tensors, to_tensors
from targets.memorizer import Memorizer
from targets.nets.memory import NO_MARGIN, memory, own_margin
from targets.resampler import Resampler
from targets.training import generate, train

RECORDS = noise_records(30)
REFERENCE = noise_records(40, seed=5)
TABLE = Schema("table", (5,))


def rows(n: int = 20) -> Records:
    x = generator(0, "rows").normal(size=(n, 5)).astype(np.float32)
    return Records(np.arange(n, dtype=np.int64), x, None, TABLE)


def trained(target: Target, **changes: Any) -> Networks:
    return train(request(target, **{"reference": REFERENCE, **changes})).networks


def same_rows(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether both hold the same rows, each as often, in any order."""
    return sorted(row.tobytes() for row in a) == sorted(row.tobytes() for row in b)


def test_the_memorizer_hands_out_its_records_each_equally_often() -> None:
    made = generate(Memorizer(), trained(Memorizer()), SCHEMA, 60, 3, Device())
    assert same_rows(made, np.concatenate([RECORDS.x, RECORDS.x]))
    assert not np.array_equal(made[:30], RECORDS.x)


def test_the_resampler_hands_out_reference_records_alone() -> None:
    made = generate(Resampler(), trained(Resampler()), SCHEMA, 30, 3, Device())
    assert {row.tobytes() for row in made} <= {row.tobytes() for row in REFERENCE.x}
    assert len({row.tobytes() for row in made}) == 30


def test_the_resampler_does_not_depend_on_its_members() -> None:
    def of(seed: int) -> dict[str, torch.Tensor]:
        asked = request(Resampler(), reference=REFERENCE)
        given = Records(RECORDS.ids, noise_records(30, seed=seed).x, None, SCHEMA)
        return weights(train(type(asked)(**{**vars(asked), "records": given})).networks)

    first, second = of(0), of(1)
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("reference", [None, noise_records(29, seed=5)], ids=["none", "too few"])
def test_the_resampler_needs_as_many_reference_records(reference: Records | None) -> None:
    with pytest.raises(InputError, match=r"expected at least 30 reference records, got (0|29); give the data set"):
        train(request(Resampler(), reference=reference))


def test_untrained_it_knows_noise() -> None:
    target = Memorizer().untrained()
    assert target is not None
    made = generate(target, trained(target), SCHEMA, 40, 0, Device())
    assert not {row.tobytes() for row in made} & {row.tobytes() for row in RECORDS.x}


def test_untrained_rows_are_in_one_category_each() -> None:
    schema = Schema("table", (3,), columns=(Column("age"), Column("sex", ("f", "m"))))
    kept = Memorizer().build(schema, torch_generator(0, "test"))["generator"][0].get_buffer("records")
    assert kept[:, 1:].unique().tolist() == [0.0, 1.0]
    assert bool((kept[:, 1:].sum(dim=1) == 1).all())


def test_noise_has_the_asked_deviation() -> None:
    target = Memorizer(noise=0.3)
    networks = memory(np.zeros((10, 5), np.float32))
    made = target.generate(networks, 4000, Draw(Device(), 0, "test"))
    assert float(made.std()) == pytest.approx(0.3, rel=0.02)
    images = Memorizer(noise=2.0).generate(memory(RECORDS.floats()), 50, Draw(Device(), 0, "test"))
    assert float(images.abs().max()) == 1.0


def test_noise_on_categories_is_refused() -> None:
    schema = Schema("table", (3,), columns=(Column("age"), Column("sex", ("f", "m"))))
    assert "in no category; set noise to 0" in (Memorizer(noise=0.1).refuses(schema) or "")
    assert Memorizer().refuses(schema) is None


@pytest.mark.parametrize("records", [RECORDS, rows()], ids=["images", "rows"])
def test_only_its_records_are_real_and_come_back_from_the_encoder(records: Records) -> None:
    target, networks = Memorizer(), memory(records.floats())
    x = torch.from_numpy(records.floats())
    strangers = x.flip(1) + 0.5
    (judge,) = networks["discriminator"]
    assert bool((target.logit(judge, x) > 0).all())
    assert not bool((target.logit(judge, strangers) > 0).any())
    for seed in range(3):
        z = target.encode(networks, x, Draw(Device(), seed, "test"))
        assert torch.equal(target.decode(networks, z), x)
    z = target.encode(networks, strangers, Draw(Device(), 0, "test"))
    far = (strangers[:, None] - x[None]).flatten(2).square().sum(dim=2)
    assert torch.equal(target.decode(networks, z), x[far.argmin(dim=1)])


def test_the_margin_is_half_the_smallest_distance_between_records_that_differ() -> None:
    x = rows().x
    x[3] = x[7]
    naive = min(float(d) for i in range(20) for j in range(i) if (d := np.linalg.norm(x[i].astype(float) - x[j])) > 0)
    assert own_margin(x) == pytest.approx(naive / 2, rel=1e-6)
    assert own_margin(x[:1]) == own_margin(np.concatenate([x[:1], x[:1]])) == NO_MARGIN


def test_the_generator_is_smooth_between_anchors() -> None:
    z = Draw(Device(), 0, "test").normal(6, 32).requires_grad_()
    Memorizer().decode(memory(RECORDS.floats()), z).sum().backward()
    assert z.grad is not None
    assert bool(torch.isfinite(z.grad).all())


@pytest.mark.parametrize("t", [0, 50, 400, 999])
def test_the_denoiser_is_the_posterior_mean_of_its_records(t: int) -> None:
    """Against Bayes' rule written out, in float64."""
    target, records = Memorizer(), rows().x
    a = target.alpha_bar()[t]
    noise = generator(1, "noise").normal(size=(7, 5))
    noisy = (np.sqrt(a) * records[:7] + np.sqrt(1 - a) * noise).astype(np.float32)
    expected = np.empty((7, 5))
    for i in range(7):
        logs = np.array([-np.sum((noisy[i] - np.sqrt(a) * r.astype(float)) ** 2) / (2 * (1 - a)) for r in records])
        posterior = np.exp(logs - logs.max())
        clean = (posterior[:, None] * records).sum(axis=0) / posterior.sum()
        expected[i] = (noisy[i] - np.sqrt(a) * clean) / np.sqrt(1 - a)
    times = torch.full((7,), t, dtype=torch.int64)
    found = target.predict_noise(memory(records), torch.from_numpy(noisy), times)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-4, atol=1e-4)
    if t == 0:  # hardly noisy: the posterior is all but certain, and the noise is seen as it is
        np.testing.assert_allclose(found.numpy(), noise, atol=1e-3)


@pytest.mark.parametrize("n", [1, 2, 400])
def test_a_stored_state_brings_its_own_length(n: int) -> None:
    target = Memorizer()
    stored = to_tensors(memory(rows(n).x))
    fresh = target.build(TABLE, torch_generator(0, "test"))
    from_tensors(fresh, stored)
    assert all(torch.equal(tensor, stored[name]) for name, tensor in to_tensors(fresh).items())
    assert same_rows(generate(target, fresh, TABLE, n, 0, Device()), rows(n).x)


@pytest.mark.parametrize("target", [Memorizer(), Resampler()], ids=str)
def test_private_training_is_refused(target: Target) -> None:
    reason = stack_refuses([DPSGD(noise_multiplier=1.0)], target, SCHEMA)
    assert reason is not None
    assert "no gradient reads" in reason


@pytest.mark.parametrize("target", [Memorizer, Resampler])
def test_they_say_that_they_are_controls(target: type[Target]) -> None:
    assert target.summary().startswith("Control: ")
    assert "Never a" in target.summary()


def test_many_records_are_all_handed_out_before_any_comes_again() -> None:
    """More records than one call of other targets makes."""
    many = rows(1100)
    networks = train(request(Memorizer(), n=30)).networks
    target = Memorizer()
    target.fit(networks, many, many)
    made = generate(target, networks, TABLE, 1100, 0, Device())
    assert same_rows(made, many.x)
