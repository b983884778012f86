"""Small results with planted scores, for the tests of the board."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.metrics.quality import QualityRecord
from bench.metrics.stability import StabilityRecord
from bench.metrics.table_quality import TableQualityRecord
from bench.results import Cell, Cost, Lines, PrivacyClaim, Results, Trial
from bench.rng import generator

MATRIX = "name: planted  # <script>alert('matrix')</script>\n"


def quality(kid: float, half_width: float = 2.0, **changed: Any) -> QualityRecord:
    values: dict[str, Any] = {
        "extractor": "pca",
        "n": 500,
        "kid": kid,
        "kid_low": kid - half_width,
        "kid_high": kid + half_width,
        "fid": 5 + kid,
        "precision": 0.7,
        "recall": 0.5,
        "density": 0.9,
        "coverage": 0.8,
        "k": 5,
        "memorization_gap": None,
        "memorization_gap_low": None,
        "memorization_gap_high": None,
        "memorization_n": None,
        "mode_count": 10,
        "modes_real": 10,
        "label_entropy": 2.2,
    }
    return QualityRecord(**values | changed)


def stability(oscillation: float = 12.0) -> StabilityRecord:
    return StabilityRecord(
        status="completed",
        diverged_step=None,
        loss_oscillation=oscillation,
        grad_norm_spike=3.0,
        kid_best=20.0,
        kid_final=22.0,
        kid_regression=None,
        steps_to_best=900,
        snapshots=(500, 900, 1000),
        snapshot_kid=(60.0, 20.0, 22.0),
    )


def claim(epsilon: float | None = 8.0, void_reason: str = "") -> PrivacyClaim:
    return PrivacyClaim(
        epsilon=epsilon,
        epsilon_rdp=None if epsilon is None else epsilon + 0.5,
        delta=1e-4,
        noise_multiplier=0.9,
        sample_rate=0.1,
        steps=1000,
        max_grad_norm=1.0,
        void_reason=void_reason,
    )


def cost(wall_s: float = 10.0, items: int | None = None) -> Cost:
    return Cost(wall_s=wall_s, peak_mem_mib=500.0 + wall_s, items=items)


def trial(defense: str = "none", seed: int = 0, **changed: Any) -> Trial:
    rng = generator(seed, "planted history", defense)
    values: dict[str, Any] = {
        "dataset": "digits",
        "target": "dcgan",
        "defense": defense,
        "seed": seed,
        "status": "completed",
        "key": f"key-{defense}-{seed}",
        "quality": quality(24.0 + seed),
        "stability": stability(),
        "artifacts": {"sample": f"sample-{defense}-{seed}"},
        "costs": {"train": cost(60.0 + seed, 1000), "sample": cost(2.0, 500)},
        "history": {
            "loss_generator": rng.normal(1, 0.3, 1000) + np.linspace(1, 0, 1000),
            "loss_discriminator": rng.normal(0.7, 0.1, 1000),
        },
        "sheet": rng.integers(0, 256, (16, 1, 28, 28)).astype(np.uint8),
    }
    return Trial(**values | changed)


def candidates(members: int = 200, nonmembers: int = 300) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    ids = np.arange(members + nonmembers, dtype=np.int64) * 3
    membership = generator(0, "planted membership").permutation(len(ids)) < members
    return ids, membership


def cell(
    attack: str = "nearest_sample",
    defense: str = "none",
    seed: int = 0,
    shift: float = 0.5,
    members: int = 200,
    nonmembers: int = 300,
    **changed: Any,
) -> Cell:
    """A completed cell whose members score higher by ``shift`` standard deviations."""
    ids, membership = candidates(members, nonmembers)
    scores = generator(seed, "planted scores", attack, defense).normal(size=len(ids)) + shift * membership
    values: dict[str, Any] = {
        "dataset": "digits",
        "target": "dcgan",
        "defense": defense,
        "seed": seed,
        "attack": attack,
        "access": "samples",
        "knowledge": "nothing",
        "status": "completed",
        "key": f"key-{attack}-{defense}-{seed}",
        "artifact": f"artifact-{attack}-{defense}-{seed}",
        "cost": cost(3.0),
        "record_ids": ids,
        "membership": membership,
        "scores": scores,
    }
    return Cell(**values | changed)


def idle(attack: str, status: str, reason: str, defense: str = "none", seed: int = 0, **changed: Any) -> Cell:
    """A cell without scores."""
    empty = {"record_ids": np.zeros(0, np.int64), "membership": np.zeros(0, bool), "scores": np.zeros(0)}
    return cell(attack, defense, seed, **{"status": status, "reason": reason, "cost": None, **empty, **changed})


def controls(defense: str = "none", seed: int = 0, **changed: Any) -> tuple[Cell, ...]:
    ids, membership = candidates(changed.get("members", 200), changed.get("nonmembers", 300))
    noise = generator(seed, "planted random").normal(size=len(ids))
    scores = {
        "constant": np.zeros(len(ids)),
        "random": noise,
        "oracle": membership.astype(np.float64),
        "blind": generator(seed, "planted blind").normal(size=len(ids)),
    }
    return tuple(
        cell(name, defense, seed, control=True, access="none", knowledge="labels", scores=own, **changed)
        for name, own in scores.items()
    )


def results(
    trials: tuple[Trial, ...], cells: tuple[Cell, ...], lines: tuple[Lines, ...] | None = None, **changed: Any
) -> Results:
    ids, membership = candidates()
    reference = Lines("digits", "dcgan", quality(0.2), quality(310.0), quality(40.0))
    splits: Mapping[str, Any] = {"digits": {"members": ids[membership], "nonmembers": ids[~membership]}}
    values: dict[str, Any] = {
        "name": "planted",
        "matrix_text": MATRIX,
        "settings": {"sets": [10], "resamples": 200},
        "stamp": {"version": "0.1.0", "time": "2026-01-01T00:00:00Z", "torch": "2.15"},
        "lines": (reference,) if lines is None else lines,
        "splits": splits,
        "fingerprints": {"digits": "ab" * 32},
        "duplicates": {"digits": 0},
    }
    return Results(trials=trials, cells=cells, **values | changed)


def small() -> Results:
    """Two defenses, three seeds, two attacks, the controls; one attack is not applicable."""
    trials, cells = [], []
    for defense, shift in (("none", 1.0), ("dropout(rate=0.5)", 0.1)):
        for seed in range(3):
            trials.append(trial(defense, seed))
            cells.append(cell("logan_white_box", defense, seed, shift, access="white_box"))
            cells.append(cell("nearest_sample", defense, seed, shift / 2))
            cells.append(idle("reconstruction", "not_applicable", "no encoder", defense, seed, access="white_box"))
            cells.extend(controls(defense, seed))
    return results(tuple(trials), tuple(cells))


def table_quality(distance: float, half_width: float = 0.02, **changed: Any) -> TableQualityRecord:
    values: dict[str, Any] = {
        "n": 150,
        "marginal_distance": distance,
        "marginal_distance_low": distance - half_width,
        "marginal_distance_high": distance + half_width,
        "marginal_worst": 2 * distance,
        "marginal_worst_column": "age",
        "correlation_distance": distance / 2,
        "correlation_distance_low": distance / 4,
        "correlation_distance_high": distance,
        "member_proximity": 0.1,
        "member_proximity_low": -0.05,
        "member_proximity_high": 0.25,
        "member_proximity_n": 100,
        "utility": 0.91,
        "utility_real": 0.95,
        "utility_n": 150,
    }
    return TableQualityRecord(**values | changed)


def tables(distances: Mapping[str, float]) -> Results:
    """A table's rows, one seed each, by defense and marginal distance; the untrained line lies at .45."""
    place: dict[str, Any] = {"dataset": "wine", "target": "tvae"}
    trials = tuple(
        trial(defense, quality=table_quality(distance), stability=None, sheet=None, **place)
        for defense, distance in distances.items()
    )
    cells = tuple(cell(defense=defense, **place) for defense in distances)
    lines = Lines("wine", "tvae", table_quality(0.08), table_quality(0.45), table_quality(0.1))
    return results(trials, cells, (lines,))
