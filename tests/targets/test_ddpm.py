"""The diffusion model: schedules and samplers against closed forms, per-record gradients against single records."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from training_cases import noise_records, request, run, same, weights

from bench.devices import Device
from bench.errors import IncompatibleError
from bench.records import Records, Schema
from bench.rng import generator, torch_generator
from defenses.base import Defense
from defenses.clip_only import ClipOnly
from defenses.dp_sgd import DPSGD
from defenses.dropout import Dropout
from defenses.weight_norm import WeightNorm
from targets.base import Batch, Draw, Losses, Networks, from_tensors, modules, parameters, to_tensors
from targets.ddpm import DDPM
from targets.nets.diffusion import alpha_bar
from targets.nets.unet import Denoiser, UNet, initialise
from targets.training import train

SCHEMA = Schema("image", (1, 10, 12))
LABELLED = Schema("image", (1, 10, 12), 3)
BOTH = ["denoiser", "average"]


def tiny(**options: Any) -> DDPM:
    return DDPM(**{"steps": 6, "batch_size": 8, "width": 8, "sampling_steps": 3, **options})


def built(target: DDPM, schema: Schema = SCHEMA, seed: int = 0) -> Networks:
    return target.build(schema, torch_generator(seed, "test"))


def images(n: int, schema: Schema = SCHEMA, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(noise_records(n, schema, seed).floats())


# --- the network ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(8, 8), (28, 28), (10, 14), (9, 13), (64, 64), (8, 61)], ids=str)
@pytest.mark.parametrize(("patch", "levels", "attention"), [(1, 3, True), (2, 2, False), (3, 4, True)])
def test_any_image_size_is_taken(size: tuple[int, int], patch: int, levels: int, attention: bool) -> None:
    target = tiny(patch=patch, levels=levels, attention=attention, width=4)
    schema = Schema("image", (3, *size))
    assert target.refuses(schema) is None
    with torch.no_grad():
        x = target.generate(built(target, schema), 2, Draw(Device(), 0, "test"))
    assert x.shape == (2, 3, *size)
    assert float(x.abs().max()) <= 1


def test_records_do_not_reach_each_other() -> None:
    network = initialise(
        UNet((1, 9, 10), width=8, levels=2, blocks=2, patch=2, attention=True), torch_generator(0, "test")
    )
    x = torch.randn(5, 1, 9, 10, generator=torch_generator(1, "test"), requires_grad=True)
    (gradient,) = torch.autograd.grad(network(x, torch.rand(5, generator=torch_generator(2, "test")))[2].sum(), x)
    reached = gradient.abs().amax(dim=(1, 2, 3)) > 0
    assert reached.tolist() == [False, False, True, False, False]


def test_time_and_label_reach_the_prediction() -> None:
    target = tiny(conditional=True)
    networks, x = built(target, LABELLED), images(2)
    found = [
        target.predict_noise(networks, x, torch.full((2,), t), torch.full((2,), y)) for t, y in ((5, 0), (6, 0), (5, 1))
    ]
    assert float((found[0] - found[1]).abs().max()) > 1e-5
    assert float((found[0] - found[2]).abs().max()) > 1e-5


@pytest.mark.parametrize("preconditioned", [True, False])
def test_the_noise_is_that_around_a_clipped_guess_of_the_record(preconditioned: bool) -> None:
    """Karras et al., equation 7 with their table 1, for x = signal (record + sigma noise) and data of deviation .5."""
    target = tiny(preconditioned=preconditioned, timesteps=20)
    (denoiser,), x, t = built(target)["denoiser"], 2 * images(20), torch.arange(20)
    assert isinstance(denoiser, Denoiser)
    with torch.no_grad():
        found = denoiser(x, t)
    clipped = 0
    for row, left in enumerate(target.alpha_bar()):
        signal, sigma = math.sqrt(left), math.sqrt((1 - left) / left)
        scale = 1 / math.sqrt(sigma**2 + 0.25)
        inner = scale * x[row : row + 1] / signal if preconditioned else x[row : row + 1]
        with torch.no_grad():
            raw = denoiser.network(inner, t[row : row + 1] / 20)[0]
        if not preconditioned:
            assert torch.allclose(found[row], raw, atol=1e-6)
            continue
        guess = 0.25 / (sigma**2 + 0.25) * x[row] / signal + sigma * 0.5 * scale * raw
        clipped += int((guess.abs() > 1).sum())
        assert torch.allclose(found[row], (x[row] / signal - guess.clamp(-1, 1)) / sigma, rtol=1e-3, atol=1e-4)
    assert clipped > 0 or not preconditioned


def test_every_weight_comes_from_the_given_generator() -> None:
    def build(global_seed: int, seed: int) -> dict[str, torch.Tensor]:
        with torch.random.fork_rng():
            torch.manual_seed(global_seed)
            return weights(built(tiny(attention=True, conditional=True), LABELLED, seed))

    first, again, other = build(0, 0), build(1, 0), build(0, 1)
    assert same(first, again)
    constant = ("bias", "updates", "norm.weight", "norm1.weight", "norm2.weight")  # 0 and 1 at the start
    assert all(name.endswith(constant) != (not torch.equal(first[name], other[name])) for name in first)


# --- training ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("times", [1, 3])
def test_a_rows_loss_is_its_own_mean_squared_error(times: int) -> None:
    target = tiny(times_per_record=times, timesteps=50, schedule="cosine", conditional=True)
    networks, x, labels = built(target, LABELLED), images(4), torch.tensor([0, 2, 1, 0])
    found = target.losses(target.phases()[0], networks, Batch(x, labels, 4, LABELLED), Draw(Device(), 5, "test"))
    assert found.public is None
    assert found.private is not None
    draw, left = Draw(Device(), 5, "test"), alpha_bar("cosine", 50)
    drawn = [(draw.integers(50, 4), draw.normal(*x.shape)) for _ in range(times)]
    (denoiser,) = networks["denoiser"]
    for row in range(4):
        errors = []
        for t, eps in drawn:
            a = float(left[int(t[row])])
            noisy = math.sqrt(a) * x[row] + math.sqrt(1 - a) * eps[row]
            predicted = denoiser(noisy[None], t[row : row + 1], labels[row : row + 1])
            errors.append(float(((predicted[0] - eps[row]) ** 2).sum().detach()) / x[row].numel())
        assert float(found.private[row].detach()) == pytest.approx(sum(errors) / times, rel=1e-4)


def test_the_average_is_a_running_mean_that_warms_up() -> None:
    target = tiny(decay=0.3)
    networks = built(target)
    (denoiser,), (average,) = networks["denoiser"], networks["average"]
    name = "network.stem.weight"
    expected = denoiser.get_parameter(name).detach().double()
    assert torch.equal(average.get_parameter(name).double(), expected)
    rng = torch_generator(3, "test")
    for n in range(6):
        with torch.no_grad():
            for p in denoiser.parameters():
                p.add_(torch.randn(p.shape, generator=rng))
            target.after_update(target.phases()[0], networks, Losses(None, None), Batch(images(0), None, 8, SCHEMA))
        decay = min(0.3, (1 + n) / (10 + n))
        expected = decay * expected + (1 - decay) * denoiser.get_parameter(name).detach().double()
        assert torch.allclose(average.get_parameter(name).double(), expected, atol=1e-5)
    assert float(average.get_buffer("updates")) == 6


def test_training_moves_the_average_behind_the_denoiser() -> None:
    start, trained = run(tiny(steps=0)).networks, run(tiny()).networks
    a, b = weights({"average": start["average"]}), weights({"average": trained["average"]})
    assert all(not torch.equal(a[name], b[name]) for name in a)
    assert float(trained["average"][0].get_buffer("updates")) == 6
    assert not any(p.requires_grad for p in parameters(trained, ["average"]))
    assert all(p.requires_grad for p in parameters(trained, ["denoiser"]))


def test_records_are_generated_from_the_average_alone() -> None:
    target = tiny()
    networks = run(target).networks
    before = target.generate(networks, 2, Draw(Device(), 0, "test"))
    with torch.no_grad():
        for p in parameters(networks, ["denoiser"]):
            p.add_(1)
    assert torch.equal(before, target.generate(networks, 2, Draw(Device(), 0, "test")))
    with torch.no_grad():
        for p in parameters(networks, ["average"]):
            p.add_(1)
    assert not torch.equal(before, target.generate(networks, 2, Draw(Device(), 0, "test")))


def test_stored_networks_go_on_where_they_stood() -> None:
    target = tiny()
    networks = run(target).networks
    again = built(target, seed=9)
    from_tensors(again, to_tensors(networks))
    assert same(weights(again), weights(networks))
    assert float(again["average"][0].get_buffer("updates")) == 6


def test_samplers_differ_in_the_noise_they_add() -> None:
    networks = built(tiny())
    z = Draw(Device(), 0, "test").normal(2, 1, 10, 12)
    made = {}
    for sampler, eta in (("ddim", 0.0), ("ddim", 1.0), ("ddpm", 0.0), ("ddpm", 0.5), ("ddim", 0.5)):
        target = tiny(sampler=sampler, eta=eta)
        made[sampler, eta] = target.generate(networks, 2, Draw(Device(), 0, "test"))
        assert torch.equal(target.decode(networks, z), tiny().decode(networks, z))
    plain, full, ddpm, ddpm_half, half = made.values()
    assert torch.equal(plain, tiny().decode(networks, z))
    assert torch.equal(full, ddpm)
    assert torch.equal(ddpm, ddpm_half)
    assert not torch.equal(plain, full)
    assert not torch.equal(half, full)


def test_latents_are_images_of_noise() -> None:
    target = tiny()
    with pytest.raises(ValueError, match="expected ddpm's networks to be built before its latents are drawn"):
        target.latent(2, Draw(Device(), 0, "test"))
    networks = built(target)
    z = target.latent(2, Draw(Device(), 0, "test"))
    assert z.shape == (2, 1, 10, 12)
    made = tiny(sampler="ddim").generate(
        networks, 2, Draw(Device(), 0, "test")
    )  # a target that has built nothing itself
    assert torch.equal(made, target.decode(networks, z))


def test_gradients_flow_through_decoding() -> None:
    target = tiny()
    z = Draw(Device(), 0, "test").normal(2, 1, 10, 12).mul(0.1).requires_grad_()
    x = target.decode(built(target), z)
    (gradient,) = torch.autograd.grad(x[0].sum(), z)
    assert float(gradient[0].abs().max()) > 0
    assert float(gradient[1].abs().max()) == 0


def test_it_learns_a_few_records() -> None:
    x = np.where(generator(0, "test").random((4, 1, 8, 8)) < 0.5, 0, 255).astype(np.uint8)
    records = Records(np.arange(4, dtype=np.int64), x, None, Schema("image", (1, 8, 8)))
    target = DDPM(steps=120, batch_size=16, width=16, patch=2, learning_rate=4e-3, sampling_steps=10)
    networks = train(replace(request(target), records=records)).networks
    with torch.no_grad():
        made = target.generate(networks, 20, Draw(Device(), 0, "test"))
    apart = (made[:, None] - torch.from_numpy(records.floats())[None]).square().flatten(2).mean(dim=2)
    assert float(apart.amin(dim=1).mean()) < 0.5  # other patterns of black and white are 2 away, blends of two 1


# --- defenses --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("defense", [ClipOnly(), DPSGD(noise_multiplier=1.0)], ids=repr)
@pytest.mark.parametrize("times", [1, 2])
def test_it_trains_privately(defense: Defense, times: int) -> None:
    target = tiny(times_per_record=times, batch_size=2)  # of 30 records: some batches are empty
    assert defense.refuses(target, SCHEMA, ()) is None
    result, before = run(target, defense, n=30), run(tiny(steps=0)).networks
    assert result.status == "completed"
    assert (result.claim is not None) == isinstance(defense, DPSGD)
    assert not same(weights(before), weights(result.networks))
    assert same(weights(result.networks), weights(run(target, defense, n=30).networks))


@pytest.mark.parametrize("defense", [WeightNorm(roles=BOTH), Dropout(roles=BOTH)], ids=repr)
def test_defenses_change_denoiser_and_average_alike(defense: Defense) -> None:
    result = run(tiny(), defense)
    assert result.status == "completed"
    names = [[name for name, _ in module.named_parameters()] for module in modules(result.networks, BOTH)]
    assert names[0] == names[1]


def test_a_defense_of_the_denoiser_alone_is_refused() -> None:
    with pytest.raises(IncompatibleError, match=r"denoiser and average to have the same parameters.*roles: \[denoiser"):
        run(tiny(), WeightNorm(roles=["denoiser"]))


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("shape", "shown"), [((1, 7, 8), "7x8"), ((3, 65, 64), "65x64")])
def test_sizes_out_of_reach_are_refused(shape: tuple[int, ...], shown: str) -> None:
    reason = DDPM().refuses(Schema("image", shape))
    assert reason is not None
    assert f"8 to 64 pixels a side, got {shown}" in reason


def test_tables_and_missing_labels_are_refused() -> None:
    assert DDPM().refuses(Schema("table", (5,))) == "ddpm models image records, not table records"
    assert "needs labels" in (DDPM(conditional=True).refuses(SCHEMA) or "")
    assert DDPM(conditional=True).refuses(LABELLED) is None


def test_more_sampling_steps_than_times_are_refused() -> None:
    with pytest.raises(ValueError, match="at most as many sampling_steps as timesteps, 10, got 11"):
        DDPM(timesteps=10, sampling_steps=11)
    assert DDPM(timesteps=10, sampling_steps=10).options.sampling_steps == 10
