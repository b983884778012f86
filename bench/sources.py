"""The source behind each target, attack and defense of a plan, by its hash: what options alone do not say."""

from __future__ import annotations

from typing import Any

from bench.canonical import sha256_json
from bench.identity import source_fingerprint
from bench.matrix import ResolvedMatrix
from bench.plan.graph import Plan
from bench.plan.steps import plugin_file
from bench.plugin import Plugin


def sources(resolved: ResolvedMatrix, plan: Plan) -> dict[str, Any]:
    """``targets`` and ``attacks``: name in tables -> sha256; ``defenses``: name -> a sha256 for each of the stack.

    A hash is over the plugin's file and the modules of the suite that it imports, those of the engine left out.
    """
    names = plan.configurations
    return {
        "targets": {name: _source(each) for name, each in zip(names["targets"], resolved.targets, strict=True)},
        "attacks": {cell.name: _source(cell.attack) for cell in (*plan.cells, *plan.snapshots)},
        "defenses": {
            name: [_source(each) for each in stack]
            for name, stack in zip(names["defenses"], resolved.defenses, strict=True)
        },
    }


def _source(plugin: Plugin) -> str:
    """Of a plugin that is made of others, theirs too."""
    files = [source_fingerprint(plugin_file(type(each))) for each in (plugin, *plugin.parts())]
    return files[0] if len(files) == 1 else sha256_json(files)
