"""TVAE: its bound by torch's distributions, its gradients by a loop over records, what it learns and what it leaks."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from row_cases import (
    HEAVY,
    HEIGHT,
    MIXED,
    SHAPES,
    WEIGHT,
    Private,
    Replayed,
    auc,
    made,
    noise_table,
    one_hot,
    planted,
    run,
)
from torch.distributions import Categorical, Normal, kl_divergence

from bench.contracts import check_target
from bench.devices import Device
from bench.records import Column, Schema
from bench.rng import torch_generator
from defenses.base import stack_refuses
from defenses.clip_only import ClipOnly
from defenses.dp_sgd import DPSGD
from targets.base import Batch, Draw, Networks
from targets.nets.mlp import SCALE_FLOOR
from targets.training import generate_labelled
from targets.tvae import TVAE


def tiny(**options: Any) -> TVAE:
    return TVAE(**{"steps": 5, "batch_size": 8, "width": 9, "latent": 3, **options})


def networks_of(target: TVAE, schema: Schema = MIXED) -> dict[str, Any]:
    return target.build(schema, torch_generator(0, "test"))


def test_conditional_contract() -> None:
    check_target(tiny(conditional=True))


@pytest.mark.parametrize("conditional", [False, True])
def test_loss_is_the_negative_bound_of_torchs_distributions(conditional: bool) -> None:
    target, records, draw = tiny(conditional=conditional), planted(11), Replayed(0)
    networks, x = networks_of(target), torch.from_numpy(records.floats())
    labels = torch.from_numpy(np.asarray(records.labels))
    losses = target.losses(target.phases()[0], networks, Batch(x, labels, 8, MIXED), draw)
    (noise,) = draw.made

    (encoder,), (decoder,) = networks["encoder"], networks["decoder"]
    hot = torch.eye(2)[labels]
    out = encoder.network(torch.cat([x, hot], 1)) if conditional else encoder(x)
    posterior = Normal(out[:, :3], (out[:, 3:] / 2).exp())
    z = posterior.mean + posterior.stddev * noise
    raw = decoder.network(torch.cat([z, hot], 1)) if conditional else decoder(z)
    assert raw.shape == (11, 9)  # seven values, then the scales of two numbers
    likelihoods: list[tuple[Any, torch.Tensor]] = [
        (Normal(raw[:, HEIGHT], raw[:, 7]), x[:, HEIGHT]),
        (Normal(raw[:, WEIGHT], raw[:, 8]), x[:, WEIGHT]),
        (Categorical(logits=raw[:, SHAPES]), x[:, SHAPES].argmax(1)),
        (Categorical(logits=raw[:, HEAVY]), x[:, HEAVY].argmax(1)),
    ]
    log_likelihood = torch.stack([distribution.log_prob(value) for distribution, value in likelihoods]).sum(0)
    divergence = kl_divergence(posterior, Normal(0.0, 1.0)).sum(1)
    assert losses.public is None
    torch.testing.assert_close(losses.private, divergence - log_likelihood)


@pytest.mark.parametrize("mode", ["hooks", "functorch"])
@pytest.mark.parametrize("conditional", [False, True])
@pytest.mark.parametrize("clip", [0.5, 1e6])
def test_private_update_is_the_clipped_sum_of_a_loop_over_single_records(
    clip: float, conditional: bool, mode: Any
) -> None:
    private = Private(tiny(conditional=conditional), clip, mode)
    for n in (1, 7, 12):
        records, draw = planted(n), Replayed(4)
        found = private.update(records, draw)
        noise, expected = draw.made, torch.zeros(found.shape, dtype=torch.float64)
        for row in range(n):
            draw.made, draw.rows = list(noise), [row]
            gradient = private.gradient(records.take(np.array([row])), draw).double()
            assert float(gradient.norm()) > 0.5  # so that the smaller bound clips
            expected += gradient / max(1.0, float(gradient.norm()) / clip)
        torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))


def test_every_weight_gets_a_gradient_from_a_record() -> None:
    """The scales too: they are trained, clipped and noised like all else."""
    private = Private(tiny(), 1e6, "hooks")
    private.update(planted(12), Replayed(0))
    moved = {
        name
        for name, p in private.networks["decoder"][0].named_parameters()
        if p.grad is not None and bool(p.grad.any())
    }
    assert moved == {name for name, _ in private.networks["decoder"][0].named_parameters()}
    assert "scales.weight" in moved


def test_an_empty_batch_updates_nothing_without_noise() -> None:
    private = Private(tiny(), 1.0, "hooks")
    assert float(private.update(planted(1).take(np.zeros(0, np.int64)), Replayed(0)).abs().max()) == 0


def test_trains_privately_with_a_claim() -> None:
    for target in (tiny(), tiny(conditional=True)):
        defense = DPSGD(noise_multiplier=1.0, delta=1e-3)
        assert stack_refuses((defense,), target, MIXED) is None
        result = run(target, planted(60), defense)
        assert result.status == "completed"
        assert result.claim is not None
        assert result.claim.epsilon is not None
        assert run(target, planted(60), ClipOnly()).claim is None


def test_generated_rows_follow_the_likelihood() -> None:
    """With the decoder's output made constant, rows are draws from one normal and two categorical distributions."""
    target = tiny()
    networks = networks_of(target)
    decoder: Any = networks["decoder"][0]
    head, shares = decoder.body[-1], torch.tensor([0.5, 0.2, 0.3])
    with torch.no_grad():
        head.weight.zero_()
        head.bias.copy_(torch.cat([torch.tensor([2.0]), shares.log(), torch.tensor([-1.0, 0.0, math.log(9)])]))
        decoder.scales.weight.copy_(torch.tensor([[0.3], [-20.0]]))
    n = 40_000
    x = made(target, networks, n)
    assert one_hot(x, SHAPES)
    assert one_hot(x, HEAVY)
    deviation = SCALE_FLOOR + math.log1p(math.exp(0.3))
    assert x[:, HEIGHT].mean() == pytest.approx(2, abs=5 * deviation / math.sqrt(n))
    assert x[:, HEIGHT].std() == pytest.approx(deviation, rel=0.02)
    assert x[:, WEIGHT].std() == pytest.approx(SCALE_FLOOR, rel=0.02)  # no scale falls below the floor
    for place, share in zip((1, 2, 3, 5, 6), (0.5, 0.2, 0.3, 0.1, 0.9), strict=True):
        assert x[:, place].mean() == pytest.approx(share, abs=5 * math.sqrt(share * (1 - share) / n))
    expected = target.decode(networks, torch.zeros(1, 3))[0]
    torch.testing.assert_close(expected, torch.tensor([2.0, 0.5, 0.2, 0.3, -1.0, 0.1, 0.9]))


def test_encodings_are_draws_of_the_posterior() -> None:
    target, records = tiny(conditional=True), planted(2)
    networks, x = networks_of(target), torch.from_numpy(records.floats())[:1].expand(20_000, -1)
    ones = torch.ones(len(x), dtype=torch.int64)
    with torch.no_grad():
        mean, deviation = target.posterior(networks, x, ones)
        z = target.encode(networks, x, Draw(Device(), 0, "test"), ones)
        other, _ = target.posterior(networks, x, 0 * ones)
    torch.testing.assert_close(z.mean(0), mean[0], rtol=0, atol=5 * float(deviation.max()) / math.sqrt(len(x)))
    torch.testing.assert_close(z.std(0), deviation[0], rtol=0.03, atol=0)
    assert not torch.allclose(mean, other)


def test_gradients_flow_through_decoded_latents() -> None:
    target = tiny()
    z = torch.zeros(2, 3, requires_grad=True)
    target.decode(networks_of(target), z)[:, SHAPES][:, 0].sum().backward()  # type: ignore[no-untyped-call]
    assert z.grad is not None
    assert bool((z.grad != 0).all())


@pytest.mark.parametrize(
    "columns",
    [(Column("a"), Column("b")), (Column("a", ("x", "y")),)],
    ids=["numbers only", "categories only"],
)
def test_tables_of_one_kind_of_column(columns: tuple[Column, ...]) -> None:
    schema = Schema("table", (2,), None, columns)
    networks = networks_of(tiny(), schema)
    x = made(tiny(), networks, 50, schema)
    assert one_hot(x, slice(0, 2)) == bool(columns[0].categories)
    losses = tiny().losses(
        tiny().phases()[0], networks, Batch(torch.from_numpy(x), None, 8, schema), Draw(Device(), 0, "test")
    )
    assert losses.private is not None
    assert bool(torch.isfinite(losses.private).all())


def test_conditional_needs_classes_and_images_are_refused() -> None:
    assert tiny(conditional=True).refuses(Schema("table", (3,))) is not None
    assert tiny().refuses(Schema("table", (3,))) is None
    assert tiny().refuses(Schema("image", (1, 8, 8), 2)) == "tvae models table records, not image records"


@pytest.fixture(scope="module")
def learnt() -> tuple[TVAE, Networks]:
    target = TVAE(steps=800, batch_size=100, width=64, latent=8, learning_rate=3e-3, conditional=True)
    return target, run(target, planted(2000)).networks


def test_learns_frequencies_and_dependence_of_mixed_columns(learnt: tuple[TVAE, Networks]) -> None:
    target, networks = learnt
    real = planted(20_000, seed=1).floats()
    x = made(target, networks, 10_000)
    assert one_hot(x, SHAPES)
    assert one_hot(x, HEAVY)
    np.testing.assert_allclose(x[:, SHAPES].mean(0), real[:, SHAPES].mean(0), atol=0.06)
    np.testing.assert_allclose(x[:, HEAVY].mean(0), real[:, HEAVY].mean(0), atol=0.06)
    for code in range(3):
        of_code = x[:, SHAPES][:, code] == 1
        assert x[of_code, HEIGHT].mean() == pytest.approx(real[real[:, 1 + code] == 1, HEIGHT].mean(), abs=0.25)
    assert np.corrcoef(x[:, HEIGHT], x[:, WEIGHT])[0, 1] == pytest.approx(
        np.corrcoef(real[:, HEIGHT], real[:, WEIGHT])[0, 1], abs=0.1
    )
    for code in range(2):
        of_code = x[:, HEAVY][:, code] == 1
        assert x[of_code, WEIGHT].mean() == pytest.approx(real[real[:, 5 + code] == 1, WEIGHT].mean(), abs=0.15)


def test_generates_the_label_that_is_asked(learnt: tuple[TVAE, Networks]) -> None:
    target, networks = learnt
    rows, labels = generate_labelled(target, networks, replace(MIXED, class_shares=(0.75, 0.25)), 4000, 0, Device())
    assert labels is not None
    assert labels.mean() == pytest.approx(0.25, abs=0.04)  # the public shares of the schema, not the members'
    assert (np.asarray(rows)[:, HEAVY].argmax(1) == labels).mean() > 0.95


def test_what_is_overfitted_is_reconstructed_best() -> None:
    """Nothing but the records themselves can be learnt from noise, so reconstruction tells who was a member."""
    target = TVAE(steps=700, batch_size=25, width=64, latent=16, learning_rate=3e-3)
    members, others = noise_table(25, 12), noise_table(25, 12, seed=1)
    for steps, low, high in ((0, 0.25, 0.75), (700, 0.95, 1.0)):
        networks = run(TVAE(**{**dict(target.options), "steps": steps}), members).networks
        scores = []
        for records in (members, others):
            x, draw = torch.from_numpy(records.floats()), Draw(Device(), 0, "attack")
            with torch.no_grad():
                again = [target.decode(networks, target.encode(networks, x, draw)) for _ in range(30)]
            scores.append(-np.mean([((a - x) ** 2).mean(1).numpy() for a in again], axis=0))
        assert low <= auc(*scores) <= high
