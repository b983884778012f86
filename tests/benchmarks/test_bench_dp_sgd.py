"""How much dearer a training step is under DP-SGD; the figure is reported, not judged."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.devices import Device
from bench.records import Records, Schema
from bench.rng import generator
from defenses.base import Defense
from defenses.clip_only import ClipOnly
from defenses.dp_sgd import DPSGD
from defenses.none import NoDefense
from defenses.weight_norm import WeightNorm
from targets.dcgan import DCGAN
from targets.training import TrainingRequest, train

STEPS = 4
SCHEMA = Schema("image", (1, 28, 28))


def training(*stack: Defense) -> Callable[[], None]:
    x = generator(0, "bench records").integers(0, 256, (200, *SCHEMA.shape), dtype=np.uint8)
    records = Records(np.arange(200, dtype=np.int64), x, None, SCHEMA)
    target = DCGAN(steps=STEPS, batch_size=32, width=16)
    request = TrainingRequest(target, stack, records, 200, records.take(np.arange(5)), 0, Device())

    def run() -> None:
        assert train(request).steps_done == STEPS

    return run


@pytest.mark.parametrize(
    "stack",
    [
        (ClipOnly(),),
        (DPSGD(noise_multiplier=1.0),),
        (DPSGD(noise_multiplier=1.0, mode="functorch"),),
        (WeightNorm(), DPSGD(noise_multiplier=1.0)),
    ],
    ids=["clip_only", "dp_sgd", "dp_sgd functorch", "weight_norm + dp_sgd"],
)
def test_step_under_dp_sgd_against_an_undefended_one(benchmark: BenchmarkFixture, stack: tuple[Defense, ...]) -> None:
    plain, private = training(NoDefense()), training(*stack)
    plain()  # warms the kernels up
    start = time.perf_counter()
    plain()
    undefended_s = time.perf_counter() - start
    benchmark.pedantic(private, rounds=2, warmup_rounds=1)  # type: ignore[no-untyped-call]
    if benchmark.stats is not None:  # None under --benchmark-disable
        benchmark.extra_info["undefended_s"] = undefended_s
        benchmark.extra_info["ratio"] = benchmark.stats.stats.min / undefended_s
