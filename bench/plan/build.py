"""Crosses a matrix into trials, cells and steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from bench import registry
from bench.attacks.base import Attack
from bench.canonical import sha256_json
from bench.data.base import Dataset
from bench.data.canaries import caveat
from bench.data.fitted import fit_on_reference
from bench.data.split import Split, make_split
from bench.errors import InputError, MissingFilesError
from bench.matrix import DataSet, ResolvedMatrix, dataset_labels, display_names, stack_label
from bench.metrics.features import find_extractor
from bench.plan.attack_steps import plan_cell, trial_spec
from bench.plan.graph import (
    AbsentData,
    Plan,
    PlannedCell,
    PlannedData,
    PlannedLines,
    PlannedTrial,
    Step,
)
from bench.plan.snapshots import has_snapshots, plan_snapshots
from bench.plan.steps import StepMaker
from defenses.base import Defense, stack_refuses
from targets.base import Target

CONTROLS = ("constant", "random", "blind", "oracle")  # what the instrument measures of itself
# Images' snapshots are judged on halves of the holdout, and 50 records are the least for a distance.
MIN_HOLDOUT = {"image": 100, "table": 50}
MIN_REFERENCE = 50  # fewer reference records have no quality of their own to show
UNDEFENDED = "none"  # the label of the stack that changes nothing
LINE_SEED = 0  # the reference lines are drawn once, whatever the trials' seeds


def build_plan(resolved: ResolvedMatrix) -> Plan:
    """The graph of a matrix.

    Raises:
        InputError: a data set cannot be loaded or split as asked; every problem of every data set at once.
    """
    return _Builder(resolved, StepMaker(resolved)).build()


@dataclass
class _Builder:
    resolved: ResolvedMatrix
    make: StepMaker
    names: dict[registry.Kind, dict[str, str]] = field(default_factory=dict)  # label -> what tables call it
    trials: list[PlannedTrial] = field(default_factory=list)
    cells: list[PlannedCell] = field(default_factory=list)
    snapshots: list[PlannedCell] = field(default_factory=list)
    lines: list[PlannedLines] = field(default_factory=list)

    def build(self) -> Plan:
        data = self._load()
        attacks = self._attacks()
        self.names = {
            "targets": display_names(t.label() for t in self.resolved.targets),
            "defenses": display_names(stack_label(stack) for stack in self.resolved.defenses),
            "attacks": display_names(a.label() for a in attacks),
        }
        for entry, planned in zip(self.resolved.datasets, data, strict=True):
            if isinstance(planned, AbsentData):
                self._absent(entry, planned, attacks)
                continue
            for target in cast("tuple[Target, ...]", self.resolved.targets):
                any_trial = False
                for stack in cast("tuple[tuple[Defense, ...], ...]", self.resolved.defenses):
                    # What was trained elsewhere is one training, whatever the seeds here.
                    for seed in self.resolved.seeds[:1] if target.brought else self.resolved.seeds:
                        if self.resolved.excludes(entry, target, stack, seed):
                            continue
                        beside = self._read_beside(entry, planned, target, stack, seed)
                        trial = self._trial(planned, target, stack, seed, beside)
                        spec = trial_spec(self.make, planned, target, stack, seed)
                        any_trial = any_trial or not trial.refused
                        for attack in attacks:
                            if not self.resolved.excludes(entry, target, stack, seed, attack):
                                name = self.names["attacks"][attack.label()]
                                self.cells.append(
                                    plan_cell(self.make, planned, target, stack, trial, spec, attack, name)
                                )
                        if beside and not trial.refused:
                            judging = {
                                self.names["attacks"][attack.label()]: attack
                                for attack in attacks
                                if not self.resolved.excludes(entry, target, stack, seed, attack)
                            }
                            self.snapshots += plan_snapshots(self.make, planned, target, stack, trial, spec, judging)
                if any_trial:
                    self._reference_lines(planned, target)
        return Plan(
            {d.label: d for d in data if isinstance(d, PlannedData)},
            tuple(self.trials),
            tuple(self.cells),
            tuple(self.lines),
            tuple(self.make.steps.values()),
            self._configurations(attacks),
            tuple(d for d in data if isinstance(d, AbsentData)),
            tuple(self.snapshots),
        )

    def _absent(self, entry: DataSet, data: AbsentData, attacks: Sequence[Attack]) -> None:
        """Rows that say why nothing can be measured on a data set whose files are not here."""
        for target in cast("tuple[Target, ...]", self.resolved.targets):
            for stack in cast("tuple[tuple[Defense, ...], ...]", self.resolved.defenses):
                for seed in self.resolved.seeds:
                    if self.resolved.excludes(entry, target, stack, seed):
                        continue
                    defense = self.names["defenses"][stack_label(stack)]
                    trial = PlannedTrial(data.label, self._name(target), defense, seed, "", {}, absent=data.reason)
                    self.trials.append(trial)
                    self.cells += [
                        PlannedCell(trial, attack, self.names["attacks"][attack.label()], "", None)
                        for attack in attacks
                        if not self.resolved.excludes(entry, target, stack, seed, attack)
                    ]

    def _load(self) -> list[PlannedData | AbsentData]:
        found: list[PlannedData | AbsentData] = []
        problems: list[str] = []
        quality = self.resolved.matrix.quality
        for extractor in (quality.extractor, quality.snapshot_extractor):
            try:
                find_extractor(extractor)
            except InputError as error:
                problems += [f"{self.resolved.path}: quality: {problem}" for problem in error.problems]
        labels = dataset_labels(self.resolved.datasets)
        for label, (plugin, options) in zip(labels, self.resolved.datasets, strict=True):
            try:
                dataset = cast("Dataset", plugin)
                split = fit_on_reference(
                    make_split(dataset.load(self.resolved.base_dir), options, self.resolved.base_dir)
                )
                least = MIN_HOLDOUT[split.records.schema.kind]
                if len(split.ids["holdout"]) < least:
                    raise InputError(
                        f"expected at least {least} holdout records to measure sample quality, got "
                        f"{len(split.ids['holdout'])}; set `holdout`"
                    )
                found.append(self._data(label, split))
            except MissingFilesError as error:
                found.append(AbsentData(label, " ".join(error.problems)))
            except InputError as error:
                problems += [f"{self.resolved.path}: data set {label}: {problem}" for problem in error.problems]
        if problems:
            raise InputError(problems)
        return found

    def _data(self, label: str, split: Split) -> PlannedData:
        fingerprint = split.records.fingerprint()
        config = {
            "fingerprint": fingerprint,
            "schema": split.records.schema.to_json(),
            "ids": sha256_json({role: ids.tolist() for role, ids in split.ids.items()}),
            "membership": split.membership,
            "expected_members": split.expected_members,
            **({"canaries": split.canaries} if split.canaries != "none" else {}),
        }
        step = self.make.add("data", config, {}, (), f"data {label}", len(split.records))
        return PlannedData(label, split, fingerprint, step)

    def _attacks(self) -> tuple[Attack, ...]:
        attacks = list(cast("tuple[Attack, ...]", self.resolved.attacks))
        if self.resolved.matrix.controls:
            named = {attack.name for attack in attacks}
            attacks += [cast("Attack", registry.get("attacks", n)()) for n in CONTROLS if n not in named]
        return tuple(attacks)

    def _read_beside(
        self, entry: DataSet, data: PlannedData, target: Target, stack: tuple[Defense, ...], seed: int
    ) -> bool:
        """Whether this is an undefended trial with snapshots, and a defended one of its seed is read beside it."""
        others = cast("tuple[tuple[Defense, ...], ...]", self.resolved.defenses)
        return (
            self.resolved.matrix.equal_kid
            and stack_label(stack) == UNDEFENDED
            and has_snapshots(target, data.schema)
            and any(
                stack_label(other) != UNDEFENDED
                and not self.resolved.excludes(entry, target, other, seed)
                and stack_refuses(other, target, data.schema) is None
                for other in others
            )
        )

    def _trial(
        self, data: PlannedData, target: Target, stack: tuple[Defense, ...], seed: int, snapshot_networks: bool
    ) -> PlannedTrial:
        matrix = self.resolved.matrix
        defense = self.names["defenses"][stack_label(stack)]
        where = f"{data.label}/{self._name(target)}/{defense}/{seed}"
        refused = stack_refuses(stack, target, data.schema) or ""
        steps: dict[str, Step] = {}
        if not refused:
            train, preflight = self.make.train(
                data,
                target,
                stack,
                seed,
                {"source": "members"},
                {},
                matrix.quality.snapshot_records,
                f"train {where}",
                snapshot_networks,
            )
            if preflight is not None:
                steps["preflight"] = preflight
            steps["train"] = train
            steps["sample"] = self.make.sample(data, train, target, stack, f"sample {where}")
            steps["quality"] = self.make.quality(data, {"sample": steps["sample"], "train": train}, f"quality {where}")
        adaptive = tuple(dict.fromkeys(name for d in stack for name in d.adaptive))
        canary_caveat = caveat(data.split.canaries, target.name, target.conditional)
        trial = PlannedTrial(
            *(data.label, self._name(target), defense, seed, refused, steps, adaptive),
            caveats=tuple(said for said in (*(d.caveat for d in stack), canary_caveat) if said),
            control=target.control,
            filtered=any(type(d).filter_samples is not Defense.filter_samples for d in stack),
        )
        self.trials.append(trial)
        return trial

    def _reference_lines(self, data: PlannedData, target: Target) -> None:
        where = f"{data.label}/{self._name(target)}"
        steps: dict[str, Step] = {}
        if len(data.split.ids["reference"]) >= MIN_REFERENCE:
            steps["real"] = self.make.quality(data, {}, f"quality {data.label} real line")
            n = self.resolved.matrix.samples
            config = {"source": "pca_gaussian", "n": n, "seed": LINE_SEED, "profile": "pca_gaussian"}
            gaussian = self.make.add("sample", config, {"data": data.step}, (), f"sample {data.label} PCA Gaussian", n)
            steps["pca_gaussian"] = self.make.quality(
                data, {"sample": gaussian}, f"quality {data.label} PCA Gaussian line"
            )
        if (untrained := target.untrained()) is None:
            self.lines.append(PlannedLines(data.label, self._name(target), steps))
            return
        train, _ = self.make.train(
            data, untrained, (), LINE_SEED, {"source": "members"}, {}, 0, f"build {where} untrained"
        )
        sample = self.make.sample(data, train, untrained, (), f"sample {where} untrained")
        steps["untrained"] = self.make.quality(data, {"sample": sample}, f"quality {where} untrained line")
        self.lines.append(PlannedLines(data.label, self._name(target), steps))

    def _name(self, target: Target) -> str:
        return self.names["targets"][target.label()]

    def _configurations(self, attacks: Sequence[Attack]) -> dict[str, dict[str, list[dict[str, Any]]]]:
        return {
            "targets": {self._name(cast("Target", t)): [t.spec()] for t in self.resolved.targets},
            "defenses": {
                self.names["defenses"][stack_label(stack)]: [d.spec() for d in stack]
                for stack in self.resolved.defenses
            },
            "attacks": {self.names["attacks"][a.label()]: [a.spec()] for a in attacks},
        }
