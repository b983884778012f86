"""Crosses a matrix into trials, cells and steps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from bench import registry
from bench.attacks.base import Attack, ModelRequest, TrialSpec
from bench.canonical import sha256_json
from bench.data.base import Dataset
from bench.data.fitted import fit_on_reference
from bench.data.split import Split, make_split
from bench.errors import InputError, MissingFilesError
from bench.identity import content_fingerprint, source_fingerprint
from bench.matrix import DataSet, ResolvedMatrix, dataset_labels, display_names, stack_label
from bench.metrics.features import find_extractor
from bench.plan.graph import (
    BASE_DIR,
    AbsentData,
    Plan,
    PlannedCell,
    PlannedData,
    PlannedLines,
    PlannedTrial,
    Step,
    StepKind,
    make_step,
)
from bench.plugin import Plugin
from bench.release import GRANTS
from bench.rng import derive_seed
from defenses.base import Defense, stack_refuses
from targets.base import Target

CONTROLS = ("constant", "random", "blind", "oracle")  # what the instrument measures of itself
# Images' snapshots are judged on halves of the holdout, and 50 records are the least for a distance.
MIN_HOLDOUT = {"image": 100, "table": 50}
MIN_REFERENCE = 50  # fewer reference records have no quality of their own to show
TABLE = "table"  # stands for the extractor where there are no image features
LINE_SEED = 0  # the reference lines are drawn once, whatever the trials' seeds


def build_plan(resolved: ResolvedMatrix) -> Plan:
    """The graph of a matrix.

    Raises:
        InputError: a data set cannot be loaded or split as asked; every problem of every data set at once.
    """
    return _Builder(resolved).build()


@dataclass
class _Builder:
    resolved: ResolvedMatrix
    names: dict[registry.Kind, dict[str, str]] = field(default_factory=dict)  # label -> what tables call it
    contents: dict[Path, str] = field(default_factory=dict)  # fingerprints of plugins' files
    steps: dict[str, Step] = field(default_factory=dict)
    trials: list[PlannedTrial] = field(default_factory=list)
    cells: list[PlannedCell] = field(default_factory=list)
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
                        trial = self._trial(planned, target, stack, seed)
                        spec = self._spec(planned, target, stack, seed)
                        any_trial = any_trial or not trial.refused
                        for attack in attacks:
                            if not self.resolved.excludes(entry, target, stack, seed, attack):
                                self.cells.append(self._cell(planned, target, stack, trial, attack, spec))
                if any_trial:
                    self._reference_lines(planned, target)
        return Plan(
            {d.label: d for d in data if isinstance(d, PlannedData)},
            tuple(self.trials),
            tuple(self.cells),
            tuple(self.lines),
            tuple(self.steps.values()),
            self._configurations(attacks),
            tuple(d for d in data if isinstance(d, AbsentData)),
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
        }
        step = self._add("data", config, {}, (), f"data {label}", len(split.records))
        return PlannedData(label, split, fingerprint, step)

    def _attacks(self) -> tuple[Attack, ...]:
        attacks = list(cast("tuple[Attack, ...]", self.resolved.attacks))
        if self.resolved.matrix.controls:
            named = {attack.name for attack in attacks}
            attacks += [cast("Attack", registry.get("attacks", n)()) for n in CONTROLS if n not in named]
        return tuple(attacks)

    def _add(
        self,
        kind: StepKind,
        config: Mapping[str, Any],
        upstream: Mapping[str, Step],
        plugins: Iterable[tuple[registry.Kind, Plugin]],
        label: str,
        work: int,
        gate: Step | None = None,
    ) -> Step:
        sources: dict[str, str] = {}
        # A step rebuilds what came before it, so it must find those plugins too; their sources are in those keys.
        references = {name: where for up in upstream.values() for name, where in up.references.items()}
        for plugin_kind, whole in plugins:
            for plugin in (whole, *whole.parts()):
                name = f"{plugin_kind}/{plugin.name}"
                sources[name] = source_fingerprint(_file(type(plugin)))
                references[name] = registry.reference(type(plugin))
                for option in plugin.files:
                    sources[f"{name}:{option}"] = self._content(plugin.path(option))
                    references[BASE_DIR] = str(self.resolved.base_dir)
        step = make_step(kind, config, upstream, sources, references, label, work, gate)
        return self.steps.setdefault(step.id, step)

    def _content(self, path: Path) -> str:
        """The fingerprint of a plugin's file; read once for all steps."""
        if path not in self.contents:
            self.contents[path] = content_fingerprint(path)
        return self.contents[path]

    def _place(self) -> dict[str, Any]:
        return {"device": self.resolved.matrix.device, "precision": self.resolved.matrix.precision}

    def _train(
        self,
        data: PlannedData,
        target: Target,
        stack: tuple[Defense, ...],
        seed: int,
        records: Mapping[str, Any],
        extra: Mapping[str, Step],
        snapshots: int,
        label: str,
    ) -> tuple[Step, Step | None]:
        """A train step behind the preflight of its pair; training of 0 steps needs none."""
        plugins: list[tuple[registry.Kind, Plugin]] = [("targets", target), *(("defenses", d) for d in stack)]
        pair = {"target": target.spec(), "defenses": [d.spec() for d in stack], **self._place()}
        profile = f"{target.name}/{stack_label(stack) or 'none'}"
        upstream: dict[str, Step] = {"data": data.step, **extra}
        preflight = None
        if target.options.steps:
            preflight = self._add(
                "preflight",
                {**pair, "profile": profile},
                {"data": data.step},
                plugins,
                f"preflight {profile}",
                1,
            )
        config = {**pair, "seed": seed, "records": records, "snapshot_records": snapshots, "profile": profile}
        return self._add("train", config, upstream, plugins, label, target.options.steps, preflight), preflight

    def _trial(self, data: PlannedData, target: Target, stack: tuple[Defense, ...], seed: int) -> PlannedTrial:
        matrix = self.resolved.matrix
        defense = self.names["defenses"][stack_label(stack)]
        where = f"{data.label}/{self._name(target)}/{defense}/{seed}"
        refused = stack_refuses(stack, target, data.schema) or ""
        steps: dict[str, Step] = {}
        if not refused:
            train, preflight = self._train(
                data,
                target,
                stack,
                seed,
                {"source": "members"},
                {},
                matrix.quality.snapshot_records,
                f"train {where}",
            )
            if preflight is not None:
                steps["preflight"] = preflight
            steps["train"] = train
            steps["sample"] = self._sample(data, train, target, stack, f"sample {where}")
            steps["quality"] = self._quality(data, {"sample": steps["sample"], "train": train}, f"quality {where}")
        adaptive = tuple(dict.fromkeys(name for d in stack for name in d.adaptive))
        trial = PlannedTrial(
            data.label, self._name(target), defense, seed, refused, steps, adaptive, control=target.control
        )
        self.trials.append(trial)
        return trial

    def _sample(self, data: PlannedData, train: Step, target: Target, stack: tuple[Defense, ...], label: str) -> Step:
        n = self.resolved.matrix.samples
        plugins: list[tuple[registry.Kind, Plugin]] = [("targets", target), *(("defenses", d) for d in stack)]
        config = {"source": "trained", "n": n, "device": self.resolved.matrix.device, "profile": target.name}
        return self._add("sample", config, {"train": train, "data": data.step}, plugins, label, n)

    def _features(self, data: PlannedData, extractor: str) -> Step:
        config = {"extractor": extractor, "device": self.resolved.matrix.device, "profile": extractor}
        work = sum(len(data.split.ids[role]) for role in ("members", "reference", "holdout"))
        return self._add("features", config, {"data": data.step}, (), f"features {data.label} {extractor}", work)

    def _quality(self, data: PlannedData, upstream: Mapping[str, Step], label: str) -> Step:
        quality = self.resolved.matrix.quality
        if data.schema.kind == "table":  # measured on the columns themselves
            config: dict[str, Any] = {"records": quality.records, "extractor": TABLE, "profile": TABLE}
            return self._add("quality", config, {**upstream, "data": data.step}, (), label, quality.records)
        inputs = {**upstream, "data": data.step, "features": self._features(data, quality.extractor)}
        config = {
            "records": quality.records,
            "extractor": quality.extractor,
            "device": self.resolved.matrix.device,
            "profile": quality.extractor,
        }
        work = quality.records
        if "train" in upstream:
            inputs["snapshot_features"] = self._features(data, quality.snapshot_extractor)
            config["snapshot_extractor"] = quality.snapshot_extractor
            config["profile"] = f"{quality.extractor}+{quality.snapshot_extractor}"
        return self._add("quality", config, inputs, (), label, work)

    def _reference_lines(self, data: PlannedData, target: Target) -> None:
        where = f"{data.label}/{self._name(target)}"
        steps: dict[str, Step] = {}
        if len(data.split.ids["reference"]) >= MIN_REFERENCE:
            steps["real"] = self._quality(data, {}, f"quality {data.label} real line")
            n = self.resolved.matrix.samples
            config = {"source": "pca_gaussian", "n": n, "seed": LINE_SEED, "profile": "pca_gaussian"}
            gaussian = self._add("sample", config, {"data": data.step}, (), f"sample {data.label} PCA Gaussian", n)
            steps["pca_gaussian"] = self._quality(data, {"sample": gaussian}, f"quality {data.label} PCA Gaussian line")
        if (untrained := target.untrained()) is None:
            self.lines.append(PlannedLines(data.label, self._name(target), steps))
            return
        train, _ = self._train(data, untrained, (), LINE_SEED, {"source": "members"}, {}, 0, f"build {where} untrained")
        sample = self._sample(data, train, untrained, (), f"sample {where} untrained")
        steps["untrained"] = self._quality(data, {"sample": sample}, f"quality {where} untrained line")
        self.lines.append(PlannedLines(data.label, self._name(target), steps))

    def _spec(self, data: PlannedData, target: Target, stack: tuple[Defense, ...], seed: int) -> TrialSpec:
        return TrialSpec(
            schema=data.schema,
            members=data.split.expected_members,
            sizes={role: len(ids) for role, ids in data.split.ids.items()},
            target=target.spec(),
            defenses=tuple(d.spec() for d in stack),
            seed=seed,
            samples=self.resolved.matrix.samples,
        )

    def _cell(
        self,
        data: PlannedData,
        target: Target,
        stack: tuple[Defense, ...],
        trial: PlannedTrial,
        attack: Attack,
        spec: TrialSpec,
    ) -> PlannedCell:
        name = self.names["attacks"][attack.label()]
        if trial.refused:
            return PlannedCell(trial, attack, name, "", None)
        if (reason := attack.not_applicable(spec, frozenset(target.roles))) is not None:
            return PlannedCell(trial, attack, name, reason, None)
        requests = attack.needs(spec)
        if target.brought and any(r.target["name"] == target.name for r in requests):
            # "Trained" once more it would be the very target, and the target is never among its own references.
            reason = f"{attack.name} trains models like the target, and {target.name} was trained elsewhere"
            return PlannedCell(trial, attack, name, reason, None)
        upstream: dict[str, Step] = {"data": data.step}
        grants = GRANTS[attack.access]
        if "samples" in grants:
            upstream["sample"] = trial.steps["sample"]
        if grants & {"latent", "decision", "white_box"}:
            upstream["train"] = trial.steps["train"]
        models = {r.name: self._model(data, trial, stack, r) for r in requests}
        upstream.update({f"model/{name}": step for name, step in models.items()})
        config = {
            "attack": attack.spec(),
            "seed": trial.seed,
            "device": self.resolved.matrix.device,
            "profile": attack.name,
        }
        label = f"attack {trial.dataset}/{trial.target}/{trial.defense}/{trial.seed}/{name}"
        work = spec.sizes["members"] + spec.sizes["nonmembers"]
        step = self._add("attack", config, upstream, [("attacks", attack)], label, work)
        return PlannedCell(trial, attack, name, "", step, tuple(models.values()))

    def _model(self, data: PlannedData, trial: PlannedTrial, stack: tuple[Defense, ...], request: ModelRequest) -> Step:
        target = cast("Target", self._class("targets", str(request.target["name"])).from_spec(request.target))
        target = target.at(self.resolved.base_dir)
        if request.defenses is not None:
            stack = tuple(
                cast("Defense", self._class("defenses", str(d["name"])).from_spec(d)).at(self.resolved.base_dir)
                for d in request.defenses
            )
        # A seed of the model's own: with the trial's, an attacker's network of the same shape would start from the
        # very weights that the target started from.
        seed = derive_seed(request.seed, "model", request.name)
        extra = {"sample": trial.steps["sample"]} if request.source == "samples" else {}
        records = {"source": request.source, "size": request.size, "seed": seed}
        label = f"train {request.name} for {trial.dataset}/{trial.target}/{trial.defense}/{trial.seed}"
        step, _ = self._train(data, target, stack, seed, records, extra, 0, label)
        return step

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

    def _class(self, kind: registry.Kind, name: str) -> type[Plugin]:
        """The class of a requested model's plugin: the matrix's own, which may be a file's, or a registered one."""
        stacks = self.resolved.defenses if kind == "defenses" else (self.resolved.targets,)
        return next((type(p) for stack in stacks for p in stack if p.name == name), None) or registry.get(kind, name)


def _file(plugin: type[Plugin]) -> Path:
    import sys

    file = sys.modules[plugin.__module__].__file__
    if file is None:
        raise InputError(f"expected the plugin {plugin.name} to come from a file, got none for {plugin.__module__}")
    return Path(file)
