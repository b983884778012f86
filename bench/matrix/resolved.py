"""A matrix whose plugins were found, and what its data sets, stacks and cells are called."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.matrix.model import Matrix, SplitOptions
from bench.plugin import Plugin

DataSet = tuple[Plugin, SplitOptions]
Stack = tuple[Plugin, ...]


@dataclass(frozen=True)
class ResolvedMatrix:
    """A matrix with its plugins.

    Attributes:
        matrix: what the file says.
        path: the file; relative paths in it are relative to its folder.
        datasets: each data set with its split.
        targets: the targets under test.
        defenses: stacks, each applied in order; a single defense is a stack of one.
        attacks: the attacks that the file names, without the controls.
        seeds: one training run per seed.
    """

    matrix: Matrix
    path: Path
    datasets: tuple[DataSet, ...]
    targets: tuple[Plugin, ...]
    defenses: tuple[Stack, ...]
    attacks: tuple[Plugin, ...]
    seeds: tuple[int, ...]

    @property
    def base_dir(self) -> Path:
        """The folder that relative paths in the file are relative to."""
        return self.path.parent

    def dataset_label(self, dataset: DataSet) -> str:
        """The data set's label; with its split where the matrix holds the same data set more than once."""
        return dataset_labels(self.datasets)[self.datasets.index(dataset)]

    def excludes(
        self, dataset: DataSet, target: Plugin, defense: Stack, seed: int, attack: Plugin | None = None
    ) -> bool:
        """Whether the matrix leaves this cell out; without ``attack``: the whole trial."""
        cell: dict[str, frozenset[str | int]] = {
            "dataset": known_as((dataset[0],), self.dataset_label(dataset)),
            "target": known_as((target,)),
            "defense": known_as(defense),
            "attack": known_as((attack,)) if attack else frozenset(),
            "seed": frozenset({seed}),
        }
        return any(
            all(value in cell[key] for key, value in exclusion.given().items()) for exclusion in self.matrix.exclude
        )


def stack_label(stack: Stack) -> str:
    """The labels of a stack's defenses, joined by ``+``."""
    return "+".join(plugin.label() for plugin in stack)


def display_names(labels: Iterable[str]) -> dict[str, str]:
    """Label -> what tables call it: the label without its options, where that still tells it from the others.

    >>> display_names(["dcgan(width=12)", "dropout(rate=0.3)", "dropout(rate=0.5)"])
    {'dcgan(width=12)': 'dcgan', 'dropout(rate=0.3)': 'dropout(rate=0.3)', 'dropout(rate=0.5)': 'dropout(rate=0.5)'}
    """
    bare = {label: _without_options(label) for label in labels}
    counts = Counter(bare.values())
    return {label: name if counts[name] == 1 else label for label, name in bare.items()}


def _without_options(label: str) -> str:
    """A label without what stands in parentheses, which may hold plugins with options of their own.

    >>> _without_options("lira(statistic=monte_carlo(features=hog),models=4)+x")
    'lira+x'
    """
    depth, kept = 0, []
    for character in label:
        depth += character == "("
        if not depth:
            kept.append(character)
        depth -= character == ")"
    return "".join(kept)


def dataset_labels(datasets: Sequence[DataSet]) -> list[str]:
    """A label for each data set, such as ``lfw[top_classes=10]``.

    What changes the records stands in it always; the loader's own options, such as a path, and the other options of
    the split only where two would read the same.
    """
    plain, full = [], []
    called = display_names({plugin.label() for plugin, _ in datasets})
    for plugin, split in datasets:
        name = called[plugin.label()]
        given = split.model_dump(exclude_defaults=True)
        records = _in_brackets({key: value for key, value in given.items() if key in SplitOptions.RECORDS})
        plain.append(name + records)
        full.append(name + (_in_brackets(given) or "[default split]"))
    return [long if plain.count(short) > 1 else short for short, long in zip(plain, full, strict=True)]


def _in_brackets(options: Mapping[str, Any]) -> str:
    """``[key=value,…]``, sizes as height x width; "" without any.

    >>> _in_brackets({"resize": (32, 48), "fraction": 0.2})
    '[resize=32x48,fraction=0.2]'
    """
    shown = {key: "x".join(map(str, v)) if isinstance(v, tuple) else v for key, v in options.items()}
    return f"[{','.join(f'{key}={value}' for key, value in shown.items())}]" if shown else ""


def known_as(stack: Stack, label: str | None = None) -> frozenset[str | int]:
    """What an exclusion may call a plugin or a stack: its name or its label."""
    return frozenset({"+".join(plugin.name for plugin in stack), label or stack_label(stack)})
