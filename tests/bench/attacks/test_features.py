"""Feature spaces against naive loops and other libraries, and distances in them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.decomposition import PCA

import bench.attacks._features as module
from bench.attacks._features import (
    Space,
    colour_histogram,
    distance_blocks,
    feature_map,
    principal_components,
)
from bench.attacks._hog import oriented_gradients
from bench.devices import Device
from bench.errors import InputError
from bench.records import Records, Schema
from bench.rng import generator

Values = NDArray[np.float64]


def images(n: int, *shape: int, seed: int = 0) -> Records:
    x = generator(seed, "feature images").integers(0, 256, (n, *shape), dtype=np.uint8)
    return Records(np.arange(n, dtype=np.int64), x, None, Schema("image", shape))


def table(x: NDArray[Any]) -> Records:
    return Records(np.arange(len(x), dtype=np.int64), x.astype(np.float32), None, Schema("table", x.shape[1:]))


def correlated(n: int, d: int, seed: int = 0) -> NDArray[np.float32]:
    rng = generator(seed, "correlated")
    return (rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) + rng.normal(size=d)).astype(np.float32)


@pytest.mark.parametrize(("n", "d"), [(200, 12), (12, 50), (30, 30)])  # more records than values, fewer, as many
def test_components_are_those_of_scikit_learn(n: int, d: int) -> None:
    x, other = correlated(n, d), correlated(7, d, seed=1)
    found = principal_components(table(x), 5)
    wanted = PCA(5, svd_solver="full").fit(x.astype(np.float64))
    np.testing.assert_allclose(np.abs(np.sum(found.axes * wanted.components_.T, axis=0)), 1, rtol=1e-8)
    signs = np.sign(np.sum(found.axes * wanted.components_.T, axis=0))
    np.testing.assert_allclose(found(other), wanted.transform(other.astype(np.float64)) * signs, rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(found.deviations, np.sqrt(wanted.explained_variance_ * (n - 1) / n), rtol=1e-8)
    np.testing.assert_allclose(found.standardised(x).std(axis=0), 1, rtol=1e-6)


def test_never_more_components_than_the_records_have() -> None:
    x = correlated(100, 6)
    flat = np.concatenate([x, x[:, :2] + x[:, 2:4], np.full((100, 1), 3, np.float32)], axis=1)
    assert principal_components(table(flat), 40).axes.shape == (9, 6)
    assert principal_components(table(x[:4]), 40).axes.shape == (6, 3)  # four records span three directions


def test_components_of_more_records_than_they_are_fitted_on(monkeypatch: pytest.MonkeyPatch) -> None:
    x = correlated(500, 8)
    whole = principal_components(table(x), 3)
    monkeypatch.setattr(module, "FIT", 250)
    part = principal_components(table(x), 3)
    assert not np.array_equal(part.axes, whole.axes)
    np.testing.assert_allclose(part.deviations, whole.deviations, rtol=0.25)


def test_components_of_equal_records() -> None:
    with pytest.raises(InputError, match="expected reference records that differ from each other, got 5 equal ones"):
        principal_components(table(np.ones((5, 3))), 2)


@pytest.mark.parametrize(("shape", "wanted"), [((1, 12, 12), 40), ((3, 8, 8), 120)])
def test_how_many_components_images_have(shape: tuple[int, ...], wanted: int) -> None:
    records = images(200, *shape)
    assert feature_map("pca", records)(records.floats()).shape == (200, wanted)
    assert feature_map("pca", records, 7)(records.floats()).shape == (200, 7)


def test_rows_at_once_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    records = images(23, 1, 8, 8)
    spaces: tuple[Space, ...] = ("pca", "hog", "colour_histogram", "identity")
    whole = {space: feature_map(space, records, 4)(records.floats()) for space in spaces}
    monkeypatch.setattr(module, "ROWS", 5)
    for space, wanted in whole.items():
        found = feature_map(space, records, 4)(records.floats())
        assert found.dtype == np.float64
        np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-12)


def test_identity_is_the_values_themselves() -> None:
    records = images(3, 2, 4, 5)
    found = feature_map("identity", records)(records.floats())
    assert np.array_equal(found, records.floats().reshape(3, 40))


def hog_loop(image: Values, cell: int) -> list[float]:
    """Pixel by pixel, cell by cell, block by block, after scikit-image's ``hog`` with 2x2 cells a block."""
    channels, height, width = image.shape
    rows, columns = height // cell, width // cell
    cells = np.zeros((rows, columns, 9))
    for y in range(rows * cell):
        for x in range(columns * cell):
            best = (-1.0, 0.0, 0.0)
            for c in range(channels):
                down = image[c, y + 1, x] - image[c, y - 1, x] if 0 < y < height - 1 else 0.0
                right = image[c, y, x + 1] - image[c, y, x - 1] if 0 < x < width - 1 else 0.0
                if np.hypot(down, right) > best[0]:
                    best = (np.hypot(down, right), down, right)
            size, down, right = best
            angle = np.degrees(np.arctan2(down, right)) % 180
            for i in range(9):
                if 20 * i <= angle < 20 * (i + 1):
                    cells[y // cell, x // cell, i] += size / cell**2
    features: list[float] = []
    for r in range(rows - 1):
        for c in range(columns - 1):
            block = np.concatenate([cells[r + i, c + j] for i in range(2) for j in range(2)])
            block = block / np.sqrt(np.sum(block**2) + 1e-10)
            block = np.minimum(block, 0.2)
            features.extend(block / np.sqrt(np.sum(block**2) + 1e-10))
    return features


@pytest.mark.parametrize(
    ("shape", "cell", "features"),
    [
        ((1, 28, 28), 8, 144),
        ((3, 32, 32), 8, 324),
        ((1, 8, 8), 4, 36),
        ((3, 9, 14), 4, 72),
        ((1, 2, 2), 1, 36),
    ],
)
def test_oriented_gradients_are_those_of_a_loop(shape: tuple[int, ...], cell: int, features: int) -> None:
    x = images(3, *shape).floats()
    found = oriented_gradients(x)
    assert found.shape == (3, features)
    wanted = [hog_loop(image.astype(np.float64), cell) for image in x]
    np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-9)


def test_gradients_of_an_image_without_any() -> None:
    assert np.array_equal(oriented_gradients(np.ones((2, 3, 8, 8), np.float32)), np.zeros((2, 36)))


def test_an_edge_has_the_orientation_that_it_has() -> None:
    """Brightness that grows rightwards is at 0 degrees, downwards at 90; falling is the same as growing."""
    rise = np.tile(np.linspace(-1, 1, 8, dtype=np.float32), (8, 1))
    rightwards, downwards = (oriented_gradients(e[None, None]).reshape(4, 9).sum(axis=0) for e in (rise, rise.T))
    assert np.flatnonzero(rightwards).tolist() == [0]
    assert np.flatnonzero(downwards).tolist() == [4]
    np.testing.assert_allclose(oriented_gradients(-rise[None, None]), oriented_gradients(rise[None, None]))


def test_images_too_small_for_oriented_gradients() -> None:
    with pytest.raises(InputError, match="expected images of at least 2x2 pixels for 'hog', got 1x9"):
        oriented_gradients(np.zeros((1, 1, 1, 9), np.float32))


def test_colour_histogram_is_numpy_s() -> None:
    records = images(5, 3, 6, 7)
    wanted = [
        [np.histogram(channel, bins=16, range=(-1, 1))[0] / 42 for channel in image.astype(np.float64)]
        for image in records.floats()
    ]
    np.testing.assert_allclose(colour_histogram(records.floats()), np.reshape(wanted, (5, 48)), rtol=1e-12)


def test_colour_histogram_counts_both_ends() -> None:
    ends = np.array([-1, 1], np.float32).reshape(1, 1, 1, 2)
    assert np.flatnonzero(colour_histogram(ends)[0]).tolist() == [0, 15]


@pytest.mark.parametrize("space", ["hog", "colour_histogram"])
def test_features_of_images_alone(space: Space) -> None:
    with pytest.raises(InputError, match=f"expected images for the feature space '{space}', got tables"):
        feature_map(space, table(correlated(5, 3)))


@pytest.mark.parametrize("pairs", [1, 30, 100, 10**6])
def test_distances_are_those_of_a_loop(pairs: int) -> None:
    x, s = correlated(17, 6).astype(np.float64), correlated(23, 6, seed=2).astype(np.float64) + 100
    s[5] = x[3]
    found = np.empty((17, 23))
    for rows, block in distance_blocks(x, s, Device(), pairs):
        assert block.dtype == torch.float64
        assert block.shape[0] == 1 or block.numel() <= pairs
        found[rows] = block.numpy()
    wanted = [[np.sum((a - b) ** 2) for b in s] for a in x]
    np.testing.assert_allclose(found, wanted, rtol=1e-10, atol=1e-9)
    assert found.min() >= 0
