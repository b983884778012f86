"""The classes that samples show."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import entropy
from sklearn.datasets import load_digits

from bench.errors import InputError
from bench.metrics.modes import ModeClassifier, fit_classifier, label_entropy, mode_count
from bench.rng import generator


def clusters(counts: list[int], seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Well separated clusters, class 10 * i around the i-th corner."""
    labels = np.repeat(np.arange(len(counts)) * 10, counts)
    noise = generator(seed, "test").standard_normal((len(labels), len(counts)))
    return (6 * np.eye(len(counts))[labels // 10] + 0.5 * noise).astype(np.float32), labels


def fitted(counts: list[int]) -> ModeClassifier:
    classifier = fit_classifier(*clusters(counts))
    assert classifier is not None
    return classifier


def test_a_planted_mixture_is_recovered() -> None:
    classifier = fitted([100, 60, 40])
    np.testing.assert_array_equal(classifier.classes, [0, 10, 20])
    np.testing.assert_allclose(classifier.shares, [0.5, 0.3, 0.2])
    features, labels = clusters([50, 30, 120], seed=1)
    np.testing.assert_array_equal(classifier.predict(features), labels)
    received = classifier.received(features)
    np.testing.assert_allclose(received, [0.25, 0.15, 0.6])
    assert label_entropy(received) == pytest.approx(entropy([0.25, 0.15, 0.6]))


@pytest.mark.parametrize(
    ("received", "modes"),
    [([0.5, 0.3, 0.2], 3), ([0.85, 0.15, 0.0], 2), ([0.86, 0.14, 0.0], 1), ([0.0, 0.9, 0.1], 2)],
)
def test_a_mode_receives_half_of_its_real_share(received: list[float], modes: int) -> None:
    assert mode_count(np.array(received), np.array([0.5, 0.3, 0.2])) == modes


def test_entropy_is_in_nats() -> None:
    assert label_entropy(np.array([1.0, 0.0])) == 0
    assert label_entropy(np.full(10, 0.1)) == pytest.approx(np.log(10))


def test_mistakes_of_the_classifier_do_not_hide_a_collapse_to_one_class() -> None:
    x, y = load_digits(return_X_y=True)
    classifier = fit_classifier(x[:1000], y[:1000])
    assert classifier is not None
    rest, truth = x[1000:], y[1000:]
    assert mode_count(classifier.received(rest), classifier.shares) == 10
    for digit in range(10):
        assert mode_count(classifier.received(rest[truth == digit]), classifier.shares) < 5


def test_two_fits_agree_exactly() -> None:
    features, _ = clusters([30, 30, 30], seed=3)
    first, second = (fitted([30, 30, 30]).model.predict_proba(features) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_without_two_classes_there_is_no_classifier() -> None:
    features, _ = clusters([30])
    assert fit_classifier(features, None) is None
    assert fit_classifier(features, np.zeros(30, dtype=np.int64)) is None


def test_bad_features_are_refused() -> None:
    features, labels = clusters([30, 30])
    with pytest.raises(InputError, match=r"one label per row of features, got \(59,\) labels"):
        fit_classifier(features, labels[:-1])
    features[3, 0] = np.nan
    with pytest.raises(InputError, match="expected finite features"):
        fit_classifier(features, labels)


def test_too_few_records_of_each_class_make_no_classifier() -> None:
    rng = generator(0, "test few")
    features = rng.normal(size=(80, 4))
    assert fit_classifier(features, np.arange(80, dtype=np.int64) % 16) is not None
    assert fit_classifier(features, np.arange(80, dtype=np.int64) % 17) is None
