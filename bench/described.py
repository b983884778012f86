"""What the targets, defenses and attacks of a plan say of themselves: for tables, pages and references."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from bench.matrix import ResolvedMatrix
from bench.plan.graph import Plan
from bench.plugin import Plugin


def described(resolved: ResolvedMatrix, plan: Plan) -> dict[str, dict[str, list[dict[str, str]]]]:
    """``datasets``, ``targets``, ``defenses``, ``attacks``: name in tables -> an entry for each plugin behind it.

    An entry has ``name``, ``summary`` (a line), ``paper`` and, of a defense, ``family``. A stack has an entry for each
    of its defenses, an attack around another one has both.
    """
    names = plan.configurations
    return {
        "datasets": {resolved.dataset_label(each): _entries([each[0]]) for each in resolved.datasets},
        "targets": {name: _entries([each]) for name, each in zip(names["targets"], resolved.targets, strict=True)},
        "defenses": {name: _entries(stack) for name, stack in zip(names["defenses"], resolved.defenses, strict=True)},
        "attacks": {
            cell.name: _entries([cell.attack, *cell.attack.parts()]) for cell in (*plan.cells, *plan.snapshots)
        },
    }


def _entries(plugins: Iterable[Plugin]) -> list[dict[str, str]]:
    return [_entry(plugin) for plugin in plugins]


def _entry(plugin: Plugin) -> dict[str, Any]:
    family = getattr(plugin, "family", None)
    entry = {"name": plugin.name, "summary": plugin.summary(), "paper": plugin.paper}
    return entry if family is None else {**entry, "family": family}
