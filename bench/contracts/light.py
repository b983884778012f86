"""Plugin modules stay light: listing and planning must not wait for torch."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from bench.contracts.rules import expect
from bench.registry import Kind

HEAVY = ("torch", "pandas", "sklearn", "scipy", "distributed", "matplotlib", "opacus")

# Runs in a process of its own, since this one may have imported everything already.
_PROGRAM = """
import json, sys
from bench import registry
from bench.records import Schema
heavy, plugins = json.loads(sys.argv[1])
found = {}
def note(what):
    loaded = [name for name in heavy if name in sys.modules]
    if loaded:
        found.setdefault(what, loaded)
        print(json.dumps(found))
        sys.exit()
target = registry.get("targets", "dcgan")()
note("targets dcgan")
for kind, reference, options in plugins:
    plugin = registry.get(kind, reference).from_spec({"name": reference, **options})
    note(f"importing {kind} {reference}")
    if kind == "defenses":
        plugin.refuses(target, Schema("image", (1, 8, 8)), ())
        note(f"{reference}.refuses()")
    if kind == "targets":
        plugin.refuses(Schema("image", (1, 8, 8)))
        plugin.phases()
        note(f"{reference}.refuses() and phases()")
print(json.dumps(found))
"""


def check_light(plugins: Sequence[tuple[Kind, str, Mapping[str, Any]]]) -> None:
    """Importing these plugins, and asking what they refuse, loads no heavy package.

    Args:
        plugins: kind, name or ``file.py:Class``, and the options that it needs.

    Raises:
        AssertionError: one does; names it and the packages.
    """
    run = subprocess.run(
        [sys.executable, "-c", _PROGRAM, json.dumps([HEAVY, plugins])], capture_output=True, text=True, check=False
    )
    expect(run.returncode == 0, f"expected the plugins to be importable:\n{run.stderr}")
    for what, packages in json.loads(run.stdout).items():
        expect(False, f"expected no heavy import, but {what} loads {packages}; import them inside the methods")
