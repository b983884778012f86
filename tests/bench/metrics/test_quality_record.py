"""The quality record: its parts against independent references, its sizes, its refusals, planted signals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

from bench.errors import InputError
from bench.metrics.kernel_distance import kernel_distance
from bench.metrics.modes import fit_classifier
from bench.metrics.quality import QualityRecord, frechet_distance, measure_quality, precision_recall
from bench.rng import generator


def draw(n: int, d: int = 16, seed: int = 0, shift: float = 0.0) -> NDArray[np.float32]:
    return (generator(seed, "test").standard_normal((n, d)) + shift).astype(np.float32)


def measured(*args: Any, **options: Any) -> QualityRecord:
    return measure_quality(*args, **{"extractor": "none", **options})


@pytest.mark.parametrize("n", [20, 100])
def test_frechet_distance_equals_its_form_through_singular_values(n: int) -> None:
    # tr (A B)^(1/2) of the covariances A = X'X / (n - 1) and B = Y'Y / (n - 1) is the nuclear norm of
    # X Y' / (n - 1).
    x, y = draw(n, 30, 1).astype(np.float64), draw(n, 30, 2, 0.5).astype(np.float64) * 1.5
    centred_x, centred_y = x - x.mean(0), y - y.mean(0)
    trace = np.linalg.svd(centred_x @ centred_y.T, compute_uv=False).sum() / (n - 1)
    spread = (centred_x**2).sum() / (n - 1) + (centred_y**2).sum() / (n - 1)
    expected = ((x.mean(0) - y.mean(0)) ** 2).sum() + spread - 2 * trace
    assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-4)


def test_precision_and_recall_equal_the_loop_and_are_not_swapped() -> None:
    def within(points: NDArray[np.float32], centres: NDArray[np.float32], k: int) -> float:
        radii = [sorted(np.linalg.norm(centres - c, axis=1))[k] for c in centres]
        hits = [any(np.linalg.norm(p - c) <= r for c, r in zip(centres, radii, strict=True)) for p in points]
        return float(np.mean(hits))

    # Samples of one narrow part of the real records: precise, with little recall.
    samples, real = draw(60, 3, 3) * np.float32(0.3), draw(60, 3, 4)
    precision, recall = precision_recall(samples, real, k=5)
    assert precision == pytest.approx(within(samples, real, 5), abs=1e-6)
    assert recall == pytest.approx(within(real, samples, 5), abs=1e-6)
    assert precision > 0.95
    assert recall < 0.5


def test_every_side_has_the_same_recorded_number() -> None:
    samples, holdout, members = draw(300, seed=5), draw(120, seed=6), draw(80, seed=7)
    record = measured(samples, holdout, members)
    assert (record.n, record.memorization_n) == (120, 80)
    assert measured(samples, holdout, members, n=60).n == 60
    assert measured(samples, holdout, members, n=60).memorization_n == 60
    assert measured(samples[:70], holdout, members).memorization_n == 70


def test_without_subsets_the_numbers_are_those_of_all_records() -> None:
    samples, holdout = draw(90, seed=8), draw(90, seed=9, shift=0.3)
    record, expected = measured(samples, holdout, seed=3), kernel_distance(samples, holdout)
    assert record.kid == pytest.approx(expected.kid, rel=1e-9)
    assert (record.kid_low, record.kid_high) == pytest.approx((expected.low, expected.high), rel=1e-9)
    assert record.fid == pytest.approx(frechet_distance(samples, holdout), rel=1e-6)


def test_the_seed_alone_decides_the_subset() -> None:
    samples, holdout = draw(200, seed=10), draw(200, seed=11)
    assert measured(samples, holdout, n=60) == measured(samples, holdout, n=60)
    assert measured(samples, holdout, n=60).kid != measured(samples, holdout, n=60, seed=1).kid


def test_copies_of_the_members_show_in_the_memorization_gap() -> None:
    members, holdout = draw(200, seed=12), draw(200, seed=13)
    copies = np.repeat(members, 2, axis=0)
    record = measured(copies, holdout, members)
    assert record.memorization_gap is not None
    assert record.memorization_gap_low is not None
    assert record.memorization_gap_low > 0
    fresh = measured(draw(400, seed=14), holdout, members)
    assert fresh.memorization_gap_low is not None
    assert fresh.memorization_gap_high is not None
    assert fresh.memorization_gap_low < 0 < fresh.memorization_gap_high


def test_memorization_gap_and_its_interval_equal_the_literal_leave_one_out() -> None:
    samples, holdout, members = draw(50, 4, 15), draw(50, 4, 16), draw(50, 4, 17)
    record = measured(samples, holdout, members)

    def distance(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
        xx, yy, xy = ((a @ b.T / a.shape[1] + 1) ** 3 for a, b in ((x, x), (y, y), (x, y)))
        within_x = (xx.sum() - np.trace(xx)) / (len(x) * (len(x) - 1))
        within_y = (yy.sum() - np.trace(yy)) / (len(y) * (len(y) - 1))
        return float(1000 * (within_x + within_y - 2 * xy.mean()))

    def gap(s: NDArray[np.float64], h: NDArray[np.float64], m: NDArray[np.float64]) -> float:
        return distance(s, h) - distance(s, m)

    sides = [a.astype(np.float64) for a in (samples, holdout, members)]
    variance = 0.0
    for place in range(3):
        left = [gap(*(np.delete(a, i, axis=0) if j == place else a for j, a in enumerate(sides))) for i in range(50)]
        variance += 49 * float(np.var(left))
    half = 1.959964 * np.sqrt(variance)
    assert record.memorization_gap == pytest.approx(gap(*sides), rel=1e-8)
    assert record.memorization_gap_low == pytest.approx(gap(*sides) - half, rel=1e-5)
    assert record.memorization_gap_high == pytest.approx(gap(*sides) + half, rel=1e-5)


def test_what_was_not_measured_is_empty() -> None:
    record = measured(draw(60, seed=18), draw(60, seed=19))
    for field in ("memorization_gap", "memorization_gap_low", "memorization_gap_high", "memorization_n"):
        assert getattr(record, field) is None
    assert (record.mode_count, record.modes_real, record.label_entropy) == (None, None, None)
    labels = np.arange(60, dtype=np.int64) % 2
    seen = measured(draw(60, seed=18), draw(60, seed=19), classifier=fit_classifier(draw(60, seed=20), labels))
    assert seen.modes_real == 2
    assert seen.mode_count in (1, 2)
    assert seen.label_entropy is not None


def test_the_record_survives_json_and_cannot_be_changed() -> None:
    record = measured(draw(60, seed=21), draw(60, seed=22), draw(60, seed=23))
    assert QualityRecord.model_validate_json(record.model_dump_json()) == record
    with pytest.raises(ValidationError, match="frozen"):
        record.kid = 0.0  # type: ignore[misc]
    with pytest.raises(ValidationError, match="finite"):
        QualityRecord.model_validate({**record.model_dump(), "kid": float("nan")})


def test_every_field_is_described() -> None:
    for name, field in QualityRecord.model_fields.items():
        assert field.description, name


def test_unusable_features_are_refused_all_at_once() -> None:
    broken = draw(60)
    broken[7, 2] = np.inf
    with pytest.raises(InputError) as caught:
        measured(broken, draw(49), draw(60, d=5))
    text = str(caught.value)
    assert "NaN or infinity in 1 of 60 rows" in text
    assert "at least 50 holdout records, got 49" in text
    assert "widths 16 for samples, 16 for holdout, 5 for members" in text


def test_too_small_an_n_is_refused() -> None:
    with pytest.raises(InputError, match="at least 50 records on each side, got n = 49"):
        measured(draw(60), draw(60), n=49)
    with pytest.raises(InputError, match=r"samples features of shape \(n, d\), got \(60, 2, 8\)"):
        measured(draw(60).reshape(60, 2, 8), draw(60))
