"""Federated averaging, against models trained one by one and averaged with numpy; and aggregations from files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fed_cases import alone, arrays, small

from bench.contracts.tiny import GREY, differing, shortened, tiny_records, tiny_request
from bench.errors import IncompatibleError, InputError, PluginError
from defenses._aggregate import checked, federated_mean, load_aggregate, weighted_mean
from defenses._fedavg import Federation, evenly, rounds_of, settle, trained_names
from defenses.base import Defense
from defenses.dropout import Dropout
from defenses.federated import Federated, put_together
from defenses.spectral_norm import SpectralNorm
from targets.base import Networks, Target, from_tensors, modules, to_tensors
from targets.ddpm import DDPM
from targets.trainee import make_updater
from targets.training import TrainingRequest, prepare, train
from targets.wgan_gp import WGANGP


def test_the_weighted_mean_is_numpys() -> None:
    rng = np.random.default_rng(0)
    sent, sizes = [rng.normal(size=(3, 2)).astype(np.float32) for _ in range(4)], [1, 2, 3, 40]
    wanted = np.average(np.array(sent, dtype=np.float64), axis=0, weights=sizes)
    found = weighted_mean(sent, sizes)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, wanted.astype(np.float32))


def test_the_mean_of_one_model_is_that_model_and_counters_stay_whole() -> None:
    one = np.random.default_rng(0).normal(size=100).astype(np.float32)
    assert weighted_mean([one], [7]).tobytes() == one.tobytes()
    counters = [np.array(3, np.int64), np.array(8, np.int64)]
    found = weighted_mean(counters, [1, 3])
    assert (found.dtype, found.shape, int(found)) == (np.int64, (), 7)  # 6.75
    assert int(weighted_mean(counters[:1] * 3, [3, 7, 11])) == 3


def test_rounds_are_counted_and_kept_evenly() -> None:
    assert [rounds_of(steps, 4) for steps in (0, 1, 4, 5, 8)] == [0, 1, 1, 2, 2]
    assert sorted(evenly(16, 8)) == [2, 4, 6, 8, 10, 12, 14, 16]
    assert sorted(evenly(3, 8)) == [1, 2, 3]
    assert sorted(evenly(100, 1)) == [100]
    assert sorted(evenly(0, 4)) == []


TARGETS: list[Any] = [
    pytest.param(lambda: small(), id="dcgan"),
    pytest.param(lambda: small(norm="batch"), id="batch norm"),
    pytest.param(lambda: shortened(DDPM(width=8, sampling_steps=3), 5), id="ddpm"),
    pytest.param(lambda: shortened(WGANGP(width=4, latent=4, critic_steps=2), 5), id="wgan_gp"),
]


@pytest.mark.parametrize("make", TARGETS)
def test_one_client_is_plain_training(make: Callable[[], Target]) -> None:
    """Several rounds: with kept optimisers it does not matter that a server takes the model and gives it back."""
    request = tiny_request(make(), [Federated(clients=1, sampled=1)])
    request = replace(request, records=request.records.take(np.arange(8)))  # two local steps a round
    plain = alone(request, 0, np.arange(8), prepare(request)[0])
    for number in range(1, 6):
        plain.step(number)
    found = train(request)
    assert len(found.updates) == 3
    assert differing(found.networks, plain.networks) == []


def test_one_client_with_fresh_optimisers_is_plain_training_that_forgets() -> None:
    request = tiny_request(small(), [Federated(clients=1, sampled=1, optimizer_state="fresh")])
    request = replace(request, records=request.records.take(np.arange(8)))
    plain = alone(request, 0, np.arange(8), prepare(request)[0])
    for number in range(1, 6):
        if number in (3, 5):
            for phase in plain.phases:
                plain.updaters[phase.name] = make_updater(phase, plain.networks, (), plain.context)
        plain.step(number)
    assert differing(train(request).networks, plain.networks) == []
    kept = replace(request, defenses=(Federated(clients=1, sampled=1),))
    assert differing(train(kept).networks, plain.networks)


@pytest.mark.parametrize("norm", ["group", "batch"])
def test_a_round_of_two_clients_is_the_mean_of_two_trainings(norm: str) -> None:
    """Two rounds, by hand: 9 and 15 records, so that weights matter, and batches and optimisers go on."""
    request = tiny_request(small(4, norm=norm), [Federated(clients=2, sampled=2)])
    part_of = np.array([0] * 9 + [1] * 15)
    start, history = prepare(request)
    trainees = [alone(request, index, np.flatnonzero(part_of == index), start) for index in (0, 1)]
    now = arrays(start)
    for steps in ((1, 2, 3), (4,)):
        for trainee in trainees:
            from_tensors(trainee.networks, {name: torch.from_numpy(array) for name, array in now.items()})
            for number in steps:
                trainee.step(number)
        first, second = (arrays(trainee.networks) for trainee in trainees)
        for name in now:
            mean = (9 * first[name].astype(np.float64) + 15 * second[name].astype(np.float64)) / 24
            now[name] = np.asarray(mean if now[name].dtype == np.float32 else np.rint(mean), now[name].dtype)

    def close(federation: Federation) -> None:
        clients = federation.taking_part
        assert [c.records for c in clients] == [9, 15]
        put_together(start, [c.networks for c in clients], [9, 15], federation.number, federated_mean)

    defense = request.defenses[0]
    everyone: Iterator[tuple[int, ...]] = iter([(0, 1)] * 2)
    federation = Federation(request, defense.options, part_of, 3, start, history, everyone, close)
    for number in range(1, 5):
        federation.step(number)
    found = arrays(start)
    assert {name: found[name].tobytes() for name in found} == {name: now[name].tobytes() for name in now}


def test_parameters_go_to_the_aggregate_and_buffers_to_the_mean() -> None:
    """Averages of weights are parameters that nothing trains: a median of them is what is released."""
    request = tiny_request(small(norm="batch"))
    models = []
    for seed in range(3):
        networks, _ = prepare(replace(request, seed=seed))
        for module in modules(networks, networks):
            for place, buffer in enumerate(module.buffers()):
                buffer.copy_(torch.full_like(buffer, 10 * seed + place))
        models.append(networks)
    found, _ = prepare(request)

    def median(sent: list[Any], sizes: list[int], current: list[Any], number: int) -> list[Any]:
        assert (sizes, number, len(current)) == ([1, 2, 5], 4, len(sent[0]))
        return [np.median([model[place] for model in sent], axis=0) for place in range(len(current))]

    put_together(found, models, [1, 2, 5], 4, median)
    parameters = {f"{r}.{i}.{n}" for r in found for i, m in enumerate(found[r]) for n, _ in m.named_parameters()}
    assert any("average" in name for name in parameters - trained_names(found))
    for name, array in arrays(found).items():
        sent = np.array([arrays(model)[name] for model in models], dtype=np.float64)
        wanted = np.median(sent, axis=0) if name in parameters else np.average(sent, axis=0, weights=[1, 2, 5])
        np.testing.assert_array_equal(
            array, (np.rint(wanted) if array.dtype == np.int64 else wanted).astype(array.dtype)
        )


def test_spectral_norms_vectors_have_length_one_in_the_global_model() -> None:
    request = tiny_request(small(3), [Federated(clients=4, sampled=4), SpectralNorm()])
    found = train(request)
    vectors = {n: t for n, t in to_tensors(found.networks).items() if n.endswith(("_u", "_v"))}
    assert vectors
    for vector in vectors.values():
        np.testing.assert_allclose(float(vector.norm()), 1, rtol=1e-5)


def test_settling_changes_no_other_network() -> None:
    networks, _ = prepare(tiny_request(small(norm="batch")))
    before = to_tensors(networks)
    settle(networks)
    assert all(torch.equal(before[name], tensor) for name, tensor in to_tensors(networks).items())


def test_clients_draw_for_themselves() -> None:
    """Clients with the same records, from the same weights: batches, noise and dropout masks are their own."""
    request = tiny_request(small(1), [Federated(clients=2, sampled=2), Dropout()])
    twins = replace(request, records=replace_ids(request))
    start, history = prepare(twins)
    part_of = np.repeat([0, 1], 12)
    federation = Federation(
        twins, twins.defenses[0].options, part_of, 1, start, history, iter([(0, 1)]), lambda _: None
    )
    first, second = (federation.client(index).trainee for index in (0, 1))
    assert differing(first.networks, second.networks) == []
    x = torch.from_numpy(tiny_records(GREY).floats())
    assert not torch.equal(*(t.networks["discriminator"][0](x) for t in (first, second)))
    federation.step(1)
    assert differing(first.networks, second.networks)


def replace_ids(request: TrainingRequest) -> Any:
    """Records whose second half repeats the first, under ids of their own."""
    records = request.records
    half = len(records) // 2
    x = np.concatenate([records.x[:half]] * 2)
    assert records.labels is not None
    return replace(records, x=x, labels=np.concatenate([records.labels[:half]] * 2))


class Ends(Defense):
    """Ends training after the second step."""

    name = "ends"

    def after_step(self, number: int, networks: Networks, context: Any, state: Any) -> bool:
        return number == 2


def test_no_client_ends_before_the_others() -> None:
    request = tiny_request(small(), [Federated(clients=3), Ends()])
    with pytest.raises(IncompatibleError, match="ends training after step 2, but under federated no client"):
        train(request)


def write(folder: Path, text: str) -> Path:
    file = folder / "mine.py"
    file.write_text(text, encoding="utf-8")
    return file


MEDIAN = """
import numpy as np
def median(models, sizes, current, number):
    return [np.median([m[i] for m in models], axis=0) for i in range(len(current))]
class Rounds:
    def __init__(self):
        self.seen = 0
    def __call__(self, models, sizes, current, number):
        self.seen += 1
        return [np.full_like(a, self.seen) for a in current]
rounds = Rounds()
"""


def test_what_an_aggregation_keeps_begins_afresh_with_each_training(tmp_path: Path) -> None:
    file = write(tmp_path, MEDIAN)
    sent = [[np.zeros(2)]]
    for _ in range(2):
        aggregate = load_aggregate(file, "rounds")
        assert [float(aggregate(sent, [1], sent[0], n)[0][0]) for n in (1, 2)] == [1, 2]


@pytest.mark.parametrize(
    ("text", "name", "error", "reason"),
    [
        (
            MEDIAN,
            "mean",
            InputError,
            r"a function or a Flower strategy 'mean' in .*got Rounds, median, rounds",
        ),
        (MEDIAN, "np", InputError, "expected a function or a Flower strategy 'np'"),
        (MEDIAN, "Rounds", InputError, "to be a function or a Flower strategy, got a class"),
        ("x = 1", "f", InputError, "got none"),
        ("import nothing_of_this_name", "f", PluginError, "does not run: ModuleNotFoundError: .*nothing_of_this_name"),
        ("def f(:", "f", PluginError, "does not run: SyntaxError"),
    ],
)
def test_files_without_an_aggregation(
    tmp_path: Path, text: str, name: str, error: type[Exception], reason: str
) -> None:
    with pytest.raises(error, match=reason):
        load_aggregate(write(tmp_path, text), name)


CURRENT = [np.zeros((2, 3), np.float32), np.zeros((), np.float32)]


@pytest.mark.parametrize(
    ("returned", "reason"),
    [
        ([CURRENT[0]], "mine: expected 2 arrays in the shapes of the global model, got 1"),
        ([CURRENT[0].T, CURRENT[1]], r"mine: expected 2 arrays .*, got array 0 of shape \(3, 2\) for \(2, 3\)"),
        ([CURRENT[0] + np.nan, CURRENT[1]], "mine: expected finite values from finite models, got NaN or infinity in"),
        (None, "mine failed in round 3: TypeError"),
        ([CURRENT[0], object()], "mine failed in round 3: TypeError"),
    ],
)
def test_what_an_aggregation_returns_is_checked(returned: Any, reason: str) -> None:
    with pytest.raises(PluginError, match=reason):
        checked(lambda *_: returned, "mine", [CURRENT], [1], CURRENT, 3)


def test_a_returned_model_has_the_types_of_the_global_one() -> None:
    found = checked(lambda *_: [[[1, 2, 3]] * 2, 4.0], "mine", [CURRENT], [1], CURRENT, 1)
    assert [(a.dtype, a.shape) for a in found] == [(np.float32, (2, 3)), (np.float32, ())]


def test_a_client_that_diverged_is_no_fault_of_the_aggregation() -> None:
    broken = [CURRENT[0] + np.inf, CURRENT[1]]
    assert not np.isfinite(checked(federated_mean, "mine", [broken], [1], CURRENT, 1)[0]).any()


def test_an_aggregation_cannot_change_the_global_model_in_place() -> None:
    def greedy(models: Any, sizes: Any, current: Any, number: int) -> Any:
        current[0] += 1
        return current

    checked(greedy, "mine", [CURRENT], [1], CURRENT, 1)
    assert not CURRENT[0].any()
