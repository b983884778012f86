"""The speed of attacks on diffusion models, beside one candidate at a time: read the ratio, not the seconds.

``pytest tests/benchmarks --benchmark-enable`` compares them; without it each runs once, on less, as a test.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from pytest_benchmark.fixture import BenchmarkFixture

from bench.attacks.base import Attack, Knowledge
from bench.attacks.diffusion_loss import DiffusionLoss
from bench.attacks.pfami import PFAMI
from bench.attacks.pia import PIA
from bench.attacks.secmi import SecMI
from bench.contracts.tiny import tiny_records
from bench.devices import Device
from bench.records import Records, Schema
from bench.release import Release, View
from bench.rng import RecordRng, torch_generator
from targets.ddpm import DDPM
from targets.training import set_mode

SCHEMA = Schema("image", (1, 28, 28))
CANDIDATES = 128
ATTACKS = [DiffusionLoss(times=[100, 200], noises=2), SecMI(t_sec=40), PIA(), PFAMI(times=[200], factors=[0.9, 0.7])]

Method = Callable[[Attack, Records, View], NDArray[np.float64]]


def in_passes(attack: Attack, candidates: Records, view: View) -> NDArray[np.float64]:
    return attack.score(candidates, view, Knowledge(), RecordRng(0), chunk=len(candidates)).scores


def one_by_one(attack: Attack, candidates: Records, view: View) -> NDArray[np.float64]:
    """One candidate at a time, as a loop over records would have it."""
    return attack.score(candidates, view, Knowledge(), RecordRng(0), chunk=1).scores


@pytest.mark.benchmark(min_rounds=3, warmup=False)
@pytest.mark.parametrize("method", [in_passes, one_by_one], ids=["in passes", "one by one"])
@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_scores(benchmark: BenchmarkFixture, attack: Attack, method: Method) -> None:
    benchmark.group = f"{attack.name} of {CANDIDATES} candidates of 28x28"
    candidates = tiny_records(SCHEMA, CANDIDATES if benchmark.enabled else 8)
    target = DDPM()
    networks = target.build(SCHEMA, torch_generator(0, "weights"))
    set_mode(networks, train=False)
    view = View("white_box", SCHEMA, Device(), release=lambda: Release(target, networks, SCHEMA, Device()))
    found = benchmark(method, attack, candidates, view)
    np.testing.assert_allclose(found, in_passes(attack, candidates, view), rtol=1e-3)
