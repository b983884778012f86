"""Makes the steps of a graph, each once: what trains, samples, and measures quality."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import registry
from bench.errors import InputError
from bench.identity import content_fingerprint, source_fingerprint
from bench.matrix import ResolvedMatrix, stack_label
from bench.plan.graph import BASE_DIR, PlannedData, Step, StepKind, make_step
from bench.plugin import Plugin
from defenses.base import Defense
from targets.base import Target

TABLE = "table"  # stands for the extractor where there are no image features


@dataclass
class StepMaker:
    """The steps made so far; one that is asked for again is the same one.

    Attributes:
        resolved: the matrix, whose settings the steps take.
        steps: by id, each after what it needs.
    """

    resolved: ResolvedMatrix
    steps: dict[str, Step] = field(default_factory=dict)
    contents: dict[Path, str] = field(default_factory=dict)  # fingerprints of plugins' files
    models: dict[Hashable, tuple[Step, Step | None] | str] = field(default_factory=dict)  # of attacks, by request

    def add(
        self,
        kind: StepKind,
        config: Mapping[str, Any],
        upstream: Mapping[str, Step],
        plugins: Iterable[tuple[registry.Kind, Plugin]],
        label: str,
        work: int,
        gate: Step | None = None,
    ) -> Step:
        """A step of these plugins, or the one that is there already."""
        sources: dict[str, str] = {}
        # A step rebuilds what came before it, so it must find those plugins too; their sources are in those keys.
        references = {name: where for up in upstream.values() for name, where in up.references.items()}
        for plugin_kind, whole in plugins:
            for plugin in (whole, *whole.parts()):
                name = f"{plugin_kind}/{plugin.name}"
                sources[name] = source_fingerprint(plugin_file(type(plugin)))
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

    def train(
        self,
        data: PlannedData,
        target: Target,
        stack: tuple[Defense, ...],
        seed: int,
        records: Mapping[str, Any],
        extra: Mapping[str, Step],
        snapshots: int,
        label: str,
        snapshot_networks: bool = False,
    ) -> tuple[Step, Step | None]:
        """A train step behind the preflight of its pair; training of 0 steps needs none."""
        plugins: list[tuple[registry.Kind, Plugin]] = [("targets", target), *(("defenses", d) for d in stack)]
        pair = {"target": target.spec(), "defenses": [d.spec() for d in stack], **self._place()}
        profile = f"{target.name}/{stack_label(stack) or 'none'}"
        upstream: dict[str, Step] = {"data": data.step, **extra}
        preflight = None
        if target.options.steps:
            preflight = self.add(
                "preflight",
                {**pair, "profile": profile},
                {"data": data.step},
                plugins,
                f"preflight {profile}",
                1,
            )
        config = {**pair, "seed": seed, "records": records, "snapshot_records": snapshots, "profile": profile}
        if snapshot_networks:
            config["snapshot_networks"] = True
        return self.add("train", config, upstream, plugins, label, target.options.steps, preflight), preflight

    def sample(
        self,
        data: PlannedData,
        train: Step,
        target: Target,
        stack: tuple[Defense, ...],
        label: str,
        snapshot: int | None = None,
    ) -> Step:
        """As many generated records as the matrix asks for, from a trained target or from a snapshot of it."""
        n = self.resolved.matrix.samples
        plugins: list[tuple[registry.Kind, Plugin]] = [("targets", target), *(("defenses", d) for d in stack)]
        config = {"source": "trained", "n": n, "device": self.resolved.matrix.device, "profile": target.name}
        if snapshot is not None:
            config["snapshot"] = snapshot
        return self.add("sample", config, {"train": train, "data": data.step}, plugins, label, n)

    def features(self, data: PlannedData, extractor: str) -> Step:
        """The features of all roles that quality is measured against."""
        config = {"extractor": extractor, "device": self.resolved.matrix.device, "profile": extractor}
        work = len(data.split.imitated()) + sum(len(data.split.ids[role]) for role in ("reference", "holdout"))
        return self.add("features", config, {"data": data.step}, (), f"features {data.label} {extractor}", work)

    def quality(self, data: PlannedData, upstream: Mapping[str, Step], label: str) -> Step:
        """The quality of what ``upstream`` holds, of the data set's kind."""
        quality = self.resolved.matrix.quality
        if data.schema.kind == "table":  # measured on the columns themselves
            config: dict[str, Any] = {"records": quality.records, "extractor": TABLE, "profile": TABLE}
            return self.add("quality", config, {**upstream, "data": data.step}, (), label, quality.records)
        inputs = {**upstream, "data": data.step, "features": self.features(data, quality.extractor)}
        config = {
            "records": quality.records,
            "extractor": quality.extractor,
            "device": self.resolved.matrix.device,
            "profile": quality.extractor,
        }
        work = quality.records
        if "train" in upstream:
            inputs["snapshot_features"] = self.features(data, quality.snapshot_extractor)
            config["snapshot_extractor"] = quality.snapshot_extractor
            config["profile"] = f"{quality.extractor}+{quality.snapshot_extractor}"
        return self.add("quality", config, inputs, (), label, work)


def plugin_file(plugin: type[Plugin]) -> Path:
    """The file that holds a plugin's class.

    Raises:
        InputError: it comes from none.
    """
    import sys

    file = sys.modules[plugin.__module__].__file__
    if file is None:
        raise InputError(f"expected the plugin {plugin.name} to come from a file, got none for {plugin.__module__}")
    return Path(file)
