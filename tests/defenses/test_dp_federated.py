"""Client-level privacy: the noisy mean against a naive loop with planted mistakes, the claim, and what is left out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from itertools import islice
from typing import Any

import dp_accounting  # type: ignore[import-untyped]
import numpy as np
import pytest
import torch
from dp_accounting.pld import PLDAccountant  # type: ignore[import-untyped]
from fed_cases import alone, small
from numpy.typing import NDArray
from pydantic import ValidationError

from bench.contracts import check_defense
from bench.contracts.tiny import GREY, MIXED, differing, shortened, tiny_request
from bench.devices import Device
from bench.errors import IncompatibleError
from bench.records import Schema
from defenses import dp_federated
from defenses._accounting import EPS_ERROR, gaussian_claim
from defenses._dp_server import add_noisy_mean, keep_up
from defenses._fedavg import trained_names, trained_parameters
from defenses._partition import even_parts
from defenses.base import Defense, TrainingContext, stack_refuses
from defenses.dp_federated import DPFederated
from defenses.dp_sgd import DPSGD
from defenses.dropout import Dropout
from defenses.early_stopping import EarlyStopping
from defenses.spectral_norm import SpectralNorm
from targets.base import Batch, Draw, Losses, Networks, Phase, Target, from_tensors, modules, to_tensors
from targets.began import BEGAN
from targets.ctgan import CTGAN
from targets.dcgan import DCGAN
from targets.ddpm import DDPM
from targets.training import TrainingRequest, TrainingResult, prepare, train
from targets.vae import VAE
from targets.wgan_gp import WGANGP

remembered = cache(gaussian_claim)  # the accountant takes seconds, and always says the same


@pytest.fixture(autouse=True)
def _one_account_of_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dp_federated, "gaussian_claim", remembered)


QUIET = 1e-9  # a noise multiplier that leaves nothing but rounding


def private(**options: Any) -> DPFederated:
    return DPFederated(**{"clients": 6, "sample_rate": 0.5, "local_steps": 2, "noise_multiplier": 1.0, **options})


@pytest.mark.parametrize(
    ("target", "schema"),
    [
        (DCGAN(width=4, latent=4), GREY),
        (DCGAN(width=4, latent=4, conditional=True), GREY),
        (VAE(width=4, latent=4), GREY),
        (DDPM(width=8, sampling_steps=3), GREY),
        (WGANGP(width=4, latent=4), GREY),
        (CTGAN(width=8, latent=4), MIXED),
    ],
    ids=repr,
)
def test_contract(target: Target, schema: Schema) -> None:
    report = check_defense(private(), target=target, schema=schema)
    assert {rule: reason for rule, reason in report.items() if reason} == {}


def vector(networks: Networks) -> NDArray[np.float64]:
    return np.concatenate([p.detach().double().numpy().ravel() for p in trained_parameters(networks)])


def shifted(request: TrainingRequest, sizes: list[float]) -> list[Networks]:
    """Models whose trained parameters lie so far from those of the request's first, in directions of their own."""
    found = []
    for seed, size in enumerate(sizes):
        networks, _ = prepare(request)
        held = trained_parameters(networks)
        rng = np.random.default_rng(seed)
        steps = [rng.normal(size=p.shape) for p in held]
        length = np.sqrt(sum((step**2).sum() for step in steps))
        with torch.no_grad():
            for p, step in zip(held, steps, strict=True):
                p.add_(torch.from_numpy(step * size / length).float())
        found.append(networks)
    return found


def test_changes_are_clipped_jointly_summed_and_divided_by_a_constant() -> None:
    request = tiny_request(small())
    networks, _ = prepare(request)
    start, clients = vector(networks), shifted(request, [0.5, 2.0, 40.0])
    wanted = np.zeros_like(start)
    for client in clients:
        change = vector(client) - start
        wanted += change / max(1.0, float(np.sqrt((change**2).sum())) / 1.5)
    add_noisy_mean(networks, clients, 1.5, 0.0, 7.0, Draw(Device(), 0, "noise"))
    np.testing.assert_allclose(vector(networks) - start, wanted / 7, atol=2e-7)


def test_the_noise_is_on_the_sum_and_there_without_clients() -> None:
    """Its standard deviation over all coordinates: sigma * clip / (rate * clients), empty round or not."""
    request = tiny_request(small())
    changes = []
    for clients in ([], shifted(request, [1.0])):
        networks, _ = prepare(request)
        start = vector(networks)
        add_noisy_mean(networks, clients, 0.5, 3 * 0.5, 2.5, Draw(Device(), 0, "noise"))
        changes.append(vector(networks) - start)
    np.testing.assert_allclose(changes[0].std(), 3 * 0.5 / 2.5, rtol=0.05)
    assert abs(changes[0].mean()) < 5 * 0.6 / len(changes[0]) ** 0.5
    assert np.linalg.norm(changes[1] - changes[0]) == pytest.approx(0.5 / 2.5, rel=1e-3)


def test_a_client_that_diverged_adds_no_more_than_any_other() -> None:
    request = tiny_request(small())
    for value in (np.nan, np.inf, 3e38):
        networks, _ = prepare(request)
        start, (client,) = vector(networks), shifted(request, [1.0])
        with torch.no_grad():
            trained_parameters(client)[0].fill_(value)
        add_noisy_mean(networks, [client], 1.0, 0.0, 1.0, Draw(Device(), 0, "noise"))
        assert np.linalg.norm(vector(networks) - start) <= 1 + 1e-5


def naive(request: TrainingRequest, defense: DPFederated) -> NDArray[np.float64]:
    """The trained parameters after a whole training with hardly any noise, by a loop over rounds and clients."""
    o, steps = defense.options, request.target.options.steps
    part_of = even_parts(len(request.records), o.clients, request.seed)
    networks, _ = prepare(request)
    trainees = [alone(request, k, np.flatnonzero(part_of == k), networks) for k in range(o.clients)]
    cohorts = defense.cohorts(request.seed)
    for first in range(1, steps + 1, o.local_steps):
        start, total = to_tensors(networks), np.zeros(0)
        for k in next(cohorts):
            from_tensors(trainees[k].networks, start)
            for number in range(first, min(first + o.local_steps, steps + 1)):
                trainees[k].step(number)
            change = vector(trainees[k].networks) - vector(networks)
            clipped = change * min(1.0, o.max_update_norm / float(np.linalg.norm(change)))
            total = clipped if not len(total) else total + clipped
        if len(total):
            new, at = vector(networks) + total / (o.sample_rate * o.clients), 0
            with torch.no_grad():
                for p in trained_parameters(networks):
                    p.copy_(torch.from_numpy(new[at : at + p.numel()]).reshape(p.shape))
                    at += p.numel()
    return vector(networks)


def whole_training() -> tuple[TrainingRequest, DPFederated]:
    """5 rounds of 5 clients with 4 or 5 records each; nobody takes part in one of them."""
    defense = private(clients=5, sample_rate=0.4, noise_multiplier=QUIET, max_update_norm=0.05)
    request = tiny_request(small(9), [defense])
    seed = next(s for s in range(100) if sorted(map(len, islice(defense.cohorts(s), 5)))[:2] == [0, 1])
    return replace(request, seed=seed), defense


Mean = Callable[[Networks, list[Networks], float, float, float, Draw], None]


def by_those_who_came(networks: Networks, clients: Any, norm: float, sd: float, expected: float, noise: Draw) -> None:
    add_noisy_mean(networks, clients, norm, sd, max(1, len(clients)), noise)


def by_their_records(networks: Networks, clients: Any, norm: float, sd: float, expected: float, noise: Draw) -> None:
    weighted = [client for place, client in enumerate(clients) for _ in range(1 + (place == 0))]
    add_noisy_mean(networks, weighted, norm, sd, expected * len(weighted) / max(1, len(clients)), noise)


def without_a_clip(networks: Networks, clients: Any, norm: float, sd: float, expected: float, noise: Draw) -> None:
    add_noisy_mean(networks, clients, 1e9, sd, expected, noise)


def clipped_by_layer(networks: Networks, clients: Any, norm: float, sd: float, expected: float, noise: Draw) -> None:
    with torch.no_grad():
        held = trained_parameters(networks)
        total = [torch.zeros_like(p) for p in held]
        for client in clients:
            for part, mine, p in zip(total, trained_parameters(client), held, strict=True):
                part.add_((mine - p) * (norm / (mine - p).norm()).clamp_max(1))
        for p, part in zip(held, total, strict=True):
            p.add_(part / expected)


@pytest.mark.parametrize(
    "mistake", [None, by_those_who_came, by_their_records, without_a_clip, clipped_by_layer], ids=lambda f: str(f)[:30]
)
def test_a_whole_training_against_a_naive_loop(mistake: Mean | None, monkeypatch: pytest.MonkeyPatch) -> None:
    request, defense = whole_training()
    if mistake is not None:
        monkeypatch.setattr(dp_federated, "add_noisy_mean", mistake)
    found, wanted = vector(train(request).networks), naive(request, defense)
    moved = np.linalg.norm(wanted - vector(prepare(request)[0]))
    if mistake is None:
        assert np.linalg.norm(found - wanted) < 1e-4 * moved
    else:
        assert np.linalg.norm(found - wanted) > 0.02 * moved


def test_a_round_without_clients_moves_the_model_and_counts() -> None:
    """Nobody takes part in any of three rounds: the noise of each is added up, and the history goes on."""
    defense = private(sample_rate=1e-6, max_update_norm=1e-9)  # over 6e-6 expected clients
    request = tiny_request(small(5), [defense])
    assert list(islice(defense.cohorts(request.seed), 3)) == [()] * 3
    result = train(request)
    change = vector(result.networks) - vector(prepare(request)[0])
    np.testing.assert_allclose(change.std(), 1e-9 / 6e-6 * 3**0.5, rtol=0.05)
    assert result.claim is not None
    assert result.claim.steps == 3
    assert {name: values.tolist() for name, values in result.history.items()} == {
        f"{what}/{phase}": [0.0] * 5 for what in ("loss", "grad_norm") for phase in ("discriminator", "generator")
    }


def test_an_empty_round_repeats_the_losses_before_it() -> None:
    request, defense = whole_training()
    cohorts = list(islice(defense.cohorts(request.seed), 5))
    history = train(request).history["loss/generator"]
    assert len(history) == 9
    empty = next((i for i, c in enumerate(cohorts) if not c and i), None)
    if empty is None:
        pytest.fail("expected a later round without clients")
    assert history[2 * empty] == history[2 * empty - 1]


def test_clients_join_by_draws_of_their_own() -> None:
    drawn = list(islice(private(clients=50, sample_rate=0.1).cohorts(0), 4000))
    sizes = np.array([len(c) for c in drawn])
    np.testing.assert_allclose(sizes.mean(), 5, rtol=0.03)
    np.testing.assert_allclose(sizes.var(), 50 * 0.1 * 0.9, rtol=0.1)  # as of independent draws
    assert sizes.min() == 0


def test_nothing_of_a_client_but_trained_parameters_reaches_the_model() -> None:
    """Buffers and averages of clients are filled with NaN: the global model does not change by a bit."""
    request = tiny_request(small(), [private()])
    found = []
    for planted in (False, True):
        networks, _ = prepare(request)
        clients = shifted(request, [0.3, 0.4])
        for client in clients if planted else []:
            trained = {id(p) for p in trained_parameters(client)}
            with torch.no_grad():
                for module in modules(client, client):
                    for tensor in [*module.parameters(), *module.buffers()]:
                        if id(tensor) not in trained and tensor.is_floating_point():
                            tensor.fill_(torch.nan)
        add_noisy_mean(networks, clients, 1.0, 1.0, 2.0, Draw(Device(), 0, "noise"))
        keep_up(request, networks, range(1, 3), Draw(Device(), 0, "server"))
        found.append(networks)
    assert differing(*found) == []


@pytest.mark.parametrize(
    ("target", "stack"),
    [(small(), (SpectralNorm(),)), (shortened(DDPM(width=8, sampling_steps=3), 5), ())],
    ids=["dcgan", "ddpm"],
)
def test_where_changes_are_clipped_to_nothing_records_change_nothing(
    target: Target, stack: tuple[Defense, ...]
) -> None:
    """The whole training, on records of other clients: no bit of the release may differ."""
    defense = private(max_update_norm=1e-22, noise_multiplier=1e19, sample_rate=1.0)
    first = tiny_request(target, [defense, *stack])
    other = replace(first, records=first.validation)
    assert first.records.fingerprint() != other.records.fingerprint()
    one, two = train(first), train(other)
    assert differing(one.networks, two.networks) == []
    assert differing(one.networks, prepare(first)[0])
    name = f"loss/{target.phases()[0].name}"
    assert one.history[name].tolist() != two.history[name].tolist()


def test_averages_follow_the_global_model_at_the_pace_of_local_steps() -> None:
    request = tiny_request(shortened(DDPM(width=8, sampling_steps=3), 5), [private()])
    networks, _ = prepare(request)
    name = "denoiser.0." + next(n for n, _ in networks["denoiser"][0].named_parameters())
    average = to_tensors(networks)[name].double().numpy()
    add_noisy_mean(networks, [], 1.0, 0.1, 2.0, Draw(Device(), 0, "noise"))
    keep_up(request, networks, range(1, 4), Draw(Device(), 0, "server"))
    new = to_tensors(networks)[name].double().numpy()
    for n in range(3):
        share = min(0.9995, (1 + n) / (10 + n))
        average = share * average + (1 - share) * new
    np.testing.assert_allclose(to_tensors(networks)[name.replace("denoiser", "average", 1)], average, atol=1e-6)
    assert float(to_tensors(networks)["average.0.updates"]) == 3


def test_a_generators_statistics_are_those_of_public_latents() -> None:
    request = tiny_request(small(average=None), [private()])
    networks, _ = prepare(request)
    reference, _ = prepare(request)
    keep_up(request, networks, range(1, 4), Draw(Device(), 0, "server"))
    draw = Draw(Device(), 0, "server")
    with torch.no_grad():
        for _ in range(3):
            reference["generator"][0](draw.normal(request.target.options.batch_size, 4))
    assert differing(networks, reference) == []
    assert differing(networks, prepare(request)[0])


def test_spectral_norms_vectors_fit_the_noisy_weights() -> None:
    result = train(tiny_request(small(40), [private(noise_multiplier=0.05, local_steps=10), SpectralNorm()]))
    layers = [layer for layer in result.networks["discriminator"][0].modules() if hasattr(layer, "parametrizations")]
    assert layers
    for layer in layers:
        weight = layer.weight
        assert isinstance(weight, torch.Tensor)
        assert float(torch.linalg.matrix_norm(weight.detach().flatten(1), 2)) == pytest.approx(1, abs=0.1)


def test_the_release_holds_no_updates_and_says_who_had_what() -> None:
    request = tiny_request(small(), [private()])
    result = train(request)
    assert result.updates == ()
    assert not DPFederated.releases_updates
    assert result.parts is not None
    np.testing.assert_array_equal(result.parts, even_parts(24, 6, request.seed))
    assert private().partitions == 6


def test_losses_of_clients_decide_nothing() -> None:
    """The undefended training diverges; whether a client's does cannot be seen."""
    target = small(5, learning_rate=1e30)
    assert train(tiny_request(target)).status == "diverged"
    result = train(tiny_request(target, [private(noise_multiplier=0.1)]))
    assert (result.status, result.steps_done) == ("completed", 5)


def test_models_of_other_options_have_other_noise() -> None:
    """Were it the same, the difference of two released models would be free of noise."""
    request = tiny_request(small(2), [private(sample_rate=1e-6)])
    start = vector(prepare(request)[0])
    changes = []
    for options in ({}, {"max_update_norm": 2.0}):
        defense = private(sample_rate=1e-6, **options)
        changes.append(vector(train(replace(request, defenses=(defense,))).networks) - start)
    assert abs(np.corrcoef(*changes)[0, 1]) < 0.1


def claim_of(defense: DPFederated, steps: int) -> Any:
    result: TrainingResult = train(tiny_request(small(steps), [defense]))
    assert result.claim is not None
    return result.claim


def test_the_claim_is_that_of_an_independent_accountant() -> None:
    claim = claim_of(private(noise_multiplier=2.0, local_steps=2, delta=1e-3), 5)
    accountant = PLDAccountant(dp_accounting.NeighboringRelation.ADD_OR_REMOVE_ONE)
    event = dp_accounting.PoissonSampledDpEvent(0.5, dp_accounting.GaussianDpEvent(2.0))
    wanted = accountant.compose(event, 3).get_epsilon(1e-3)
    assert wanted - 1e-3 <= claim.epsilon <= wanted * 1.01 + EPS_ERROR
    assert (claim.unit, claim.steps, claim.sample_rate, claim.max_grad_norm) == ("client", 3, 0.5, 1.0)
    assert claim.noise_multiplier == 2.0


def test_a_budget_finds_its_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    """The noise is looked for with the rate of the clients and the number of rounds."""
    asked = []

    def noise_for(*settings: float) -> float:
        asked.append(settings)
        return 2.5

    monkeypatch.setattr(dp_federated, "noise_for", noise_for)
    assert claim_of(private(noise_multiplier=None, epsilon=3.0, delta=0.01), 3).noise_multiplier == 2.5
    assert set(asked) == {(3.0, 0.01, 0.5, 2)}


def test_a_delta_that_covers_a_whole_client_is_no_guarantee() -> None:
    claim = claim_of(private(delta=0.2), 2)
    assert claim.epsilon is None
    assert claim.void_reason == "delta 0.2 is not below 1 / 6 clients"


class Reader(Defense):
    """Reads members beside the accounting."""

    name = "reader"
    reads_members = "it reads them"


def test_a_defense_that_reads_members_voids_the_claim() -> None:
    result = train(tiny_request(small(2), [private(), Reader()]))
    assert result.claim is not None
    assert result.claim.epsilon is None
    assert "reader: it reads them" in result.claim.void_reason


class Remembers(DCGAN):
    """Keeps the mean of its last batch beside its parameters."""

    name = "remembers"

    def build(self, schema: Schema, rng: torch.Generator) -> Networks:
        networks = super().build(schema, rng)
        networks["discriminator"][0].register_buffer("mean", torch.zeros(()))
        return networks

    def after_update(self, phase: Phase, networks: Networks, losses: Losses, batch: Batch) -> None:
        super().after_update(phase, networks, losses, batch)
        if len(batch.x):
            networks["discriminator"][0].get_buffer("mean").copy_(batch.x.mean())


@pytest.mark.parametrize(
    ("target", "what"),
    [
        (Remembers(width=4, latent=4), "remembers learns discriminator.0.mean"),
        (BEGAN(width=8), "began learns discriminator.0.k"),
    ],
    ids=repr,
)
def test_what_only_records_can_move_is_refused(target: Target, what: str) -> None:
    with pytest.raises(IncompatibleError, match=f"only trained parameters leave a client, but {what} beside them"):
        train(tiny_request(shortened(target, 4), [private()]))


class BatchNorm(Defense):
    """Puts a BatchNorm before the discriminator."""

    name = "batch_norm"

    def adapt_networks(self, networks: Networks, context: TrainingContext) -> Networks:
        before = torch.nn.Sequential(torch.nn.BatchNorm2d(1), networks["discriminator"][0])
        return {**networks, "discriminator": (before,)}


def test_statistics_of_records_are_refused() -> None:
    reason = stack_refuses([private()], small(norm="batch"), GREY)
    assert reason is not None
    assert "dcgan with norm=batch keeps statistics of its records, which no noise covers; use norm=group" in reason
    with pytest.raises(IncompatibleError, match="the discriminator of dcgan keeps running statistics of its records"):
        train(tiny_request(small(), [private(), BatchNorm()]))


@pytest.mark.parametrize(
    ("stack", "reason"),
    [
        ((Dropout(), private()), r"it must come first in a stack: write \[dp_federated, dropout\]"),
        ((private(), DPSGD(noise_multiplier=1.0)), "dp_federated replaces the training procedure"),
        ((private(), EarlyStopping()), "dp_federated replaces the training procedure"),
    ],
    ids=repr,
)
def test_refused(stack: tuple[Defense, ...], reason: str) -> None:
    with pytest.raises(IncompatibleError, match=reason):
        raise IncompatibleError(stack_refuses(stack, small(), GREY))


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({}, "exactly one of `epsilon` and `noise_multiplier`"),
        ({"epsilon": 1.0, "noise_multiplier": 1.0}, "exactly one of `epsilon` and `noise_multiplier`"),
        ({"noise_multiplier": 0.0}, "greater than 0"),
        ({"noise_multiplier": 1.0, "sample_rate": 0.0}, "greater than 0"),
        ({"noise_multiplier": 1.0, "sample_rate": 1.1}, "less than or equal to 1"),
        ({"noise_multiplier": 1.0, "max_update_norm": 0.0}, "greater than 0"),
        ({"noise_multiplier": 1.0, "local_steps": 0}, "greater than or equal to 1"),
        ({"noise_multiplier": 1.0, "delta": 0.0}, "greater than or equal to 0.0000"),
    ],
)
def test_options_that_fail(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        DPFederated(**options)


def test_trained_names_leave_averages_out() -> None:
    networks, _ = prepare(tiny_request(small()))
    names = trained_names(networks)
    assert any(name.startswith("generator.0.network") for name in names)
    assert not any("average" in name for name in names)
