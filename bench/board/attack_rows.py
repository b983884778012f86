"""Rows of attacks: one attack on one data set x target x defense, its seeds taken together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.board import flags
from bench.board.audit import AttackAudit
from bench.board.columns import INTERVALS, MEASURES
from bench.board.flags import Flag
from bench.board.set_readings import Composer, SetReading
from bench.errors import PluginError
from bench.metrics.headline import smallest_detectable_auc
from bench.metrics.intervals import ALPHA, PrivacySummary, summarise
from bench.metrics.parts import PartReading, read_parts
from bench.results import Cell, Results
from bench.rng import derive_seed

STATUS_ORDER = ("completed", "diverged", "failed", "blocked", "missing", "not_applicable")
"""The status of several runs together is the first of these that occurs among them."""


class Shown(NamedTuple):
    """The interval that tables show: the wider of the two kinds, with what it is an interval over."""

    low: float
    high: float
    over: str


def shown(low: float, high: float, seed_low: float | None, seed_high: float | None) -> Shown:
    """The wider of the interval over records and the one over training runs, where there is one.

    >>> shown(0.5, 0.6, 0.4, 0.7)
    Shown(low=0.4, high=0.7, over='training runs')
    """
    if seed_low is not None and seed_high is not None and seed_high - seed_low > high - low:
        return Shown(seed_low, seed_high, "training runs")
    return Shown(low, high, "records")


@dataclass(frozen=True, eq=False)
class AttackRow:
    """One attack on one row of the leaderboard.

    Attributes:
        cells: all its cells, a seed each; ``completed`` are those that count.
        status, reason: of the cells together; ``reason`` is empty when every cell was completed.
        record_ids, membership: ``(n,)``; empty when nothing was completed.
        scores: ``(seeds, n)``, seeds in the order of ``completed``.
        sets: a reading per size of sets, the matrix's first size first; empty when nothing was completed.
        summary: None when nothing was completed; its set columns are those of the first size.
        attack_s: mean seconds of one cell, or None.
        models_s: mean seconds behind the models that one cell asked for, or None.
        parts: how well it names the part that each member was in; None where there are none, or it names none.
        audit: what it says of the row's epsilon; None where it cannot say anything.
    """

    dataset: str
    target: str
    defense: str
    attack: str
    access: str
    knowledge: str
    adaptive: bool
    control: bool
    status: str
    reason: str
    cells: tuple[Cell, ...]
    completed: tuple[Cell, ...]
    record_ids: NDArray[np.int64]
    membership: NDArray[np.bool_]
    scores: NDArray[np.float64]
    sets: tuple[SetReading, ...]
    summary: PrivacySummary | None
    attack_s: float | None
    models_s: float | None
    parts: PartReading | None = None
    flags: tuple[Flag, ...] = ()
    audit: AttackAudit | None = None

    @property
    def row(self) -> tuple[str, str, str]:
        """The row of the leaderboard that it belongs to."""
        return self.dataset, self.target, self.defense

    @property
    def interval(self) -> Shown | None:
        """The AUC's interval as shown."""
        s = self.summary
        return None if s is None else shown(s.auc_low, s.auc_high, s.auc_seed_low, s.auc_seed_high)

    def columns(self) -> dict[str, Any]:
        """The cells of ``attacks.csv``; what was not measured is None."""
        s = self.summary
        return {
            "dataset": self.dataset,
            "target": self.target,
            "defense": self.defense,
            "attack": self.attack,
            "access": self.access,
            "knowledge": self.knowledge,
            "adaptive": self.adaptive,
            "members": None if s is None else s.members,
            "nonmembers": None if s is None else s.nonmembers,
            "seeds": len(self.completed),
            **{name: None if s is None else getattr(s, name) for name in _SUMMARY_COLUMNS},
            "attack_s": self.attack_s,
            "flags": flags.names(self.flags),
            "status": self.status,
            "reason": self.reason,
            "control": self.control,
            "models_trained": max(cell.models_trained for cell in self.cells),
            "known": self.completed[0].known if self.completed else None,
            "models_s": self.models_s,
            "part_accuracy": None if self.parts is None else self.parts.accuracy,
            "part_accuracy_low": None if self.parts is None else self.parts.low,
            "part_accuracy_high": None if self.parts is None else self.parts.high,
            "part_chance": None if self.parts is None else self.parts.chance,
            "epsilon_lower_bound": self.audit.lower_bound if self.audit else None,
            "epsilon_estimate": self.audit.estimate if self.audit else None,
            "epsilon_detectable": self.audit.detectable if self.audit else None,
            "part_accuracy_seed_low": None if self.parts is None else self.parts.seed_low,
            "part_accuracy_seed_high": None if self.parts is None else self.parts.seed_high,
        }

    def set_columns(self) -> list[dict[str, Any]]:
        """The rows of ``sets.csv``."""
        place = {"dataset": self.dataset, "target": self.target, "defense": self.defense, "attack": self.attack}
        return [{**place, **reading.columns(), "control": self.control} for reading in self.sets]


_SUMMARY_COLUMNS = (
    *(measure + ending for measure in MEASURES for ending in INTERVALS),
    "accuracy_chance",
    "advantage_null",
    "realised_fpr_at_1pct",
    "realised_fpr_at_0_1pct",
    "tied_fraction",
)


def attack_rows(results: Results) -> tuple[AttackRow, ...]:
    """A row per data set x target x defense x attack, in the order in which the cells name them.

    Raises:
        PluginError: seeds of one attack judged different candidates.
    """
    groups: dict[tuple[str, str, str, str], list[Cell]] = {}
    for cell in results.cells:
        groups.setdefault((cell.dataset, cell.target, cell.defense, cell.attack), []).append(cell)
    composer = Composer(results.settings["sets"])
    known: dict[tuple[str, ...], _Measured] = {}
    rows = [_attack_row(cells, results, composer, known) for cells in groups.values()]
    tried = Counter(row.row for row in rows if row.summary is not None and not row.control)
    return tuple(replace(row, flags=_raised(row, tried[row.row])) for row in rows)


class _Measured(NamedTuple):
    summary: PrivacySummary
    sets: tuple[SetReading, ...]


def _measured(
    cells: Sequence[Cell],
    scores: NDArray[np.float64],
    results: Results,
    composer: Composer,
    known: dict[tuple[str, ...], _Measured],
) -> _Measured:
    """The figures of completed cells, by the artifacts that hold their scores."""
    # A control sees no release, so all rows of a data set share its artifacts: resample them once.
    first, resamples = cells[0], int(results.settings["resamples"])
    shared = (first.dataset, *(cell.artifact for cell in cells))
    if not all(shared) or shared not in known:
        seed = bootstrap_seed(first.dataset)
        sets = composer.readings(cells, scores, seed, resamples)
        known[shared] = _Measured(summarise(scores, first.membership, sets[0].summary, seed, resamples), sets)
    return known[shared]


def _attack_row(
    cells: Sequence[Cell],
    results: Results,
    composer: Composer,
    known: dict[tuple[str, ...], _Measured],
) -> AttackRow:
    first = cells[0]
    if len({cell.seed for cell in cells}) < len(cells):
        raise PluginError(
            f"expected one cell of {first.attack} per seed of {first.dataset} / {first.target} / {first.defense}, got "
            f"{len(cells)} for the seeds {sorted({cell.seed for cell in cells})}: two attacks have one name"
        )
    done = tuple(cell for cell in cells if cell.status == "completed")
    _same_candidates(done)
    scores = np.stack([cell.scores for cell in done]) if done else np.zeros((0, 0))
    measured = _measured(done, scores, results, composer, known) if done else None
    status, reason = joint_status((cell.status, cell.seed, cell.reason) for cell in cells)
    return AttackRow(
        *(first.dataset, first.target, first.defense, first.attack, first.access, first.knowledge),
        adaptive=first.adaptive,
        control=first.control,
        status=status,
        reason=reason,
        cells=tuple(cells),
        completed=done,
        record_ids=done[0].record_ids if done else np.zeros(0, np.int64),
        membership=done[0].membership if done else np.zeros(0, np.bool_),
        scores=scores,
        sets=measured.sets if measured else (),
        summary=measured.summary if measured else None,
        attack_s=_mean(cell.cost.wall_s for cell in done if cell.cost is not None),
        models_s=_mean(cell.models_s for cell in done if cell.models_s is not None),
        parts=_parts(done),
    )


def _parts(cells: Sequence[Cell]) -> PartReading | None:
    """The reading of the seeds together; every seed divides the members anew."""
    divided = [cell for cell in cells if cell.part.size]
    if not divided:
        return None
    return read_parts(np.stack([cell.part for cell in divided]), np.stack([cell.named_part for cell in divided]))


def _mean(seconds: Iterable[float]) -> float | None:
    values = list(seconds)
    return float(np.mean(values)) if values else None


def bootstrap_seed(dataset: str) -> int:
    """The seed of all resampling of a data set's records: one for all rows, so that they are paired."""
    return derive_seed(0, "bootstrap", dataset)


def joint_status(runs: Iterable[tuple[str, int, str]]) -> tuple[str, str]:
    """The status of several runs together, and why some are not completed.

    Args:
        runs: (status, seed, reason) of each.
    """
    listed = list(runs)
    status = min((run[0] for run in listed), key=STATUS_ORDER.index)
    why: dict[tuple[str, str], list[str]] = {}
    for each, seed, reason in listed:
        if each != "completed":
            why.setdefault((each, reason), []).append(str(seed))
    if len(why) == 1 and status != "completed":
        return status, next(iter(why))[1]
    parts = [
        f"seed {', '.join(seeds)} {each.replace('_', ' ')}{f': {reason}' if reason else ''}"
        for (each, reason), seeds in why.items()
    ]
    return status, "; ".join(parts)


def _same_candidates(cells: Sequence[Cell]) -> None:
    for cell in cells[1:]:
        if not (
            np.array_equal(cell.record_ids, cells[0].record_ids)
            and np.array_equal(cell.membership, cells[0].membership)
        ):
            sizes = f"{len(cells[0].record_ids)} and {len(cell.record_ids)}"
            raise PluginError(
                f"expected {cell.attack} to judge the same candidates of {cell.dataset} at every seed, but "
                f"seeds {cells[0].seed} and {cell.seed} of {cell.target} / {cell.defense} differ ({sizes} "
                "records): choose candidates from the split, not from the trial's seed"
            )


def _raised(row: AttackRow, tried: int) -> tuple[Flag, ...]:
    s, interval = row.summary, row.interval
    if s is None or interval is None:
        return ()
    chance = 1 - smallest_detectable_auc(s.members, s.nonmembers, ALPHA / max(tried, 1))
    raised = (
        # A control's AUC is its own business: bench.board.controls reads it.
        None if row.control else flags.sign_flipped(row.attack, s.auc, interval.high, tried, chance),
        None if row.control else flags.many_ties(row.attack, s.tied_fraction),
        flags.few_seeds(len(row.completed)),
        flags.tuned_on_labels(row.attack, any(cell.tuned_on_labels for cell in row.completed)),
        flags.capped(row.attack, any(cell.capped for cell in row.completed), len(row.record_ids)),
        flags.underpowered(s.nonmembers),
    )
    return tuple(flag for flag in raised if flag is not None)
