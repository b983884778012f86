"""How much dearer a training step is under DP-SGD; the figure is reported, not judged.

``pytest tests/benchmarks --benchmark-enable`` compares them; without it each trains once, for less, as a test.
"""

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
from targets.base import Target
from targets.dcgan import DCGAN
from targets.ddpm import DDPM
from targets.training import TrainingRequest, train
from targets.vae import VAE

STEPS = 8
SCHEMA = Schema("image", (1, 28, 28))
TARGETS: dict[str, Callable[[int], Target]] = {
    "dcgan, batch 16": lambda steps: DCGAN(steps=steps, batch_size=16, width=16),
    "dcgan, batch 64": lambda steps: DCGAN(steps=steps, batch_size=64, width=16),
    "vae, batch 16": lambda steps: VAE(steps=steps, batch_size=16),
    "vae, batch 64": lambda steps: VAE(steps=steps, batch_size=64),
    "ddpm, batch 16": lambda steps: DDPM(steps=steps, batch_size=16),
}


def training(target: Target, steps: int, *stack: Defense) -> Callable[[], None]:
    x = generator(0, "bench records").integers(0, 256, (200, *SCHEMA.shape), dtype=np.uint8)
    records = Records(np.arange(200, dtype=np.int64), x, None, SCHEMA)
    request = TrainingRequest(target, stack, records, 200, records.take(np.arange(5)), 0, Device())

    def run() -> None:
        assert train(request).steps_done == steps

    return run


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    "stack",
    [
        (ClipOnly(),),
        (DPSGD(noise_multiplier=1.0),),
        (DPSGD(noise_multiplier=1.0, mode="functorch"),),
    ],
    ids=["clip_only", "dp_sgd", "dp_sgd functorch"],
)
def test_step_under_dp_sgd_against_an_undefended_one(
    benchmark: BenchmarkFixture, target: str, stack: tuple[Defense, ...]
) -> None:
    steps = STEPS if benchmark.enabled else 2
    plain, private = (training(TARGETS[target](steps), steps, *own) for own in ((NoDefense(),), stack))
    benchmark.pedantic(private, rounds=3, warmup_rounds=1)  # type: ignore[no-untyped-call]
    if benchmark.stats is not None:  # None under --benchmark-disable
        plain()  # warms the kernels up
        seconds = []
        for _ in range(3):
            start = time.perf_counter()
            plain()
            seconds.append(time.perf_counter() - start)
        benchmark.extra_info["undefended_s"] = min(seconds)
        benchmark.extra_info["ratio"] = benchmark.stats.stats.min / min(seconds)
