"""From the entries of a matrix file to plugins with checked options, reporting everything that is wrong."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from bench.errors import BenchError, InputError
from bench.matrix import yaml_lines
from bench.matrix.model import Exclusion, Matrix, SplitOptions
from bench.matrix.problems import Problems
from bench.matrix.resolved import DataSet, ResolvedMatrix, Stack, dataset_labels, known_as, stack_label
from bench.plugin import Plugin
from bench.registry import SINGULAR, Kind, did_you_mean, get

T = TypeVar("T")
Model = TypeVar("Model", bound=BaseModel)


def validate(model: type[Model], data: Any) -> Model:
    """``data`` from a file as a model; through JSON, so that a list may become a tuple.

    Raises:
        ValidationError: it does not fit.
    """
    return model.model_validate_json(json.dumps(data))


@dataclass(frozen=True)
class Resolver:
    """Finds the plugins of a matrix, also of one whose other parts are wrong."""

    path: Path
    data: dict[str, Any]
    problems: Problems

    def resolve(self, matrix: Matrix | None) -> ResolvedMatrix | None:
        if "datasets" in self.data:
            datasets = self.axis("datasets", self.data["datasets"], ("datasets",), self.dataset, dataset_labels)
        else:
            single = self.dataset("datasets", ("dataset",), self.data.get("dataset"))
            datasets = None if single is None else [single]
        targets = self.axis("targets", self.data.get("targets"), ("targets",), self.plugin, _labels)
        defenses = self.axis("defenses", self.data.get("defenses"), ("defenses",), self.stack, _stack_labels)
        attacks = self.axis("attacks", self.data.get("attacks"), ("attacks",), self.plugin, _labels)
        named = zip(datasets or (), dataset_labels(datasets or ()), strict=True)
        seeds = self.data.get("seeds", [0])
        self.exclusions(
            {
                "dataset": [known_as((plugin,), label) for (plugin, _), label in named],
                "target": [known_as((target,)) for target in targets or ()],
                "defense": [known_as(stack) for stack in defenses or ()],
                "attack": [known_as((attack,)) for attack in attacks or ()],
                "seed": [frozenset({s}) for s in seeds if isinstance(s, int)] if isinstance(seeds, list) else [],
            }
        )
        if matrix is None or not (datasets and targets and defenses and attacks):
            return None
        found = ResolvedMatrix(
            matrix, self.path, tuple(datasets), tuple(targets), tuple(defenses), tuple(attacks), matrix.seeds
        )
        cells = itertools.product(found.datasets, found.targets, found.defenses, found.seeds, found.attacks)
        if all(found.excludes(*cell) for cell in cells):
            self.problems.add(("exclude",), "expected some combination to remain, but all are excluded")
        return found

    def axis(
        self,
        kind: Kind,
        raw: Any,
        place: yaml_lines.Path,
        build: Callable[[Kind, yaml_lines.Path, Any], T | None],
        labels: Callable[[Sequence[T]], list[str]],
    ) -> list[T] | None:
        """The values of one axis, or None where one of them is wrong; reports those that occur twice."""
        if not isinstance(raw, list):
            return None
        built = [((*place, i), build(kind, (*place, i), item)) for i, item in enumerate(raw)]
        found = [(where, value) for where, value in built if value is not None]
        shown = labels([value for _, value in found])
        for i, (where, value) in enumerate(found):
            for j in range(i):
                first = f"(first on line {self.problems.document.line(found[j][0])})"
                if value == found[j][1]:
                    self.problems.add(where, f"expected each {SINGULAR[kind]} once, got {shown[i]} again {first}")
                elif shown[i] == shown[j]:
                    self.problems.add(
                        where,
                        f"expected each {SINGULAR[kind]} to have a label of its own, "
                        f"got {shown[i]} for two different ones {first}",
                    )
        return [value for _, value in found] if len(found) == len(raw) else None

    def plugin(self, kind: Kind, place: yaml_lines.Path, raw: Any) -> Plugin | None:
        named = self.named(kind, place, raw)
        return named and self.build(kind, place, *named, ())

    def stack(self, kind: Kind, place: yaml_lines.Path, raw: Any) -> Stack | None:
        if not isinstance(raw, list):
            single = self.plugin(kind, place, raw)
            return None if single is None else (single,)
        parts = [self.plugin(kind, (*place, i), item) for i, item in enumerate(raw)]
        whole = tuple(part for part in parts if part is not None)
        return whole if whole and len(whole) == len(parts) else None

    def dataset(self, kind: Kind, place: yaml_lines.Path, raw: Any) -> DataSet | None:
        named = self.named(kind, place, raw)
        if named is None:
            return None
        cls, given = named
        split_keys = SplitOptions.model_fields.keys()
        if clash := sorted(split_keys & cls.Options.model_fields.keys()):
            message = f"data set {cls.name!r} has options of the split's names ({', '.join(clash)}): rename them"
            self.problems.add(place, message)
            return None
        own = {key: value for key, value in given.items() if key not in split_keys}
        plugin = self.build(kind, place, cls, own, (SplitOptions,))
        try:
            split = validate(SplitOptions, {key: given[key] for key in given.keys() & split_keys})
        except ValidationError as error:
            self.problems.add_validation(error, place, [SplitOptions], "the split")
            return None
        return None if plugin is None else (plugin, split)

    def named(self, kind: Kind, place: yaml_lines.Path, raw: Any) -> tuple[type[Plugin], dict[str, Any]] | None:
        """The plugin class that an entry names, and what else the entry gives."""
        given = dict(raw) if isinstance(raw, dict) else {"name": raw}
        name = given.pop("name", None)
        if not isinstance(name, str) or not name:
            return None  # reported by the matrix's own validation
        try:
            cls = get(kind, name, self.path.parent)
            if kind == "targets" and getattr(cls, "for_attacks", False):
                raise InputError(f"expected a model under test, got {cls.name}, which only attacks train")
            return cls, given
        except BenchError as error:
            self.problems.add(self.problems.document.known((*place, "name")), str(error))
            return None

    def build(
        self,
        kind: Kind,
        place: yaml_lines.Path,
        cls: type[Plugin],
        given: dict[str, Any],
        beside: tuple[type[BaseModel], ...],
    ) -> Plugin | None:
        """An instance with checked options; ``beside`` are models whose keys stand in the same mapping."""
        if cls.presets and "preset" in given:
            given = dict(given)
            preset = given.pop("preset")
            if not isinstance(preset, str) or preset not in cls.presets:
                known = ", ".join(cls.presets)
                hint = did_you_mean(str(preset), cls.presets)
                message = f"expected a preset of {SINGULAR[kind]} {cls.name!r} ({known}), got {preset!r}{hint}"
                self.problems.add((*place, "preset"), message)
                return None
            given = {**cls.presets[preset], **given}
        try:
            options = validate(cls.Options, given)
            return cls(**{key: getattr(options, key) for key in options.model_fields_set}).at(self.path.parent)
        except ValidationError as error:
            what = f"{SINGULAR[kind]} {cls.name!r}"
            self.problems.add_validation(error, place, [cls.Options, *beside], what)
        except BenchError as error:
            self.problems.add(place, str(error))
        return None

    def exclusions(self, axes: Mapping[str, Sequence[frozenset[str | int]]]) -> None:
        """Report what an exclusion names and its axis does not hold; an axis that is in error is empty."""
        raw = self.data.get("exclude", [])
        for i, item in enumerate(raw if isinstance(raw, list) else []):
            try:
                given = validate(Exclusion, item).given()
            except ValidationError:
                continue  # reported by the matrix's own validation
            for key, value in given.items():
                known = {name for names in axes[key] for name in names}
                if known and value not in known:
                    listed = sorted(map(str, known))
                    self.problems.add(
                        ("exclude", i, key),
                        f"expected one of this matrix's ({', '.join(listed)}), "
                        f"got {value!r}, which excludes nothing{did_you_mean(str(value), listed)}",
                    )


def _labels(plugins: Sequence[Plugin]) -> list[str]:
    return [plugin.label() for plugin in plugins]


def _stack_labels(stacks: Sequence[Stack]) -> list[str]:
    return [stack_label(stack) for stack in stacks]
