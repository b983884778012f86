"""Feature spaces in which attacks compare records, fitted on reference records alone, and distances in them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from bench.attacks._hog import oriented_gradients
from bench.devices import Device
from bench.errors import InputError
from bench.records import Records
from bench.rng import generator

if TYPE_CHECKING:
    import torch

Space = Literal["pca", "hog", "colour_histogram", "identity"]
FeatureMap = Callable[[NDArray[np.float32]], NDArray[np.float64]]

ROWS = 512  # records turned into features at once: bounds memory, changes nothing else
PAIRS = 2**22  # distances held at once: 32 MiB
FIT = 4000  # reference records that principal components are fitted on, at most: bounds the eigenvalue problem
GREY, COLOUR = 40, 120  # components in Hilprecht et al., section 5: of MNIST's, and of CIFAR-10's images
RANK = 1e-10  # of the largest variance: what is below is rounding, and no direction of the records
BINS = 16  # of a colour histogram, per channel


@dataclass(frozen=True)
class Components:
    """Principal components: a linear map to uncorrelated features.

    Attributes:
        mean: float64 ``(values,)``.
        axes: float64 ``(values, components)``, orthonormal columns, largest variance first.
        deviations: float64 ``(components,)``, all positive: the features' standard deviations among the records that
            the components were fitted on.
    """

    mean: NDArray[np.float64]
    axes: NDArray[np.float64]
    deviations: NDArray[np.float64]

    def __call__(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        """Features ``(n, components)`` of records ``(n, ...)``."""
        return _by_rows(lambda part: (part.reshape(len(part), -1).astype(np.float64) - self.mean) @ self.axes, x)

    def standardised(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        """The same features, scaled to unit variance among the records that they were fitted on."""
        return self(x) / self.deviations


def feature_map(space: Space, reference: Records, components: int | None = None) -> FeatureMap:
    """What maps float records ``(n, *shape)`` to float64 features ``(n, features)``.

    Args:
        space: ``pca``: principal components; ``hog``: histograms of oriented gradients; ``colour_histogram``: shares
            of each channel's values in 16 bins; ``identity``: the values themselves.
        reference: what principal components are fitted on.
        components: how many of them; None: 120 for images in colour, else 40. Never more than the records have.

    Raises:
        InputError: the space is of images, and these are none; or the reference records are all equal.
    """
    if space == "pca":
        coloured = reference.schema.kind == "image" and reference.schema.shape[0] > 1
        return principal_components(reference, components or (COLOUR if coloured else GREY))
    if space == "identity":
        return lambda x: x.reshape(len(x), -1).astype(np.float64)
    if reference.schema.kind != "image":
        raise InputError(f"expected images for the feature space {space!r}, got tables; use 'pca' or 'identity'")
    if space == "hog":
        return lambda x: _by_rows(oriented_gradients, x)
    return lambda x: _by_rows(colour_histogram, x)


def principal_components(reference: Records, components: int) -> Components:
    """At most so many principal components of the reference records (of 4,000 of them, where there are more).

    Raises:
        InputError: the records are all equal, so that they have no principal components.
    """
    from scipy.linalg import eigh

    index = np.sort(generator(0, "principal components").permutation(len(reference))[:FIT])
    x = reference.take(index).floats().reshape(len(index), -1).astype(np.float64)
    mean = x.mean(axis=0)
    x -= mean
    # The smaller of the two products has all that can differ from 0.
    wide = x.shape[1] > len(x)
    product = x @ x.T if wide else x.T @ x
    last = len(product) - 1
    values, vectors = eigh(product, subset_by_index=(max(0, last + 1 - components), last))
    values, vectors = values[::-1], vectors[:, ::-1]
    kept = values > RANK * max(float(np.trace(product)), np.finfo(np.float64).tiny)
    if not kept.any():
        raise InputError(
            f"expected reference records that differ from each other, got {len(reference)} equal ones; "
            "principal components need a larger `reference`"
        )
    values, axes = values[kept], vectors[:, kept]
    if wide:
        axes = x.T @ axes / np.sqrt(values)
    # An axis may point either way: to where its largest entry is positive.
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])
    return Components(mean, axes, np.sqrt(values / len(x)))


def colour_histogram(x: NDArray[np.float32]) -> NDArray[np.float64]:
    """Shares ``(n, channels * 16)`` of each channel's values in [-1, 1] that fall into each of 16 equal bins."""
    bins = np.clip(np.floor((x.astype(np.float64) + 1) / 2 * BINS), 0, BINS - 1)
    shares = np.stack([(bins == i).mean(axis=(2, 3)) for i in range(BINS)], axis=2)
    return shares.reshape(len(x), -1)


def distance_blocks(
    x: NDArray[np.float64], s: NDArray[np.float64], device: Device, pairs: int = PAIRS
) -> Iterator[tuple[slice, torch.Tensor]]:
    """Squared Euclidean distances between all rows of ``x`` and of ``s``, some rows of ``x`` at a time.

    In float64: what rounding leaves of a copy's distance 0 is some 1e-8 of the vectors' length about their mean.

    Args:
        x, s: ``(n, features)`` and ``(m, features)``.
        device: where the products run.
        pairs: how many distances a block has at most, but for one row.

    Yields:
        which rows of ``x``, and float64 ``(rows, m)`` on the device, never negative.
    """
    import torch

    centre = s.mean(axis=0)  # distances do not change, and products of centred vectors cancel less
    a, b = (torch.from_numpy(values - centre).to(device.name) for values in (x, s))
    own, others = (a * a).sum(dim=1, keepdim=True), (b * b).sum(dim=1)
    step = max(1, pairs // len(s))
    for start in range(0, len(x), step):
        rows = slice(start, min(start + step, len(x)))
        squared = torch.addmm(others, a[rows], b.T, alpha=-2.0)
        yield rows, squared.add_(own[rows]).clamp_(min=0)


def _by_rows(compute: Callable[[NDArray[np.float32]], NDArray[Any]], x: NDArray[np.float32]) -> NDArray[np.float64]:
    parts = [compute(x[start : start + ROWS]) for start in range(0, max(1, len(x)), ROWS)]
    found: NDArray[np.float64] = np.concatenate(parts)
    return found
