"""Training stability: closed forms, planted courses, and the luck of the best snapshot."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import ValidationError

from bench.errors import InputError
from bench.metrics.stability import (
    StabilityRecord,
    collapsed,
    grad_norm_spike,
    loss_oscillation,
    measure_stability,
    snapshot_quality,
)
from bench.rng import generator


def naive_oscillation(loss: NDArray[np.float64]) -> float:
    """For lengths whose second half is a multiple of 50."""
    half = loss[len(loss) // 2 :].reshape(50, -1).mean(axis=1)
    path = sum(abs(half[i + 1] - half[i]) for i in range(49))
    return float(path / (max(half) - min(half)))


def test_oscillation_of_known_courses() -> None:
    assert loss_oscillation(np.linspace(3, -2, 1000)) == pytest.approx(1)
    assert loss_oscillation(np.linspace(-5, 9, 100)) == pytest.approx(1)
    # A full swing in each of the 50 blocks of the second half.
    assert loss_oscillation(np.tile(np.repeat([1.0, -1.0], 10), 50)) == pytest.approx(49)
    # Two periods of a cosine: four swings of the full range.
    assert loss_oscillation(np.cos(np.linspace(0, 8 * np.pi, 5000))) == pytest.approx(4, rel=0.02)


def test_oscillation_equals_the_loop_and_ignores_the_first_half() -> None:
    loss = generator(0, "test").standard_normal(1200)
    assert loss_oscillation(loss) == pytest.approx(naive_oscillation(loss))
    changed = loss.copy()
    changed[:600] = 1e6
    changed[0] = np.nan
    assert loss_oscillation(changed) == loss_oscillation(loss)


@given(
    seed=st.integers(0, 1000),
    steps=st.integers(100, 700),
    scale=st.floats(0.1, 100),
    shift=st.floats(-100, 100),
)
@settings(max_examples=40, deadline=None)
def test_oscillation_is_bounded_and_free_of_scale_and_shift(seed: int, steps: int, scale: float, shift: float) -> None:
    loss = generator(seed, "test").standard_normal(steps)
    found = loss_oscillation(loss)
    assert found is not None
    assert 1 - 1e-9 <= found <= 49
    assert loss_oscillation(-scale * loss + shift) == pytest.approx(found, rel=1e-6)


@pytest.mark.parametrize(
    "loss",
    [
        np.linspace(0, 1, 98),
        np.full(1000, 0.1),
        np.full(1000, 0.1) + 1e-9 * generator(1, "test").standard_normal(1000),
        np.append(np.linspace(0, 1, 999), np.nan),
        np.append(np.linspace(0, 1, 999), np.inf),
        [],
    ],
    ids=["short", "constant", "below float32", "nan", "inf", "empty"],
)
def test_undefined_oscillation_is_empty(loss: NDArray[np.float64]) -> None:
    assert loss_oscillation(loss) is None


def test_spike_is_the_99th_percentile_over_the_median() -> None:
    norms = generator(2, "test").permutation(np.arange(1.0, 102.0))
    assert grad_norm_spike(norms) == pytest.approx(100 / 51)
    assert grad_norm_spike(np.full(200, 3.0)) == 1
    assert grad_norm_spike(np.ones(99)) is None
    assert grad_norm_spike(np.zeros(200)) is None
    assert grad_norm_spike(np.append(np.ones(200), np.inf)) is None


def snapshots(shifts: list[float], n: int, d: int, seed: int) -> list[NDArray[np.float64]]:
    """Samples around ``shift``; holdout records lie around 0."""
    return [generator(seed, "snapshot", i).standard_normal((n, d)) + s for i, s in enumerate(shifts)]


def test_a_planted_best_snapshot_is_found_and_its_loss_measured() -> None:
    shifts = [2.0, 1.5, 1.0, 0.5, 0.0, 0.5, 1.0, 1.5]
    steps = [100 * (i + 1) for i in range(8)]
    found = snapshot_quality(snapshots(shifts, 200, 8, 0), steps, generator(3, "real").standard_normal((300, 8)))
    assert found.steps_to_best == 500
    assert found.kid_best == found.snapshot_kid[4]
    assert found.kid_final == found.snapshot_kid[7]
    assert found.kid_regression is not None
    assert found.kid_regression == pytest.approx(found.kid_final - found.kid_best)
    assert found.kid_regression > 100 * abs(found.kid_best)


def test_the_best_of_equal_snapshots_is_not_better_than_they_are() -> None:
    # All snapshots have a true distance of 0. The smallest of ten measured ones lies far below it, as does
    # any number that shares records with the choice.
    chosen, smallest = [], []
    for trial in range(150):
        holdout = generator(trial, "real").standard_normal((100, 4))
        found = snapshot_quality(snapshots([0.0] * 10, 100, 4, trial), list(range(10)), holdout, seed=trial)
        chosen.append(found.kid_best)
        smallest.append(min(found.snapshot_kid))
    error = np.std(chosen) / np.sqrt(len(chosen))
    assert abs(np.mean(chosen)) < 3 * error
    assert np.mean(smallest) < -10 * error


def test_few_snapshots_have_no_regression() -> None:
    found = snapshot_quality(snapshots([1.0] * 7, 100, 4, 0), range(7), generator(0, "real").standard_normal((100, 4)))
    assert found.kid_regression is None
    assert found.kid_final == found.snapshot_kid[-1]


def test_unusable_snapshots_are_refused() -> None:
    real = generator(0, "real").standard_normal((100, 4))
    sets = snapshots([0.0, 0.0], 100, 4, 0)
    with pytest.raises(InputError, match="one set of samples per snapshot, got 2 for 3"):
        snapshot_quality(sets, [1, 2, 3], real)
    with pytest.raises(InputError, match="one set of samples per snapshot, got 0 for 0"):
        snapshot_quality([], [], real)
    with pytest.raises(InputError, match=r"ascend, got \[2, 2\]"):
        snapshot_quality(sets, [2, 2], real)
    with pytest.raises(InputError, match="at least 100 holdout records and samples each, got 99 holdout records"):
        snapshot_quality(sets, [1, 2], real[:99])
    sets[1][5] = np.nan
    with pytest.raises(InputError, match="finite step 2 features, got NaN or infinity in 1 of 100 rows"):
        snapshot_quality(sets, [1, 2], real)


def test_a_record_holds_the_worst_of_the_losses_and_networks() -> None:
    calm, wild = np.linspace(0, 1, 1000), np.tile(np.repeat([1.0, -1.0], 10), 50)
    spiky = np.where(np.arange(200) % 20 == 0, 8.0, 2.0)
    found = snapshot_quality(snapshots([1.0] * 9, 100, 4, 0), range(9), generator(0, "real").standard_normal((100, 4)))
    record = measure_stability(
        {"generator": wild, "discriminator": calm, "constant": np.ones(1000)},
        {"generator": np.ones(200), "discriminator": spiky},
        "completed",
        snapshots=found,
    )
    assert record.loss_oscillation == pytest.approx(49)
    assert record.grad_norm_spike == pytest.approx(4)
    assert (record.kid_best, record.kid_final) == (found.kid_best, found.kid_final)
    assert record.kid_regression == found.kid_regression
    assert record.snapshots == tuple(range(9))
    assert StabilityRecord.model_validate_json(record.model_dump_json()) == record


def test_a_diverged_trial_keeps_its_row_without_a_final_quality() -> None:
    found = snapshot_quality(snapshots([1.0] * 9, 100, 4, 0), range(9), generator(0, "real").standard_normal((100, 4)))
    loss = np.append(np.linspace(0, 1, 500), np.nan)
    record = measure_stability({"loss": loss}, {}, "diverged", 500, found)
    assert (record.status, record.diverged_step) == ("diverged", 500)
    assert record.kid_best == found.kid_best
    assert (record.kid_final, record.kid_regression) == (None, None)
    assert (record.loss_oscillation, record.grad_norm_spike) == (None, None)


def test_contradictions_are_refused() -> None:
    with pytest.raises(ValidationError, match="completed trial cannot have diverged_step 3"):
        measure_stability({}, {}, "completed", 3)
    with pytest.raises(ValidationError, match="diverged trial cannot have diverged_step None"):
        measure_stability({}, {}, "diverged")
    record = measure_stability({}, {}, "completed")
    with pytest.raises(ValidationError, match="1 snapshots cannot have 0 distances"):
        StabilityRecord.model_validate({**record.model_dump(), "snapshots": (1,)})


def test_every_field_is_described() -> None:
    for name, field in StabilityRecord.model_fields.items():
        assert field.description, name


@pytest.mark.parametrize(
    ("coverage", "coverage_real", "modes", "modes_real", "expected"),
    [
        (0.9, 0.95, 10, 10, False),
        (0.09, 0.95, 10, 10, True),
        (0.096, 0.95, 5, 10, False),
        (0.9, 0.95, 4, 10, True),
        (None, None, 4, 10, True),
        (0.01, 0.95, None, None, True),
        (0.5, 0.95, None, None, False),
        (0.5, None, None, None, None),
        (0.0, 0.0, None, None, None),
        (None, None, None, None, None),
    ],
)
def test_collapse(
    coverage: float | None,
    coverage_real: float | None,
    modes: int | None,
    modes_real: int | None,
    expected: bool | None,
) -> None:
    assert collapsed(coverage, coverage_real, modes, modes_real) is expected
