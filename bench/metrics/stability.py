"""Training stability of one trial, from its losses, gradient norms and snapshots."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict, model_validator

from bench.errors import InputError
from bench.metrics.kernel_distance import kernel_distance
from bench.metrics.quality import MIN_RECORDS, check_features
from bench.rng import generator

Status = Literal["completed", "diverged"]

SMOOTHED_POINTS = 50
MIN_GRAD_NORMS = 100
"""Below this many values a 99th percentile is the largest value."""
MIN_SNAPSHOTS = 8
"""Snapshots from which on the best one stands for what the training could have reached."""
COLLAPSED_COVERAGE = 0.1
COLLAPSED_MODES = 0.5


class StabilityRecord(BaseModel):
    """How steadily a trial trained; what was not measured is empty."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)

    status: Status
    """``diverged``: a loss or weight was not finite, or a loss left the target's own limit."""
    diverged_step: int | None
    """Step at which that was seen; empty for a completed trial."""
    loss_oscillation: float | None
    """Path length over range of the smoothed loss in the second half of training, the largest of the losses:
    1 for a steady course, at most 49."""
    grad_norm_spike: float | None
    """99th percentile over median of the gradient norms, the largest of the networks."""
    kid_best: float | None
    """KID (x 1000) of the best snapshot, chosen on one half of holdout and samples, measured on the other."""
    kid_final: float | None
    """KID (x 1000) of the last snapshot, on the same records as ``kid_best``; empty if diverged."""
    kid_regression: float | None
    """``kid_final`` - ``kid_best``; empty with fewer than 8 snapshots."""
    steps_to_best: int | None
    """Training steps at the best snapshot."""
    snapshots: tuple[int, ...] = ()
    """Training steps at which snapshots were taken, ascending."""
    snapshot_kid: tuple[float, ...] = ()
    """KID (x 1000) of each snapshot, on the half that measures."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.status == "diverged") != (self.diverged_step is not None):
            raise ValueError(f"a {self.status} trial cannot have diverged_step {self.diverged_step}")
        if len(self.snapshots) != len(self.snapshot_kid):
            raise ValueError(f"{len(self.snapshots)} snapshots cannot have {len(self.snapshot_kid)} distances")
        return self


@dataclass(frozen=True)
class SnapshotQuality:
    """KID (x 1000) along training; fields as in ``StabilityRecord``."""

    kid_best: float
    kid_final: float
    kid_regression: float | None
    steps_to_best: int
    snapshots: tuple[int, ...]
    snapshot_kid: tuple[float, ...]


def measure_stability(
    losses: Mapping[str, ArrayLike],
    grad_norms: Mapping[str, ArrayLike],
    status: Status,
    diverged_step: int | None = None,
    snapshots: SnapshotQuality | None = None,
) -> StabilityRecord:
    """Collects a trial's stability.

    Args:
        losses: by name, one value per step ``(steps,)``.
        grad_norms: by network, one norm per step ``(steps,)``.
        status: how the training ended.
        diverged_step: where, if it diverged.
        snapshots: from ``snapshot_quality``, if snapshots were kept.
    """
    completed = status == "completed"
    return StabilityRecord(
        status=status,
        diverged_step=diverged_step,
        loss_oscillation=_largest(loss_oscillation(loss) for loss in losses.values()),
        grad_norm_spike=_largest(grad_norm_spike(norms) for norms in grad_norms.values()),
        kid_best=snapshots.kid_best if snapshots else None,
        # The last snapshot before a divergence is not what the training ended with.
        kid_final=snapshots.kid_final if snapshots and completed else None,
        kid_regression=snapshots.kid_regression if snapshots and completed else None,
        steps_to_best=snapshots.steps_to_best if snapshots else None,
        snapshots=snapshots.snapshots if snapshots else (),
        snapshot_kid=snapshots.snapshot_kid if snapshots else (),
    )


def stability_of_history(
    history: Mapping[str, ArrayLike], status: Status, steps_done: int, snapshots: SnapshotQuality | None = None
) -> StabilityRecord:
    """``measure_stability`` of a training's history, whose columns are ``loss/<name>`` and ``grad_norm/<name>``."""
    losses, norms = (
        {name.removeprefix(prefix): values for name, values in history.items() if name.startswith(prefix)}
        for prefix in ("loss/", "grad_norm/")
    )
    return measure_stability(losses, norms, status, steps_done if status == "diverged" else None, snapshots)


def loss_oscillation(loss: ArrayLike) -> float | None:
    """Path length over range of a loss ``(steps,)``, of any sign, in the second half of training: from 1 to
    49.

    The second half is averaged in 50 blocks of (nearly) equal length. A steady rise or fall gives 1, a full
    swing in every block 49. None when it is undefined: fewer than 100 steps, a value that is not finite, or a
    loss that does not move beyond the resolution of float32.
    """
    values = np.asarray(loss, dtype=np.float64)
    half = values[len(values) // 2 :]
    if len(half) < SMOOTHED_POINTS or not np.isfinite(half).all():
        return None
    points = np.array([block.mean() for block in np.array_split(half, SMOOTHED_POINTS)])
    spread = points.max() - points.min()
    if spread <= 4 * np.finfo(np.float32).eps * np.abs(points).max():
        return None
    return float(np.abs(np.diff(points)).sum() / spread)


def grad_norm_spike(norms: ArrayLike) -> float | None:
    """99th percentile over median of gradient norms ``(steps,)``, at least 1.

    None when it is undefined: fewer than 100 steps, a value that is not finite, or a median of 0.
    """
    values = np.asarray(norms, dtype=np.float64)
    if len(values) < MIN_GRAD_NORMS or not np.isfinite(values).all():
        return None
    median, high = np.quantile(values, (0.5, 0.99))
    return float(high / median) if median > 0 else None


def snapshot_quality(
    snapshot_features: Sequence[NDArray[Any]] | NDArray[Any],
    steps: Sequence[int],
    holdout_features: NDArray[Any],
    seed: int = 0,
) -> SnapshotQuality:
    """Quality along training, free of the luck of the best.

    Holdout and every snapshot's samples are cut into two halves with the same number of records. The best
    snapshot is the one with the smallest KID on the first halves; every reported number is measured on the
    second halves.

    Args:
        snapshot_features: ``(snapshots, n, d)``, features of each snapshot's samples; rows must be
        exchangeable.
        steps: training steps at each snapshot, ascending.
        holdout_features: ``(records, d)``.
        seed: of the cut.

    Raises:
        InputError: no snapshots, steps that do not ascend or do not match, features that are not finite, or
        fewer
            than 50 records in a half.
    """
    if not len(steps) or len(snapshot_features) != len(steps):
        raise InputError(f"expected one set of samples per snapshot, got {len(snapshot_features)} for {len(steps)}")
    if any(later <= earlier for earlier, later in itertools.pairwise(steps)):
        raise InputError(f"expected the steps of the snapshots to ascend, got {list(steps)}")
    check_features(
        {f"step {step}": features for step, features in zip(steps, snapshot_features, strict=True)}
        | {"holdout": holdout_features}
    )
    size = min(len(side) for side in (*snapshot_features, holdout_features)) // 2
    if size < MIN_RECORDS:
        raise InputError(
            f"snapshot quality expects at least {2 * MIN_RECORDS} holdout records and samples each, got "
            f"{len(holdout_features)} holdout records and {min(map(len, snapshot_features))} samples"
        )
    real = _halves(holdout_features, size, generator(seed, "snapshots", "holdout"))
    # One cut for all snapshots: samples drawn from the same latents stay paired.
    parts = [_halves(features, size, generator(seed, "snapshots", "samples")) for features in snapshot_features]
    chosen = int(np.argmin([kernel_distance(first, real[0]).kid for first, _ in parts]))
    measured = tuple(kernel_distance(second, real[1]).kid for _, second in parts)
    best, final = measured[chosen], measured[-1]
    return SnapshotQuality(
        kid_best=best,
        kid_final=final,
        kid_regression=final - best if len(steps) >= MIN_SNAPSHOTS else None,
        steps_to_best=int(steps[chosen]),
        snapshots=tuple(int(step) for step in steps),
        snapshot_kid=measured,
    )


def collapsed(
    coverage: float | None, coverage_real: float | None, mode_count: int | None, modes_real: int | None
) -> bool | None:
    """Whether a generator shows only a small part of the data; None where nothing was measured that could
    tell.

    True when coverage is below 10 % of what real records reach, or fewer than half of the classes are shown.
    """
    signs = []
    if coverage is not None and coverage_real:
        signs.append(coverage < COLLAPSED_COVERAGE * coverage_real)
    if mode_count is not None and modes_real:
        signs.append(mode_count < COLLAPSED_MODES * modes_real)
    return any(signs) if signs else None


def _halves(features: NDArray[Any], size: int, rng: np.random.Generator) -> tuple[NDArray[Any], NDArray[Any]]:
    """Two disjoint sets of ``size`` rows."""
    order = rng.permutation(len(features))
    return features[order[:size]], features[order[size : 2 * size]]


def _largest(values: Any) -> float | None:
    """The largest of the defined values, or None."""
    return max((value for value in values if value is not None), default=None)
