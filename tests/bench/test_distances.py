"""Nearest distances against float64 brute force, exact where a record was copied."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bench.devices import Device
from bench.distances import SHORTLIST, nearest
from bench.rng import generator

CPU = Device()
Floats = NDArray[np.float32]


def brute_force(x: Floats, s: Floats, k: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    a, b = x.reshape(len(x), -1).astype(np.float64), s.reshape(len(s), -1).astype(np.float64)
    distance = np.array([[np.sqrt(np.sum((p - q) ** 2)) for q in b] for p in a])
    order = np.argsort(distance, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(distance, order, axis=1), order


def normal(*shape: int, seed: int = 0) -> Floats:
    return generator(seed, "test distances").normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("chunk", [1, 7, 64, 1000])
@pytest.mark.parametrize("k", [1, 3, 10])
def test_equals_brute_force(k: int, chunk: int) -> None:
    x, s = normal(20, 1, 5, 6), normal(130, 1, 5, 6, seed=1)
    distances, places = nearest(x, s, CPU, k, chunk)
    expected, order = brute_force(x, s, k)
    assert distances.dtype == np.float64
    assert places.dtype == np.int64
    assert np.array_equal(places, order)
    np.testing.assert_allclose(distances, expected, rtol=1e-12)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 12), st.integers(1, 40), st.integers(1, 5), st.integers(1, 50))
def test_equals_brute_force_everywhere(seed: int, n: int, m: int, dims: int, chunk: int) -> None:
    rng = generator(seed, "test distances")
    x, s = rng.normal(size=(n, dims)).astype(np.float32), rng.normal(size=(m, dims)).astype(np.float32)
    k = int(rng.integers(1, m + 1))
    np.testing.assert_allclose(nearest(x, s, CPU, k, chunk)[0], brute_force(x, s, k)[0], rtol=1e-12)


@pytest.mark.parametrize("offset", [0.0, 100.0, -1.0])
def test_a_copy_is_at_distance_exactly_zero(offset: float) -> None:
    """Where ||x||^2 - 2 x.s + ||s||^2 in float32 would give some hundredths."""
    s = normal(300, 784) * 0.3 + np.float32(offset)
    distances, places = nearest(s[::7].copy(), s, CPU)
    assert np.array_equal(distances, np.zeros((len(s[::7]), 1)))
    assert np.array_equal(places[:, 0], np.arange(0, 300, 7))


def test_a_tiny_change_is_not_lost() -> None:
    s = normal(50, 784) + np.float32(10)
    x = s.copy()
    x[:, 5] += np.float32(2**-10)
    distances, places = nearest(x, s, CPU)
    np.testing.assert_allclose(distances[:, 0], np.abs(x[:, 5].astype(np.float64) - s[:, 5]), rtol=1e-12)
    assert np.array_equal(places[:, 0], np.arange(50))


@pytest.mark.parametrize("chunk", [2, 3, 5, 100])
def test_ties_go_to_the_earlier_record(chunk: int) -> None:
    s = np.array([[3.0], [1.0], [-1.0], [5.0], [1.0]], np.float32)
    distances, places = nearest(np.zeros((1, 1), np.float32), s, CPU, 3, chunk)
    assert distances.tolist() == [[1, 1, 1]]
    assert places.tolist() == [[1, 2, 4]]


def test_more_ties_than_the_shortlist_holds_keep_their_distance() -> None:
    s = np.ones((3 * SHORTLIST + 10, 4), np.float32)
    distances, places = nearest(np.zeros((2, 4), np.float32), s, CPU, 2, 5)
    assert distances.tolist() == [[2, 2], [2, 2]]
    assert all(len(set(row)) == 2 for row in places.tolist())


@pytest.mark.parametrize("k", [4, 5])
def test_too_few_records_to_search(k: int) -> None:
    with pytest.raises(ValueError, match=rf"expected at least k = {k} records to search, got 3"):
        nearest(normal(2, 3), normal(3, 3), CPU, k)


def test_as_many_neighbours_as_records() -> None:
    x, s = normal(4, 3), normal(6, 3, seed=1)
    np.testing.assert_allclose(nearest(x, s, CPU, 6, 4)[0], brute_force(x, s, 6)[0], rtol=1e-12)


@pytest.mark.parametrize("chunk", [16, 100])
def test_memory_is_bounded_by_the_chunk(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    largest, original = [0], torch.addmm

    def recording(*args: Any, **kwargs: Any) -> torch.Tensor:
        product = original(*args, **kwargs)
        largest.append(product.numel())
        return product

    monkeypatch.setattr(torch, "addmm", recording)
    nearest(normal(30, 8), normal(500, 8, seed=1), CPU, 2, chunk)
    assert max(largest) == 30 * chunk
    assert sum(largest) == 30 * 500
