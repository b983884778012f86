"""How often an attack names the part that holds a member."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm
from scipy.stats import t as student

from bench.metrics.parts import read_parts
from bench.rng import generator


def test_accuracy_and_chance_are_those_of_a_count() -> None:
    rng = generator(0, "parts")
    truth, named = rng.integers(-1, 4, (3, 200)), rng.integers(-1, 4, (3, 200))
    found = read_parts(truth, named)
    assert found is not None
    right, largest = [], []
    for row, word in zip(truth.tolist(), named.tolist(), strict=True):
        members = [(t, w) for t, w in zip(row, word, strict=True) if t >= 0]
        right.append(sum(t == w for t, w in members) / len(members))
        largest.append(max(sum(t == part for t, _ in members) for part in range(4)) / len(members))
    assert found.accuracy == pytest.approx(sum(right) / 3)
    assert found.chance == pytest.approx(sum(largest) / 3)
    assert found.parts == 4
    assert found.members == min(int((row >= 0).sum()) for row in truth)


def test_interval_is_wilsons() -> None:
    truth = np.zeros((2, 50), np.int64)
    named = np.array([[0] * 40 + [1] * 10] * 2)
    found = read_parts(truth, named)
    assert found is not None
    z, p, n = norm.ppf(0.975), 0.8, 50
    centre, half = (p + z**2 / (2 * n)) / (1 + z**2 / n), z * (p * (1 - p) / n + z**2 / (4 * n**2)) ** 0.5
    assert (found.low, found.high) == pytest.approx((centre - half / (1 + z**2 / n), centre + half / (1 + z**2 / n)))


def test_even_parts_have_the_chance_of_one_part() -> None:
    found = read_parts(np.arange(20)[None] % 5, np.zeros((1, 20), np.int64))
    assert found is not None
    assert (found.chance, found.accuracy) == (0.2, 0.2)


@pytest.mark.parametrize("named", [[[-1, -1, -1]], [[-1, -1, 0]]], ids=["nobody", "a non-member alone"])
def test_says_nothing_where_no_member_is_named(named: list[list[int]]) -> None:
    assert read_parts(np.array([[0, 1, -1]]), np.array(named)) is None


def test_the_interval_over_runs_holds_both_spreads_and_needs_three() -> None:
    truth = np.zeros((3, 100), np.int64)
    named = np.array([[0] * right + [1] * (100 - right) for right in (60, 70, 80)])
    found = read_parts(truth, named)
    assert found is not None
    assert found.seed_low is not None
    assert found.seed_high is not None
    runs = student.ppf(0.975, 2) * 0.1 / 3**0.5
    assert 0.7 - found.seed_low == pytest.approx((runs**2 + (0.7 - found.low) ** 2) ** 0.5)
    assert found.seed_high - 0.7 == pytest.approx((runs**2 + (found.high - 0.7) ** 2) ** 0.5)
    two = read_parts(truth[:2], named[:2])
    assert two is not None
    assert (two.seed_low, two.seed_high) == (None, None)


def test_runs_that_all_name_every_part_are_as_unsure_as_one() -> None:
    found = read_parts(np.zeros((4, 30), np.int64), np.zeros((4, 30), np.int64))
    assert found is not None
    assert (found.accuracy, found.seed_high) == (1, 1)
    assert found.seed_low == pytest.approx(found.low)
