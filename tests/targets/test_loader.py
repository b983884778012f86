"""Batches: shuffled epochs are fair, Poisson sampling is what the accountant assumes."""

from __future__ import annotations

from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from training_cases import noise_records, request, tiny

from defenses.base import TrainingContext
from targets.loader import batches, poisson_rows, sample_rate, shuffled_rows
from targets.training import context_of


def context(batch_size: int, expected: int, **changes: Any) -> TrainingContext:
    return context_of(request(tiny(batch_size=batch_size), expected_records=expected, **changes))


@given(n=st.integers(1, 40), size=st.integers(1, 90), many=st.integers(1, 30), seed=st.integers(0, 99))
@settings(max_examples=100, deadline=None)
def test_shuffled_batches_are_full_and_see_every_record_equally_often(n: int, size: int, many: int, seed: int) -> None:
    rows = list(islice(shuffled_rows(n, size, seed), many))
    assert all(len(row) == size for row in rows)
    flat = np.concatenate(rows)
    counts = np.bincount(flat, minlength=n)
    assert len(counts) == n
    assert counts.max() - counts.min() <= 1
    for epoch in range(len(flat) // n):
        assert sorted(flat[epoch * n : (epoch + 1) * n]) == list(range(n))


def test_epochs_are_reshuffled_and_follow_the_seed() -> None:
    first, second = islice(shuffled_rows(50, 50, 0), 2)
    assert not np.array_equal(first, second)
    assert np.array_equal(first, next(shuffled_rows(50, 50, 0)))
    assert not np.array_equal(first, next(shuffled_rows(50, 50, 1)))


@pytest.mark.parametrize(
    ("batch_size", "expected", "rate"), [(8, 40, 0.2), (40, 40, 1.0), (64, 40, 1.0), (16, 1000, 0.016)]
)
def test_sample_rate_comes_from_the_expected_number_of_records(batch_size: int, expected: int, rate: float) -> None:
    for drawn in (3, 31, 55):  # how many records there really are changes nothing
        assert sample_rate(context(batch_size, expected, n=drawn)) == pytest.approx(rate)


def test_poisson_inclusion_is_binomial_and_independent() -> None:
    n, rate, many = 40, 0.07, 6000
    joined = np.zeros((many, n), bool)
    for row, index in zip(joined, poisson_rows(n, rate, 3), strict=False):
        row[index] = True
    # Per record: binomial counts; sum of squared standard scores is chi-squared with n degrees of freedom.
    z = (joined.sum(axis=0) - many * rate) / np.sqrt(many * rate * (1 - rate))
    assert 1e-3 < stats.chi2.sf((z**2).sum(), n) < 1 - 1e-3
    # Per batch: sizes follow Binomial(n, rate), the empty batch included.
    sizes = np.bincount(joined.sum(axis=1), minlength=9)
    law = stats.binom.pmf(np.arange(8), n, rate)
    law = np.append(law, 1 - law.sum()) * many
    assert stats.chisquare(np.append(sizes[:8], sizes[8:].sum()), law).pvalue > 1e-3
    assert sizes[0] == pytest.approx(many * (1 - rate) ** n, rel=0.15)
    # Between records: no covariance beyond chance.
    correlation = np.corrcoef(joined.T.astype(float))[np.triu_indices(n, 1)]
    assert abs(correlation).max() < 5 / np.sqrt(many)


def test_rate_one_takes_everybody() -> None:
    assert all(len(index) == 7 for index in islice(poisson_rows(7, 1.0, 0), 20))


@pytest.mark.parametrize("poisson", [False, True])
def test_batches_carry_the_records_and_the_public_size(poisson: bool) -> None:
    records = noise_records(12, labels=True)
    assert records.labels is not None
    floats = records.floats()
    sizes = set()
    for batch in islice(batches(records, context(6, 24), poisson), 40):
        assert batch.size == 6
        assert batch.x.shape[1:] == (1, 10, 12)
        assert batch.x.dtype == torch.float32
        assert batch.labels is not None
        sizes.add(len(batch.x))
        for row, label in zip(batch.x.numpy(), batch.labels.tolist(), strict=True):
            (place,) = np.flatnonzero((floats == row).all(axis=(1, 2, 3)))
            assert label == records.labels[place]
    assert (sizes == {6}) == (not poisson)
    assert (0 in sizes) == poisson  # at rate .25 of 12, one batch in thirty is empty


def test_the_draws_follow_the_seed_alone() -> None:
    def drawn(seed: int, global_seed: int) -> list[list[int]]:
        with torch.random.fork_rng():
            torch.manual_seed(global_seed)
            source = batches(noise_records(20), context(5, 20, seed=seed), poisson=True)
            return [batch.x.flatten().tolist() for batch in islice(source, 5)]

    assert drawn(0, 0) == drawn(0, 1)
    assert drawn(0, 0) != drawn(1, 0)
