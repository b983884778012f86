"""Reference lines: generators so simple that a trained one should beat them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import InputError

MAX_COMPONENTS = 64


def pca_gaussian(
    reference: NDArray[Any],
    n: int,
    rng: np.random.Generator,
    components: int = MAX_COMPONENTS,
    bounded: bool = True,
) -> NDArray[np.float32]:
    """Draws from a Gaussian fitted to the first principal components of the reference records.

    Args:
        reference: floats ``(records, ...)``, of any record shape; in [-1, 1] where they are bounded.
        n: number of records to draw.
        rng: where the draws come from.
        components: principal components kept, at most; fewer when the records span fewer.
        bounded: True for images; the rows of a table have no bounds.

    Returns:
        float32 ``(n, ...)``, clipped to [-1, 1] where bounded. A table's categorical parts are not one-hot.

    Raises:
        InputError: fewer than 2 reference records, or values that are not finite or outside their bounds.
    """
    if len(reference) < 2:
        raise InputError(f"the PCA line expects at least 2 reference records, got {len(reference)}")
    flat = reference.reshape(len(reference), -1).astype(np.float64)
    if not (np.abs(flat) <= (1 if bounded else np.finfo(np.float32).max)).all():
        bounds = " in [-1, 1]; pass floats, not stored images" if bounded else ", got NaN or infinity"
        raise InputError(f"the PCA line expects finite reference records{bounds}")
    mean = flat.mean(axis=0)
    _, scale, axes = np.linalg.svd(flat - mean, full_matrices=False)
    kept = min(components, len(reference) - 1, len(scale))
    deviation = scale[:kept] / np.sqrt(len(reference) - 1)
    drawn = mean + (rng.standard_normal((n, kept)) * deviation) @ axes[:kept]
    made: NDArray[np.float32] = (np.clip(drawn, -1, 1) if bounded else drawn).astype(np.float32)
    return made.reshape(n, *reference.shape[1:])
