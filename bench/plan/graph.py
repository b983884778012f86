"""The nodes of the graph and what a plan consists of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from bench.attacks.base import Attack
from bench.canonical import sha256_json
from bench.data.split import Split
from bench.identity import engine_versions
from bench.records import Schema

BASE_DIR = "base_dir"  # in a step's references: the folder that files of its plugins are relative to

StepKind = Literal["data", "preflight", "train", "sample", "features", "quality", "attack"]


@dataclass(frozen=True)
class Step:
    """One node: a pure function of its configuration and its upstream artifacts.

    Attributes:
        kind: what is done.
        key: its identity, see ``make_step``.
        config: result-changing configuration, JSON.
        upstream: role of an input -> the step that makes it.
        references: ``kind/name`` of each plugin -> how the registry finds it, and where its files lie; places are not
            identity.
        gate: the preflight that must have passed before this step runs; an order, not an input.
        label: for people.
        work: items to process (training steps, samples, candidates), for the estimate.
    """

    kind: StepKind
    key: str
    config: Mapping[str, Any]
    upstream: Mapping[str, Step] = field(repr=False)
    references: Mapping[str, str] = field(repr=False)
    label: str
    work: int
    gate: Step | None = field(default=None, repr=False)

    @property
    def id(self) -> str:
        return f"{self.kind}-{self.key}"

    @property
    def profile(self) -> str:
        """Steps of one profile cost alike per item of work."""
        return f"{self.kind}/{self.config['profile']}" if "profile" in self.config else self.kind

    def before(self) -> tuple[Step, ...]:
        """Every step that must have run before this one."""
        return (*self.upstream.values(), *((self.gate,) if self.gate else ()))


def make_step(
    kind: StepKind,
    config: Mapping[str, Any],
    upstream: Mapping[str, Step],
    sources: Mapping[str, str],
    references: Mapping[str, str],
    label: str,
    work: int,
    gate: Step | None = None,
) -> Step:
    """A step with its key: the hash of everything that decides its result.

    Args:
        sources: ``kind/name`` of each plugin -> fingerprint of its source, and of the content of its files.
    """
    key = sha256_json(
        {
            "kind": kind,
            "config": config,
            "upstream": {role: step.key for role, step in upstream.items()},
            "sources": dict(sources),
            "engine": engine_versions(kind),
        }
    )
    return Step(kind, key, config, upstream, references, label, work, gate)


@dataclass(frozen=True)
class PlannedData:
    """A loaded and split data set.

    Attributes:
        label: as shown in tables.
        split: its records and roles.
        fingerprint: sha256 of the decoded records.
        step: the ``data`` step that stores it.
    """

    label: str
    split: Split
    fingerprint: str
    step: Step

    @property
    def schema(self) -> Schema:
        return self.split.records.schema


@dataclass(frozen=True)
class AbsentData:
    """A data set whose files are not here: a row with its reason, and no step.

    Attributes:
        label: as shown in tables.
        reason: where it was looked for, and how to get it.
    """

    label: str
    reason: str


@dataclass(frozen=True)
class PlannedTrial:
    """One training run and what is measured on it.

    Attributes:
        refused: why target and defense do not go together, or "".
        absent: why the data set is not here, or "".
        adaptive: names of the attacks that its defenses say are made against them.
        caveats: what a reader must know of what its defenses protect, and of its members.
        control: whether the target measures the instrument and is no model.
        filtered: whether a defense of the stack holds generated records back.
        steps: ``preflight``, ``train``, ``sample``, ``quality``; empty where refused or absent.
    """

    dataset: str
    target: str
    defense: str
    seed: int
    refused: str
    steps: Mapping[str, Step]
    adaptive: tuple[str, ...] = ()
    caveats: tuple[str, ...] = ()
    absent: str = ""
    control: bool = False
    filtered: bool = False


@dataclass(frozen=True)
class PlannedCell:
    """One attack on one trial.

    Attributes:
        name: what tables call the attack.
        not_applicable: why the attack cannot judge this trial, or "".
        step: the ``attack`` step, None where refused or not applicable.
        models: train steps of the models that the attack asks for.
        at_step: training steps at the snapshot that it judges in place of the trial; None: the trial itself.
    """

    trial: PlannedTrial
    attack: Attack
    name: str
    not_applicable: str
    step: Step | None
    models: tuple[Step, ...] = ()
    at_step: int | None = None

    @property
    def id(self) -> str:
        t = self.trial
        snapshot = "" if self.at_step is None else f"@{self.at_step}"
        return f"{t.dataset}/{t.target}/{t.defense}/{t.seed}{snapshot}/{self.name}"


@dataclass(frozen=True)
class PlannedLines:
    """Quality steps of the reference lines of one data set x target."""

    dataset: str
    target: str
    steps: Mapping[str, Step]


@dataclass(frozen=True)
class Plan:
    """A matrix as a graph.

    Attributes:
        data: label -> data set, of those that are here.
        absent: the data sets that are not.
        snapshots: attacks on the snapshots of undefended trainings, where there is a defense to read beside them.
        steps: every step once, each after its upstream steps.
        configurations: ``targets``, ``defenses``, ``attacks`` -> name in tables -> specs with every option.
    """

    data: Mapping[str, PlannedData]
    trials: tuple[PlannedTrial, ...]
    cells: tuple[PlannedCell, ...]
    lines: tuple[PlannedLines, ...]
    steps: tuple[Step, ...]
    configurations: Mapping[str, Mapping[str, Sequence[Mapping[str, Any]]]]
    absent: tuple[AbsentData, ...] = ()
    snapshots: tuple[PlannedCell, ...] = ()
