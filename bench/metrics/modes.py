"""Which classes the samples show, as told by a classifier trained on real records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import InputError

MODE_SHARE = 0.5
"""A class counts as a mode of the samples when it receives this fraction of its share among the real records.

Small fractions count the classifier's mistakes: with 1,500 digits to learn from, real digits of *one* class
fill up to six of the ten classes at a tenth, and at most two at a half.
"""

MIN_PER_CLASS = 5
"""Reference records per class, on average, below which a classifier cannot tell which classes are generated."""


@dataclass(frozen=True)
class ModeClassifier:
    """Tells a record's class from its features.

    Attributes:
        classes: int64 ``(modes_real,)``, the classes present among the real records, ascending.
        shares: float64 ``(modes_real,)``, the fraction of the real records in each; sums to 1.
        model: the fitted scikit-learn pipeline.
    """

    classes: NDArray[np.int64]
    shares: NDArray[np.float64]
    model: Any

    @property
    def modes_real(self) -> int:
        """Number of classes present among the real records."""
        return len(self.classes)

    def predict(self, features: NDArray[Any]) -> NDArray[np.int64]:
        """The likeliest class of each record, int64 ``(n,)``."""
        return np.asarray(self.model.predict(features.astype(np.float64)), dtype=np.int64)

    def received(self, features: NDArray[Any]) -> NDArray[np.float64]:
        """Fraction of the records ``(n, d)`` in each class, ``(modes_real,)``."""
        counts = np.bincount(np.searchsorted(self.classes, self.predict(features)), minlength=self.modes_real)
        return counts / len(features)


def fit_classifier(features: NDArray[Any], labels: NDArray[np.int64] | None) -> ModeClassifier | None:
    """Logistic regression on standardised features ``(n, d)``; None without two classes, or with few records of each.

    Raises:
        InputError: features and labels differ in number, or a feature is not finite.
    """
    if labels is None:
        return None
    if features.ndim != 2 or labels.shape != (len(features),):
        raise InputError(f"expected one label per row of features, got {labels.shape} labels for {features.shape}")
    if not np.isfinite(features).all():
        raise InputError("expected finite features of the reference records, got NaN or infinity")
    classes, counts = np.unique(labels.astype(np.int64), return_counts=True)
    if len(classes) < 2 or len(labels) < MIN_PER_CLASS * len(classes):
        return None
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    # lbfgs draws no random numbers.
    model = make_pipeline(StandardScaler(), LogisticRegression(solver="lbfgs", max_iter=1000))
    model.fit(features.astype(np.float64), labels)
    return ModeClassifier(classes, counts / len(labels), model)


def mode_count(received: NDArray[np.float64], shares: NDArray[np.float64]) -> int:
    """Number of classes that receive at least ``MODE_SHARE`` of their real share; both ``(modes_real,)``."""
    return int((received >= MODE_SHARE * shares).sum())


def label_entropy(received: NDArray[np.float64]) -> float:
    """Entropy in nats of the class shares ``(modes_real,)``: 0 for one class, log(modes_real) if equal."""
    some = received[received > 0]
    return float(max(0.0, -(some * np.log(some)).sum()))
