"""Utility: what a classifier learns from generated records, read on real ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import InputError
from bench.metrics.modes import fit_classifier
from bench.rng import generator


@dataclass(frozen=True)
class Utility:
    """Accuracy of two classifiers on the same real records, and how many records each learned from.

    Attributes:
        generated: 0..1, trained on generated records and the labels that they were generated for.
        real: 0..1, trained on as many reference records.
        n: records of each training set.
    """

    generated: float
    real: float
    n: int


def measure_utility(
    samples: tuple[NDArray[Any], NDArray[np.int64]],
    reference: tuple[NDArray[Any], NDArray[np.int64]],
    holdout: tuple[NDArray[Any], NDArray[np.int64]],
    n: int = 1500,
    seed: int = 0,
) -> Utility:
    """Train on synthetic, test on real (Esteban, Hyland and Rätsch, 2017, arXiv:1706.02633, section 5.1.2).

    The classifier is a logistic regression on standardised features, for both. The training sets have the same size,
    the smallest of ``n`` and what either side has; longer sides give a subset drawn from ``seed`` alone.

    Args:
        samples: features ``(s, d)`` of the generated records and their labels int64 ``(s,)``.
        reference: the same of the reference records.
        holdout: the same of the real records that both classifiers are tested on.

    Raises:
        InputError: one of the sides is empty.
    """
    for side, (features, _) in {"generated": samples, "reference": reference, "holdout": holdout}.items():
        if not len(features):
            raise InputError(f"utility expects {side} records with labels, got none")
    size = min(n, len(samples[0]), len(reference[0]))
    generated, real = (
        _accuracy(features[chosen], labels[chosen], holdout)
        for side, (features, labels) in {"samples": samples, "reference": reference}.items()
        for chosen in [generator(seed, "utility", side).permutation(len(features))[:size]]
    )
    return Utility(generated, real, size)


def _accuracy(
    features: NDArray[Any], labels: NDArray[np.int64], holdout: tuple[NDArray[Any], NDArray[np.int64]]
) -> float:
    """Of a classifier that learned from these; what only ever saw one class says that class."""
    classifier = fit_classifier(features, labels)
    said = classifier.predict(holdout[0]) if classifier else np.full(len(holdout[1]), labels[0])
    return float((said == holdout[1]).mean())
