"""Sample quality of one trial: distances, neighbourhoods and modes, all with the same number of records."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from bench.errors import InputError
from bench.metrics.kernel_distance import jackknife_interval, kernel_distance
from bench.metrics.manifold import density_coverage
from bench.metrics.modes import ModeClassifier, label_entropy, mode_count
from bench.metrics.utility import Utility
from bench.rng import generator

MIN_RECORDS = 50
"""With fewer records on a side, none of these numbers tells a good generator from a bad one."""


class QualityRecord(BaseModel):
    """Quality of a trial's samples against the holdout; comparable at equal ``extractor`` and ``n`` only."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)

    kind: Literal["image"] = "image"
    """Tells this record from a table's in JSON."""
    extractor: str
    """Name of the feature extractor; numbers of different extractors are not comparable."""
    n: int
    """Records on each side of every number except the memorization gap."""
    kid: float
    """Kernel distance to the holdout, x 1000, unbiased: about 0 for equal distributions; may be negative."""
    kid_low: float
    """Lower end of the 95 % interval of ``kid`` over records, given this trained model (jackknife)."""
    kid_high: float
    """Upper end of that interval."""
    fid: float
    """Fréchet distance to the holdout; biased upwards by about 1 / n, so it ranks nothing."""
    precision: float
    """Fraction of samples within a real record's k-neighbour ball (Kynkäänniemi et al., NeurIPS 2019)."""
    recall: float
    """Fraction of holdout records within a sample's k-neighbour ball (same paper)."""
    density: float
    """Real balls around a sample, over k, on average; about 1 for equal distributions, may exceed 1."""
    coverage: float
    """Fraction of real balls that hold a sample; about 1 - 2^-k for equal distributions."""
    k: int
    """Neighbours that make a ball, for precision, recall, density and coverage."""
    memorization_gap: float | None
    """KID(samples, holdout) - KID(samples, members), x 1000, at ``memorization_n``; above 0 when the samples
    lie nearer to the members. Empty when members were not given."""
    memorization_gap_low: float | None
    """Lower end of the 95 % interval of ``memorization_gap`` over records (jackknife)."""
    memorization_gap_high: float | None
    """Upper end of that interval."""
    memorization_n: int | None
    """Records on each side of both distances of the memorization gap."""
    mode_count: int | None
    """Classes that receive at least half of their share among the real records, told by a classifier; empty
    without labels."""
    modes_real: int | None
    """Classes present among the real records that the classifier learned from; empty without labels."""
    label_entropy: float | None
    """Entropy of the predicted classes, in nats: log(modes_real) for equal shares; empty without labels."""
    utility: float | None = None
    """Accuracy on the holdout of a classifier trained on the generated records' features and the labels that they were
    made for; empty where there are no such labels."""
    utility_real: float | None = None
    """The same of a classifier trained on as many reference records."""
    utility_n: int | None = None
    """Records that each of the two classifiers was trained on."""


def measure_quality(
    samples_features: NDArray[Any],
    holdout_features: NDArray[Any],
    members_features: NDArray[Any] | None = None,
    classifier: ModeClassifier | None = None,
    n: int = 1500,
    seed: int = 0,
    *,
    extractor: str,
    k: int = 5,
    utility: Utility | None = None,
) -> QualityRecord:
    """Compares features ``(records, d)`` of samples and holdout, the same number of each.

    That number is the smallest of ``n`` and what either side has; longer sides give a subset without
    replacement, drawn from ``seed`` alone, so trials that share a holdout are compared with the same part of
    it.

    Args:
        samples_features: of the generated records.
        holdout_features: of real records that no part of the trial has seen.
        members_features: of the records that the target was trained on, for the memorization gap.
        classifier: from ``fit_classifier``, for the modes.
        n: records asked for on each side.
        seed: of the subsets.
        extractor: name of the extractor that all features come from.
        k: neighbours for precision, recall, density and coverage.
        utility: from ``measure_utility``.

    Raises:
        InputError: features that are not finite or differ in width, or fewer than 50 records on a side.
    """
    sides = {"samples": samples_features, "holdout": holdout_features}
    if members_features is not None:
        sides["members"] = members_features
    check_features(sides)
    if n < MIN_RECORDS:
        raise InputError(f"sample quality expects n of at least {MIN_RECORDS} records on each side, got n = {n}")
    size = min(n, len(samples_features), len(holdout_features))
    samples, holdout = (subset(sides[side], size, seed, side) for side in ("samples", "holdout"))
    kid = kernel_distance(samples, holdout)
    precision, recall = precision_recall(samples, holdout, k)
    density, coverage = density_coverage(samples, holdout, k)
    received = classifier.received(samples) if classifier else None
    return QualityRecord(
        extractor=extractor,
        n=size,
        kid=kid.kid,
        kid_low=kid.low,
        kid_high=kid.high,
        fid=frechet_distance(samples, holdout),
        precision=precision,
        recall=recall,
        density=density,
        coverage=coverage,
        k=k,
        **_memorization(sides, size, seed),
        mode_count=mode_count(received, classifier.shares) if classifier and received is not None else None,
        modes_real=classifier.modes_real if classifier else None,
        label_entropy=label_entropy(received) if received is not None else None,
        utility=utility.generated if utility else None,
        utility_real=utility.real if utility else None,
        utility_n=utility.n if utility else None,
    )


def frechet_distance(samples: NDArray[Any], real: NDArray[Any]) -> float:
    """Fréchet distance of features ``(n, d)`` (Heusel et al., NeurIPS 2017), by torch-fidelity."""
    import torch
    from torch_fidelity import metric_fid

    # float64: in float32 the eigenvalues of the nearly singular product lose the small distances.
    first, second = (
        metric_fid.fid_features_to_statistics(torch.tensor(side, dtype=torch.float64)) for side in (samples, real)
    )
    return float(metric_fid.fid_statistics_to_metric(first, second, False)[metric_fid.KEY_METRIC_FID])


def precision_recall(samples: NDArray[Any], real: NDArray[Any], k: int = 5) -> tuple[float, float]:
    """Improved precision and recall, each 0..1, of features ``(n, d)``, by torch-fidelity."""
    import torch
    from torch_fidelity import metric_prc

    # float64: torch's fast distance in float32 does not put a record at distance 0 from itself.
    first, second = (torch.tensor(side, dtype=torch.float64) for side in (samples, real))
    found = metric_prc.prc_features_to_metric(first, second, prc_neighborhood=k, verbose=False)
    return float(found[metric_prc.KEY_METRIC_PRECISION]), float(found[metric_prc.KEY_METRIC_RECALL])


def check_features(sides: dict[str, NDArray[Any]]) -> None:
    """Refuses features that no quality number should be made of.

    Raises:
        InputError: all problems of all sides, by their names.
    """
    problems = []
    for side, features in sides.items():
        if features.ndim != 2:
            problems.append(f"expected {side} features of shape (n, d), got {features.shape}")
        elif len(features) < MIN_RECORDS:
            problems.append(
                f"sample quality expects at least {MIN_RECORDS} {side} records, got {len(features)}: "
                f"ask for more {side} or do without this measurement"
            )
        elif not np.isfinite(features).all():
            bad = int((~np.isfinite(features).all(axis=1)).sum())
            problems.append(f"expected finite {side} features, got NaN or infinity in {bad} of {len(features)} rows")
    if len({features.shape[-1] for features in sides.values()}) > 1:
        widths = ", ".join(f"{features.shape[-1]} for {side}" for side, features in sides.items())
        problems.append(f"expected features of one extractor, got widths {widths}")
    if problems:
        raise InputError(problems)


def subset(features: NDArray[Any], size: int, seed: int, side: str) -> NDArray[Any]:
    """``size`` rows without replacement; a smaller subset of the same side lies within a larger one."""
    return features[generator(seed, "quality", side).permutation(len(features))[:size]]


def _memorization(sides: dict[str, NDArray[Any]], n: int, seed: int) -> dict[str, float | int | None]:
    """The memorization fields of a record, empty without members."""
    names = ("memorization_gap", "memorization_gap_low", "memorization_gap_high", "memorization_n")
    if "members" not in sides:
        return dict.fromkeys(names)
    # KID is unbiased at every n, but only equal n give both distances the same spread.
    size = min(n, len(sides["members"]))
    samples, holdout, members = (subset(sides[s], size, seed, s) for s in ("samples", "holdout", "members"))
    away, near = kernel_distance(samples, holdout), kernel_distance(samples, members)
    gap = away.kid - near.kid
    # The samples are on both sides of the difference, so their part of the variance is that of the
    # difference.
    low, high = jackknife_interval(gap, away.without_x - near.without_x, away.without_y, near.without_y)
    return dict(zip(names, (gap, low, high, size), strict=True))
