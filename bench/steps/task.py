"""What travels to a worker, and what comes back: small and picklable; arrays go through the store."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bench.devices import Device
from bench.errors import PluginError
from bench.plan.graph import BASE_DIR, Step
from bench.plugin import Plugin
from bench.registry import Kind, get
from bench.store import Artifact, Store

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Task:
    """A step without its graph.

    Attributes:
        inputs: role of an input -> (kind, key) of its artifact.
        gate: (kind, key) of the preflight, or None.
    """

    kind: str
    key: str
    config: Mapping[str, Any]
    inputs: Mapping[str, tuple[str, str]]
    gate: tuple[str, str] | None
    references: Mapping[str, str]
    label: str
    profile: str
    work: int

    @classmethod
    def of(cls, step: Step) -> Task:
        return cls(
            step.kind,
            step.key,
            step.config,
            {role: (up.kind, up.key) for role, up in step.upstream.items()},
            (step.gate.kind, step.gate.key) if step.gate else None,
            step.references,
            step.label,
            step.profile,
            step.work,
        )


@dataclass(frozen=True)
class Outcome:
    """What became of a step; tasks return it and never raise.

    Attributes:
        status: ``done`` now, ``cached`` before, ``skipped`` because of an upstream step, or ``failed``.
        reason: why it was skipped or failed, in one line.
        traceback: of a failure that is a bug, else "".
    """

    kind: str
    key: str
    label: str
    status: Literal["done", "cached", "skipped", "failed"]
    reason: str = ""
    traceback: str = ""
    wall_s: float = 0.0

    @property
    def ok(self) -> bool:
        return self.status in ("done", "cached")


@dataclass(frozen=True)
class Job:
    """What a step's function gets to work with.

    Attributes:
        task: the step.
        store: where inputs lie.
        folder: where it writes its files.
        device: where it computes.
        progress: called with (done, all) now and then.
    """

    task: Task
    store: Store
    folder: Path
    device: Device
    progress: Progress

    def input(self, role: str) -> Artifact:
        """The artifact of one input.

        Raises:
            PluginError: it vanished between planning and now.
        """
        kind, key = self.task.inputs[role]
        artifact = self.store.find(kind, key)
        if artifact is None:
            raise PluginError(
                f"{self.task.label}: expected its input {kind} {key[:12]} in the store, found none; run again"
            )
        return artifact

    def has(self, role: str) -> bool:
        return role in self.task.inputs

    def plugin(self, kind: Kind, spec: Mapping[str, Any]) -> Plugin:
        """The plugin instance that a spec describes."""
        return load_plugin(kind, spec, self.task.references)


def load_plugin(kind: Kind, spec: Mapping[str, Any], references: Mapping[str, str]) -> Plugin:
    """The plugin instance of a spec, found by the reference that the plan noted, with its files."""
    name = str(spec["name"])
    plugin = get(kind, references.get(f"{kind}/{name}", name)).from_spec(spec)
    return plugin.at(Path(references[BASE_DIR])) if plugin.files else plugin
