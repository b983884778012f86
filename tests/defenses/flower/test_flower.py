"""Flower's strategies as aggregations: against the suite's own mean and against formulas; needs no torch.

Flower asks for other versions of some packages than the suite's own environment may hold, so these tests have an
environment of their own and are skipped elsewhere.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.errors import PluginError
from defenses._aggregate import checked, federated_mean, load_aggregate
from defenses._flower import adapted, is_strategy

pytest.importorskip("flwr", reason="flwr is not installed: it has a tox environment of its own")
results = pytest.importorskip("flwr.server.strategy")
messages = pytest.importorskip("flwr.serverapp.strategy")

SHAPES = ((4, 3, 3), (4,), (), (2, 0))
SIZES = [10, 30, 5, 7, 7]


def models(n: int = 5, seed: int = 0) -> list[list[NDArray[Any]]]:
    rng = np.random.default_rng(seed)
    return [[rng.normal(size=shape).astype(np.float32) for shape in SHAPES] for _ in range(n)]


CURRENT = [np.full(shape, 0.25, np.float32) for shape in SHAPES]


def run(strategy: Any, sent: list[list[NDArray[Any]]], sizes: list[int], number: int = 1) -> list[NDArray[Any]]:
    return checked(adapted(strategy), "flower", sent, sizes, CURRENT, number)


def test_aggregations_import_no_torch() -> None:
    program = "import sys, defenses._aggregate; print('torch' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"


@pytest.mark.parametrize("kind", [results, messages], ids=["results", "messages"])
def test_fed_avg_is_our_weighted_mean(kind: Any) -> None:
    found, wanted = run(kind.FedAvg(), models(), SIZES), federated_mean(models(), SIZES, CURRENT, 1)
    for mine, theirs in zip(wanted, found, strict=True):
        assert mine.shape == theirs.shape
        assert mine.dtype == theirs.dtype == np.float32
        np.testing.assert_allclose(theirs, mine, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", [results, messages], ids=["results", "messages"])
def test_fed_median_is_the_median_of_each_coordinate(kind: Any) -> None:
    for place, found in enumerate(run(kind.FedMedian(), models(), SIZES)):
        np.testing.assert_array_equal(found, np.median([model[place] for model in models()], axis=0))


@pytest.mark.parametrize("kind", [results, messages], ids=["results", "messages"])
def test_krum_takes_the_model_that_is_nearest_to_the_others(kind: Any) -> None:
    sent = models()
    sent[2] = [array + 100 for array in sent[2]]  # the one that cannot be chosen
    flat = np.array([np.concatenate([a.ravel() for a in model]) for model in sent], dtype=np.float64)
    square = ((flat[:, None] - flat[None]) ** 2).sum(axis=2)
    nearest = len(sent) - 1 - 2  # Blanchard et al. 2017: the n - f - 2 nearest, f of them malicious
    scores = [np.sort(np.delete(square[i], i))[:nearest].sum() for i in range(len(sent))]
    named = {"num_malicious_clients": 1} if kind is results else {"num_malicious_nodes": 1}
    found = run(kind.Krum(**named), sent, [10] * 5)
    for mine, theirs in zip(sent[int(np.argmin(scores))], found, strict=True):
        np.testing.assert_allclose(theirs, mine, rtol=1e-6)


def test_a_server_optimiser_is_told_the_global_model_and_remembers_its_momentum() -> None:
    strategy = messages.FedAvgM(server_learning_rate=0.5, server_momentum=0.9)
    current, velocity = [a.astype(np.float64) for a in CURRENT], [np.zeros(shape) for shape in SHAPES]
    for number in (1, 2):
        sent = models(seed=number)
        found = run(strategy, sent, SIZES, number)
        mean = [sum(s * m[i].astype(np.float64) for s, m in zip(SIZES, sent, strict=True)) / 59 for i in range(4)]
        velocity = [0.9 * v + (old - new) for v, old, new in zip(velocity, current, mean, strict=True)]
        current = [old - 0.5 * v for old, v in zip(current, velocity, strict=True)]
        for mine, theirs in zip(current, found, strict=True):
            np.testing.assert_allclose(theirs, mine, rtol=1e-4, atol=1e-5)


def test_fed_adam_moves_from_the_global_model() -> None:
    strategy = messages.FedAdam(eta=0.1, beta_1=0.0, beta_2=0.0, tau=1e-9)  # without memory: a step along the sign
    for place, found in enumerate(run(strategy, models(), SIZES)):
        mean = federated_mean(models(), SIZES, CURRENT, 1)[place]
        np.testing.assert_allclose(found, CURRENT[place] + 0.1 * np.sign(mean - CURRENT[place]), rtol=1e-4, atol=1e-5)


def test_arrays_keep_their_order_whatever_their_number() -> None:
    sent = [[np.full((1,), place + 100 * client, np.float32) for place in range(12)] for client in range(3)]
    found = adapted(messages.FedAvg())(sent, [1, 1, 1], sent[0], 1)
    np.testing.assert_allclose(np.concatenate(found), np.arange(12) + 100, rtol=1e-6)


def test_who_trains_is_not_asked_of_the_strategy() -> None:
    strategy = messages.FedAvg(fraction_train=0.3, min_available_nodes=1000)  # it would wait for ever
    assert len(run(strategy, models(1), [10])) == len(SHAPES)
    assert strategy.fraction_train == 0.3


def test_a_strategy_that_does_not_aggregate_is_an_error() -> None:
    class Idle(messages.FedAvg):  # type: ignore[misc, name-defined]
        def aggregate_train(self, server_round: int, replies: Any) -> Any:
            return None, None

    with pytest.raises(
        PluginError, match=r"flower failed in round 3: .*expected new arrays from Flower's Idle, got None"
    ):
        run(Idle(), models(), SIZES, 3)


@pytest.mark.parametrize("module", ["flwr.server.strategy", "flwr.serverapp.strategy"])
def test_a_file_may_hold_a_strategy(tmp_path: Path, module: str) -> None:
    file = tmp_path / "mine.py"
    file.write_text(f"from {module} import FedMedian\nstrategy = FedMedian()\n", encoding="utf-8")
    aggregate = load_aggregate(file, "strategy")
    for place, found in enumerate(aggregate(models(), SIZES, CURRENT, 1)):
        np.testing.assert_array_equal(found, np.median([model[place] for model in models()], axis=0))


def test_strategies_are_told_from_functions_and_classes() -> None:
    assert is_strategy(messages.FedAvg())
    assert is_strategy(results.FedAvg())
    assert not is_strategy(messages.FedAvg)
    assert not is_strategy(federated_mean)
