"""Perturbed copies of images: against scipy's, and against one pixel at a time."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from bench.attacks._augment import mirrored, recoloured, rotated, shifted
from bench.rng import generator

SHAPES = [(3, 1, 8, 8), (2, 3, 5, 7)]


def images(shape: tuple[int, ...]) -> NDArray[np.float32]:
    return generator(0, "test images").uniform(-1, 1, shape).astype(np.float32)


@pytest.mark.parametrize("shape", SHAPES)
def test_shifts_are_those_of_scipy(shape: tuple[int, ...]) -> None:
    x = images(shape)
    down, right = np.array([2, -1, 9])[: shape[0]], np.array([0, -3, 1])[: shape[0]]
    wanted = [
        ndimage.shift(x[i], (0, down[i], right[i]), order=0, mode="nearest", prefilter=False) for i in range(shape[0])
    ]
    found = shifted(x, down, right)
    assert found.dtype == np.float32
    assert found.tobytes() == np.stack(wanted).tobytes()


def test_a_shift_goes_where_it_says() -> None:
    x = np.zeros((1, 1, 4, 4), np.float32)
    x[0, 0, 1, 1] = 1
    assert np.argwhere(shifted(x, np.array([1]), np.array([2]))[0, 0]).tolist() == [[2, 3]]


@pytest.mark.parametrize("degrees", [4.0, -16.0, 37.0, 120.0])
@pytest.mark.parametrize("shape", SHAPES)
def test_rotations_are_those_of_scipy(shape: tuple[int, ...], degrees: float) -> None:
    x = images(shape)
    wanted = [
        [ndimage.rotate(c.astype(np.float64), degrees, reshape=False, order=1, mode="nearest") for c in image]
        for image in x
    ]
    found = rotated(x, degrees)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_a_quarter_turn_is_counter_clockwise_and_none_changes_nothing() -> None:
    x = images((2, 3, 6, 6))
    np.testing.assert_allclose(rotated(x, 90), np.rot90(x, axes=(2, 3)), atol=1e-5)
    assert np.array_equal(rotated(x, 0), x)


def test_only_the_chosen_images_are_mirrored() -> None:
    x = images((3, 3, 5, 7))
    found = mirrored(x, np.array([True, False, True]))
    for i, flipped in enumerate((True, False, True)):
        for column in range(7):
            assert np.array_equal(found[i, :, :, column], x[i, :, :, 6 - column if flipped else column])


def test_colours_are_those_of_a_loop() -> None:
    x = images((3, 2, 4, 5))
    brightness, contrast = np.array([0.1, -0.5, 0], np.float32), np.array([1.2, 0.5, 1], np.float32)
    found = recoloured(x, brightness, contrast)
    for i in range(3):
        mean = x[i].astype(np.float64).mean()
        for place in np.ndindex(2, 4, 5):
            wanted = mean + (x[i][place] - mean) * contrast[i] + brightness[i]
            assert found[i][place] == pytest.approx(min(1, max(-1, wanted)), abs=1e-6)
    assert (found[0] == 1).any()  # something was clipped
    np.testing.assert_allclose(found[2], x[2], atol=1e-6)
