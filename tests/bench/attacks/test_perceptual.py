"""The perceptual distance: against a loop over pixels, and what it sees and what it does not."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from bench.attacks._perceptual import FAINT, distance, features
from bench.errors import InputError
from bench.rng import generator

Image = NDArray[np.float64]


def images(*shape: int) -> torch.Tensor:
    return torch.from_numpy(generator(0, "images", *shape).uniform(-1, 1, shape))


def apart(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return distance(features(a), features(b))


def looped(a: Image, b: Image) -> float:
    """One pixel at a time, ``(channels, height, width)`` each."""

    def edges(image: Image, i: int, j: int) -> Image:
        found = []
        for c in image:
            found += [
                (c[i, j + 1] - c[i, j - 1]) / 2,
                (c[i + 1, j] - c[i - 1, j]) / 2,
                c[i, j] - (c[i, j - 1] + c[i, j + 1] + c[i - 1, j] + c[i + 1, j]) / 4,
            ]
        vector = np.array(found)
        return vector / np.sqrt(vector @ vector + FAINT**2)

    scales = []
    while True:
        height, width = a.shape[1:]
        pixels = [(i, j) for i in range(1, height - 1) for j in range(1, width - 1)]
        scales.append(np.mean([((edges(a, *p) - edges(b, *p)) ** 2).sum() / 2 for p in pixels]))
        if min(height, width) < 8:
            return float(np.mean(scales))
        a, b = halved(a), halved(b)


def halved(image: Image) -> Image:
    channels, height, width = image.shape
    small = np.empty((channels, height // 2, width // 2))
    for c, i, j in np.ndindex(small.shape):
        small[c, i, j] = image[c, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2].mean()
    return small


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 9, 17), (2, 3, 5), (1, 4, 4)])
def test_it_is_that_of_a_loop_over_pixels(shape: tuple[int, ...]) -> None:
    a, b = images(4, *shape), images(4, *shape).flip(0)
    wanted = [looped(p, q) for p, q in zip(a.numpy(), b.numpy(), strict=True)]
    np.testing.assert_allclose(apart(a, b).numpy(), wanted, rtol=1e-10)


def test_equal_images_are_at_distance_0_and_negatives_at_nearly_2() -> None:
    x = images(3, 1, 16, 16)
    assert apart(x, x).tolist() == [0, 0, 0]
    opposite = apart(x, -x)
    assert ((opposite > 1.5) & (opposite < 2)).all()


def test_brightness_is_not_seen_and_contrast_hardly() -> None:
    x, other = images(1, 1, 16, 16) / 2, images(2, 1, 16, 16)[1:] / 2
    assert float(apart(x, x + 0.3)) == pytest.approx(0, abs=1e-12)
    assert float(apart(x, 2 * x)) < 0.1 * float(apart(x, other))


def test_the_grain_of_flat_areas_is_hardly_seen() -> None:
    flat = torch.zeros(1, 1, 16, 16, dtype=torch.float64)
    assert float(apart(flat, flat + 0.01 * images(1, 1, 16, 16))) < 0.02


def test_gradients_are_those_of_differences_flat_areas_included() -> None:
    x, y = images(1, 1, 8, 8), images(2, 1, 8, 8)[1:]
    x[:, :, :4] = 0
    x.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: apart(x, y), (x,))


@pytest.mark.parametrize("shape", [(1, 1, 2, 8), (1, 12)])
def test_what_has_no_edges_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="expected images of at least 3x3 pixels to compare edges of, got"):
        features(torch.zeros(shape))
