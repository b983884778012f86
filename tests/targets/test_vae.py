"""The VAE: its loss against torch's distributions, private gradients against a loop over single records."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.distributions import Bernoulli, Normal, kl_divergence

from bench.contracts import check_target
from bench.contracts.tiny import tiny_records
from bench.devices import Device
from bench.errors import IncompatibleError
from bench.records import Records, Schema
from bench.rng import generator, torch_generator
from defenses._per_record import PerRecordUpdater
from defenses.base import Defense, TrainingContext, stack_refuses
from defenses.clip_only import ClipOnly
from defenses.dp_sgd import DPSGD
from targets.base import Batch, Draw, Networks, Target, parameters
from targets.nets.vae import LIMIT, decoder, encoder, posterior
from targets.training import TrainingRequest, generate_labelled, set_mode, train
from targets.vae import VAE

SCHEMA = Schema("image", (1, 10, 12), 3)
ROWS = 5


class Given(Draw):
    """The same normal values for a record wherever it stands: row by row, from where the test says."""

    def __init__(self, first: int = 0) -> None:
        super().__init__(Device(), 0, "unused")
        self.first = first

    def normal(self, *shape: int) -> torch.Tensor:
        every = torch.randn((ROWS, *shape[1:]), generator=torch_generator(5, "eps"))
        return every[self.first : self.first + shape[0]]


def tiny(**options: Any) -> VAE:
    return VAE(**{"width": 4, "latent": 3, "steps": 4, "batch_size": 4, **options})


def build(target: Target, schema: Schema = SCHEMA, scale: float = 3.0) -> Networks:
    """Networks with weights large enough for posteriors to differ from the prior."""
    networks = target.build(schema, torch_generator(0, "weights"))
    with torch.no_grad():
        for p in parameters(networks, target.roles):
            p.mul_(scale)
    return networks


def batch(n: int = ROWS, first: int = 0) -> Batch:
    records = tiny_records(SCHEMA, ROWS)
    assert records.labels is not None
    x, labels = torch.from_numpy(records.floats()), torch.from_numpy(records.labels)
    return Batch(x[first : first + n], labels[first : first + n], 4, SCHEMA)


@pytest.mark.parametrize("conditional", [False, True])
@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_the_loss_is_the_negative_bound(likelihood: str, conditional: bool) -> None:
    target = tiny(likelihood=likelihood, scale=0.4, beta=2.5, conditional=conditional, stretch=1.0)
    networks, rows = build(target), batch()
    found = target.losses(target.phases()[0], networks, rows, Given())
    assert found.public is None
    assert found.private is not None
    labels = rows.labels if conditional else None
    mean, deviation = target.posterior(networks, rows.x, labels)
    decoded = target.decode(networks, mean + deviation * Given().normal(ROWS, 3), labels).double()
    if likelihood == "bernoulli":
        pixels = Bernoulli((decoded + 1) / 2, validate_args=False).log_prob((rows.x.double() + 1) / 2)
    else:
        pixels = Normal(decoded, 0.4).log_prob(rows.x.double())
    divergence = kl_divergence(Normal(mean.double(), deviation.double()), Normal(0.0, 1.0)).sum(dim=1)
    assert divergence.min() > 0.01
    wanted = -pixels.sum(dim=(1, 2, 3)) + 2.5 * divergence
    np.testing.assert_allclose(found.private.detach().numpy(), wanted.detach().numpy(), rtol=1e-4)


@pytest.mark.parametrize("conditional", [False, True])
@pytest.mark.parametrize("mode", ["hooks", "functorch"])
def test_private_gradients_are_those_of_single_records(mode: Any, conditional: bool) -> None:
    target = tiny(conditional=conditional)
    networks, phase = build(target), target.phases()[0]
    set_mode(networks, train=True)
    weights = parameters(networks, phase.roles)
    gradients = []
    for i in range(ROWS):
        alone = target.losses(phase, networks, batch(1, i), Given(i)).private
        assert alone is not None
        gradients.append(torch.cat([g.flatten() for g in torch.autograd.grad(alone.sum(), weights)]).double())
    clip = float(np.median([float(g.norm()) for g in gradients]))  # binds for some records only
    total = sum((g / max(1.0, float(g.norm()) / clip) for g in gradients), torch.zeros(()))
    updater = PerRecordUpdater(
        phase,
        networks,
        torch.optim.SGD(weights, lr=1e-30),
        TrainingContext(target, SCHEMA, 20, 4, 4, 0, Device(), tiny_records(SCHEMA, 2)),
        noise_multiplier=0.0,
        max_grad_norm=clip,
        mode=mode,
    )
    updater.begin()
    updater.step(target.losses(phase, networks, batch(), Given()), 4)
    updater.end()
    found = 4 * torch.cat([p.grad.flatten() for p in weights if p.grad is not None])
    torch.testing.assert_close(found.double(), total, rtol=1e-4, atol=1e-4 * float(total.abs().max()))


@pytest.mark.parametrize("conditional", [False, True])
@pytest.mark.parametrize("defense", [DPSGD(noise_multiplier=1.0, delta=1e-3), ClipOnly()], ids=repr)
def test_it_trains_privately_also_on_empty_batches(defense: Defense, conditional: bool) -> None:
    target = tiny(steps=12, batch_size=2, conditional=conditional)
    assert stack_refuses([defense], target, SCHEMA) is None
    few = tiny_records(SCHEMA, 3)
    # 3 records of 40 expected ones: most batches are empty
    result = train(TrainingRequest(target, (defense,), few, 40, tiny_records(SCHEMA, 2, seed=1), 0, Device()))
    assert (result.status, result.steps_done) == ("completed", 12)
    empty = result.history["loss/elbo"] == 0
    assert 0 < empty.sum() < 12
    if isinstance(defense, DPSGD):
        assert result.claim is not None
        assert result.claim.steps == 12
        assert result.claim.epsilon is not None
        assert result.claim.epsilon > 0
        assert (result.history["grad_norm/elbo"][empty] > 0).all()


def test_an_encoding_is_a_draw_from_the_posterior() -> None:
    target, n = tiny(), 4000
    networks, x = build(target), batch().x
    with torch.no_grad():
        mean, deviation = target.posterior(networks, x)
        every = target.encode(networks, x.repeat_interleave(n, dim=0), Draw(Device(), 0, "encode"))
    drawn = every.reshape(ROWS, n, 3)
    assert deviation.min() > 0
    assert ((drawn.mean(dim=1) - mean).abs() < 5 * deviation / n**0.5).all()
    torch.testing.assert_close(drawn.std(dim=1), deviation, rtol=0.06, atol=0)


def test_the_posterior_stays_finite_on_any_record() -> None:
    mean, log_variance = posterior(torch.tensor([[1.0, -2.0, 1e9, -1e9]]))
    assert mean.tolist() == [[1.0, -2.0]]
    assert log_variance.tolist() == [[LIMIT, -LIMIT]]


def test_labels_steer_both_networks() -> None:
    target = tiny(conditional=True)
    networks, x, z = build(target), batch().x, torch.ones(ROWS, 3)
    zero, one = torch.zeros(ROWS, dtype=torch.int64), torch.ones(ROWS, dtype=torch.int64)
    assert not torch.allclose(target.decode(networks, z, zero), target.decode(networks, z, one))
    assert not torch.allclose(target.posterior(networks, x, zero)[0], target.posterior(networks, x, one)[0])
    made, labels = generate_labelled(target, networks, SCHEMA, 7, 0, Device())
    assert made.shape == (7, 1, 10, 12)
    assert labels is not None
    assert set(labels.tolist()) <= {0, 1, 2}


def test_contract_of_a_conditional_one() -> None:
    report = check_target(tiny(conditional=True))
    assert {rule for rule, reason in report.items() if reason} == {"judges_where_it_has_a_discriminator"}


def test_unlabelled_records_train_an_unconditional_one() -> None:
    x = generator(0, "noise images").integers(0, 256, (6, 1, 10, 12), dtype=np.uint8)
    records = Records(np.arange(6, dtype=np.int64), x, None, Schema("image", (1, 10, 12)))
    assert train(TrainingRequest(tiny(), (), records, 6, records, 0, Device())).status == "completed"
    reason = tiny(conditional=True).refuses(records.schema)
    assert reason == "vae with conditional=true needs labels, and these records have none"


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        (Schema("table", (7,)), "vae models image records, not table records"),
        (Schema("image", (1, 7, 28)), "vae is built for images of 8 to 64 pixels a side, got 7x28; resize them"),
        (Schema("image", (3, 64, 65)), "vae is built for images of 8 to 64 pixels a side, got 64x65; resize them"),
        (Schema("image", (3, 64, 64)), None),
    ],
    ids=str,
)
def test_what_it_refuses(schema: Schema, reason: str | None) -> None:
    assert tiny().refuses(schema) == reason


@pytest.mark.parametrize("width", [4, 12, 16])
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 9, 14), (1, 28, 28), (3, 64, 33)])
def test_networks_of_any_size(shape: tuple[int, ...], width: int) -> None:
    x = torch.zeros(2, *shape)
    assert encoder(shape, width, 5)(x).shape == (2, 10)
    assert decoder(shape, width, 5)(torch.zeros(2, 5)).shape == x.shape
    names = {type(m).__name__ for net in (encoder(shape, width, 5), decoder(shape, width, 5)) for m in net.modules()}
    assert "BatchNorm2d" not in names


@pytest.mark.parametrize("preset", list(VAE.presets))
def test_presets_are_options_that_build(preset: str) -> None:
    target = VAE(**{**VAE.presets[preset], "width": 4})
    assert target.build(SCHEMA, torch_generator(0, "weights")).keys() == {"encoder", "decoder"}


def test_it_has_no_discriminator() -> None:
    target = tiny()
    with pytest.raises(IncompatibleError, match="vae has no discriminator"):
        target.logit(build(target)["encoder"][0], batch().x)


def test_decoded_images_are_stretched_to_black_and_white_and_the_likelihood_is_not() -> None:
    plain, stretched = tiny(stretch=1.0), tiny(stretch=1.5)
    networks, rows = build(plain), batch()
    z = 20 * torch.randn(50, 3, generator=torch_generator(0, "test"))
    decoded = plain.decode(networks, z)
    assert torch.equal(stretched.decode(networks, z), (1.5 * decoded).clamp(-1, 1))
    losses = [t.losses(t.phases()[0], networks, rows, Given()).private for t in (plain, stretched)]
    assert losses[0] is not None
    assert losses[1] is not None
    assert torch.equal(losses[0], losses[1])
