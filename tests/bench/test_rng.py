"""Named generators: streams that belong to their purpose, and to nothing else."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bench.rng import RecordRng, derive_seed, generator, torch_generator

SEEDS = st.integers(0, 2**63 - 1)
PURPOSES = st.lists(st.one_of(st.text(max_size=5), st.integers(-9, 9)), max_size=3)


@given(SEEDS, PURPOSES)
def test_a_seed_has_63_bits_and_is_the_same_again(seed: int, purpose: list[str | int]) -> None:
    first = derive_seed(seed, *purpose)
    assert first == derive_seed(seed, *purpose)
    assert 0 <= first < 2**63


@given(SEEDS, PURPOSES, PURPOSES)
def test_another_purpose_is_another_seed(seed: int, one: list[str | int], other: list[str | int]) -> None:
    separator = any(isinstance(p, str) and "\x1f" in p for p in one + other)
    if not separator:
        assert (derive_seed(seed, *one) == derive_seed(seed, *other)) == (one == other)


def test_a_number_and_its_text_are_two_purposes() -> None:
    assert derive_seed(0, 1) != derive_seed(0, "1")
    assert derive_seed(1, "a") != derive_seed(0, "a")


def test_a_seed_does_not_depend_on_the_process() -> None:
    code = "from bench.rng import derive_seed; print(derive_seed(7, 'weights', 3))"
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": "5"}
    )
    digest = hashlib.sha256(b"7\x1fstr:weights\x1fint:3").hexdigest()
    assert int(run.stdout) == derive_seed(7, "weights", 3) == int(digest[:16], 16) // 2


def test_numpy_and_torch_generators_repeat_themselves_and_touch_no_global_state() -> None:
    torch.manual_seed(1)
    before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    a, b = generator(3, "x").random(4), generator(3, "x").random(4)
    c, d = (torch.rand(4, generator=torch_generator(3, "x")) for _ in range(2))
    assert np.array_equal(a, b)
    assert torch.equal(c, d)
    assert not np.array_equal(a, generator(3, "y").random(4))
    assert torch.equal(before, torch.get_rng_state())
    assert np.array_equal(numpy_before, np.random.get_state()[1])  # noqa: NPY002


@given(st.lists(st.integers(0, 10**6), unique=True, min_size=1, max_size=20), st.randoms(use_true_random=False))
def test_a_record_draws_the_same_in_any_company(ids: list[int], random: object) -> None:
    rng = RecordRng(5, "attack", "random")
    together = dict(zip(ids, rng.uniform(np.array(ids), "score"), strict=True))
    random.shuffle(ids)  # type: ignore[attr-defined]
    assert {i: rng.uniform(np.array([i]), "score")[0] for i in ids} == together


def test_record_draws_are_uniform_and_independent_across_purposes() -> None:
    rng, ids = RecordRng(0, "test"), np.arange(2000)
    one, other = rng.uniform(ids, "one"), rng.uniform(ids, "other")
    assert stats.kstest(one, "uniform").pvalue > 1e-3
    assert abs(stats.spearmanr(one, other).statistic) < 0.09  # 4 standard errors of 1 / sqrt(2000)
    assert abs(stats.spearmanr(one[1:], one[:-1]).statistic) < 0.09


@pytest.mark.parametrize("purpose", ["shared", "record"])
def test_shared_and_record_streams_differ(purpose: str) -> None:
    rng = RecordRng(0)
    assert rng.shared(purpose).random() != rng.record(0, purpose).random()
