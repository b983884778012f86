"""What a run found, as records: the input of the board and of everything that reads results.

Nothing here computes a metric; figures come from ``bench.metrics``. What a run writes is the suite's interface.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from bench.metrics.quality import QualityRecord
    from bench.metrics.stability import StabilityRecord
    from bench.metrics.table_quality import TableQualityRecord
    from bench.records import Records

TrialStatus = Literal["completed", "diverged", "failed", "blocked", "not_applicable", "missing"]
CellStatus = Literal["completed", "diverged", "failed", "blocked", "not_applicable", "missing"]


class PrivacyClaim(BaseModel):
    """The differential privacy that a defense claims for every iterate of the private networks."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    epsilon: float | None = None
    """Claimed epsilon at ``delta``; None where the claim is void, with ``void_reason``."""
    epsilon_rdp: float | None = None
    """The same from the RDP accountant, a looser upper bound."""
    delta: float | None = None
    """The delta of the claim."""
    unit: Literal["record", "client"] = "record"
    """What is protected."""
    adjacency: Literal["add/remove"] = "add/remove"
    """Neighbouring data sets differ by one unit added or removed."""
    accountant: str = "prv"
    """How epsilon was computed."""
    noise_multiplier: float
    """Of Gaussian noise its standard deviation over the clip norm, of Laplace noise its scale over one vote."""
    sample_rate: float
    """Probability with which a unit enters a step, from the expected number of units."""
    steps: int
    """Number of noisy steps that the claim covers: all that were planned, also where training ended before."""
    queries: int | None = None
    """Number of noisy majority votes in all those steps; None where the noise is on gradients."""
    max_grad_norm: float | None
    """Clip norm, joint over all private networks; None where no gradient is clipped."""
    void_reason: str = ""
    """Why there is no claim, in plain words; empty when there is one."""


class Cost(BaseModel):
    """What a step cost; volatile, never part of what is compared."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    wall_s: float
    """Seconds on the wall clock."""
    peak_mem_mib: float | None = None
    """Highest resident memory sampled during the step, MiB."""
    gpu_peak_mem_mib: float | None = None
    """Highest memory allocated on the GPU, MiB; None on the CPU."""
    items: int | None = None
    """What was made: training steps, generated samples, judged candidates."""
    device: str = "cpu"
    """Device kind that it ran on."""
    precision: str = "float32"
    """Arithmetic of the non-private part of training."""


@dataclass(frozen=True)
class Trial:
    """One training run and everything measured on it but attacks.

    Attributes:
        dataset, target, defense: labels as the matrix crosses them (a stack's labels joined by ``+``).
        status: what became of it; ``diverged`` keeps its row. ``reason`` says why when not completed.
        control: whether the target is a control of the instrument and no model (never ranked).
        key: the train step's key.
        quality, stability: None when not measured.
        claim: None where the defense claims nothing.
        caveats: what a reader must know of what the defenses protect, and of the members.
        adaptive: names of the attacks that the defenses say are made against them.
        filtered: whether a defense holds generated records back, so that what is released is not what snapshots show.
        artifacts: artifact kind -> sha256 of its manifest, for provenance and the digest.
        costs: step kind (``train``, ``sample``, ``quality``) -> its cost.
        history: column name -> array over training steps (losses, gradient norms), for plots.
        sheet: uint8 ``(n, c, h, w)``, the first few generated records; None for tables.
        samples: reads all generated records as stored, ``(n, *shape)``; None where there are none.
    """

    dataset: str
    target: str
    defense: str
    seed: int
    status: TrialStatus
    reason: str = ""
    key: str = ""
    control: bool = False
    quality: QualityRecord | TableQualityRecord | None = None
    stability: StabilityRecord | None = None
    claim: PrivacyClaim | None = None
    caveats: tuple[str, ...] = ()
    adaptive: tuple[str, ...] = ()
    filtered: bool = False
    artifacts: Mapping[str, str] = field(default_factory=dict)
    costs: Mapping[str, Cost] = field(default_factory=dict)
    history: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    sheet: NDArray[np.uint8] | None = None
    samples: Callable[[], NDArray[Any]] | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True)
class Cell:
    """One attack on one trial, or on what the trial's training had reached at one of its snapshots.

    Attributes:
        at_step: training steps at the snapshot that was attacked; None for the trial itself.
        access, knowledge: as the attack declares them.
        control: a control of the instrument (never in a headline).
        adaptive: whether the attack is one that the trial's defense names as adaptive.
        models_trained: how many models the attack asked for.
        models_s: seconds that training and sampling those took, whichever other attacks share them; None where that
            is not known.
        tuned_on_labels, capped: flags that the attack's result carries.
        known: number of candidates whose truth the attacker was told, and which it does not judge.
        diagnostics: figures that the attack reports of itself (`blind`: its permutation p-value).
        record_ids, membership, scores: ``(n,)`` each, sorted by record id; empty when not completed.
        part, named_part: ``(n,)``, the part that each member was in and the one that the attack names, -1 for none;
            empty where the defense divides no records or the attack names no parts.
        set_scores: set size -> ``(sets,)``, the attack's own score of each set that ``compose_sets`` makes of its
            candidates, by ascending set id; empty where it has no score of its own for sets.
    """

    dataset: str
    target: str
    defense: str
    seed: int
    attack: str
    access: str
    knowledge: str
    status: CellStatus
    reason: str = ""
    control: bool = False
    adaptive: bool = False
    tuned_on_labels: bool = False
    capped: bool = False
    known: int = 0
    models_trained: int = 0
    models_s: float | None = None
    diagnostics: Mapping[str, float] = field(default_factory=dict)
    key: str = ""
    artifact: str = ""
    cost: Cost | None = None
    record_ids: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    membership: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_))
    scores: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0, np.float64))
    part: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    named_part: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    set_scores: Mapping[int, NDArray[np.float64]] = field(default_factory=dict)
    at_step: int | None = None


@dataclass(frozen=True)
class Lines:
    """The reference lines that a row's quality is read against, per data set and target.

    Attributes:
        real: reference records against the holdout: what real records would score.
        untrained: the target before its first training step; None where it failed.
        pca_gaussian: a Gaussian in PCA space fitted on the reference records.
    """

    dataset: str
    target: str
    real: QualityRecord | TableQualityRecord | None
    untrained: QualityRecord | TableQualityRecord | None
    pca_gaussian: QualityRecord | TableQualityRecord | None


@dataclass(frozen=True)
class Results:
    """Everything that one run of a matrix found, in the matrix's order.

    Attributes:
        name: the matrix's name.
        matrix_text: the matrix file, verbatim.
        settings: the result-changing settings of the matrix as JSON (sets, resamples, quality, samples...).
        stamp: versions, device, git state and time; volatile.
        trials, cells, lines: one entry per trial, per trial x attack, per data set x target.
        snapshots: attacks on snapshots of undefended trainings (``Cell.at_step``), so that a defense can be read beside
            an undefended model of equal quality; a published board holds the scores of those that it used alone.
        splits: data set label -> split name -> record ids, as published in index files.
        fingerprints: data set label -> sha256 of its records.
        duplicates: data set label -> number of exact duplicates across the split.
        membership: data set label -> ``fixed``, or ``coin`` where each candidate joined by a fair coin of its own.
        plugins: what ``datasets``, ``targets``, ``defenses`` and ``attacks`` say of themselves, by their names in
            tables; see ``bench.described``. Words alone: no result depends on them.
        candidates: data set label -> reads its members and non-members.
    """

    name: str
    matrix_text: str
    settings: Mapping[str, Any]
    stamp: Mapping[str, Any]
    trials: tuple[Trial, ...]
    cells: tuple[Cell, ...]
    lines: tuple[Lines, ...]
    splits: Mapping[str, Mapping[str, NDArray[np.int64]]]
    fingerprints: Mapping[str, str]
    duplicates: Mapping[str, int]
    membership: Mapping[str, str] = field(default_factory=dict)
    snapshots: tuple[Cell, ...] = ()
    plugins: Mapping[str, Mapping[str, Sequence[Mapping[str, str]]]] = field(default_factory=dict)
    candidates: Mapping[str, Callable[[], Records]] = field(default_factory=dict)
