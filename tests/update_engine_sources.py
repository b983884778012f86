"""Writes tests/engine_sources.json: which code each declared version of an engine module stands for.

Run ``python tests/update_engine_sources.py`` after raising a version in ``bench/identity.py``; it refuses a module
whose code changed without that. ``--first-release`` takes everything as it is, and is for the time before the first
release only, when no stored result has to be kept apart from a new one.
"""

from __future__ import annotations

import ast
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

from bench.identity import ENGINE, ROOT

SOURCES = Path(__file__).resolve().parent / "engine_sources.json"

Entry = dict[str, Any]


def code_hash(source: str) -> str:
    """sha256 of what a module does: comments, docstrings and layout do not count."""
    return hashlib.sha256(_dump(ast.parse(source)).encode()).hexdigest()


def _dump(node: Any) -> str:
    """Like ``ast.dump``, but without docstrings and empty fields, which differ between versions of Python."""
    if isinstance(node, list):
        return "[" + ",".join(_dump(item) for item in node) + "]"
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = {name: value for name, value in ast.iter_fields(node) if value is not None and value != []}
    if isinstance(body := fields.get("body"), list):
        # Strings that stand alone are docstrings, of modules, classes, functions and attributes.
        fields["body"] = [s for s in body if not _lone_string(s)]
    return type(node).__name__ + "(" + ",".join(f"{name}={_dump(value)}" for name, value in fields.items()) + ")"


def _lone_string(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def current() -> dict[str, Entry]:
    """Module -> declared version and hash of its code."""
    found = {}
    for module, version in sorted(ENGINE.items()):
        source = ROOT.joinpath(*module.split(".")).with_suffix(".py").read_text("utf-8")
        found[module] = {"version": version, "code": code_hash(source)}
    return found


def unraised(old: dict[str, Entry], new: dict[str, Entry]) -> list[str]:
    """Modules whose code changed although their version was not raised."""
    return [
        module
        for module, entry in new.items()
        if module in old and entry["code"] != old[module]["code"] and entry["version"] <= old[module]["version"]
    ]


def main(arguments: list[str]) -> int:
    if arguments not in ([], ["--first-release"]):
        print("expected no argument, or --first-release", file=sys.stderr)
        return 2
    old = json.loads(SOURCES.read_text("utf-8")) if SOURCES.is_file() else {}
    new = current()
    if not arguments and (modules := unraised(old, new)):
        print(f"raise the version in bench/identity.py of: {', '.join(modules)}", file=sys.stderr)
        return 1
    SOURCES.write_text(json.dumps(new, indent=1, sort_keys=True) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
