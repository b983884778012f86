"""What a step's key covers of the code: plugins by their source, the engine by declared versions.

A plugin's source is hashed with the in-package modules that it imports, found in the syntax tree, so nothing is
imported to compute a key. Engine modules, which everything imports, count by a version instead: a change of a comment
there must not re-train every model. A test fails when an engine module's code changes and its version does not.
"""

from __future__ import annotations

import ast
import hashlib
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("bench", "targets", "defenses")

# Module -> version of what it computes. Raise the number when its results change.
ENGINE: dict[str, int] = {
    "bench.attacks.base": 1,
    "bench.candidates": 1,
    "bench.canonical": 1,
    "bench.data.base": 1,
    "bench.data.fitted": 1,
    "bench.data.split": 1,
    "bench.data.tables": 1,
    "bench.devices": 1,
    "bench.errors": 1,
    "bench.metrics.association": 1,
    "bench.metrics.baselines": 1,
    "bench.metrics.features": 1,
    "bench.metrics.kernel_distance": 1,
    "bench.metrics.manifold": 1,
    "bench.metrics.modes": 1,
    "bench.metrics.quality": 1,
    "bench.metrics.sets": 1,
    "bench.metrics.stability": 1,
    "bench.metrics.table_quality": 1,
    "bench.metrics.utility": 1,
    "bench.plugin": 1,
    "bench.records": 1,
    "bench.release": 1,
    "bench.results": 1,
    "bench.rng": 1,
    "bench.steps.attack": 1,
    "bench.steps.data": 1,
    "bench.steps.features": 1,
    "bench.steps.preflight": 1,
    "bench.steps.quality": 1,
    "bench.steps.sample": 1,
    "bench.steps.train": 1,
    "bench.steps.updates": 1,
    "defenses.base": 1,
    "targets.base": 1,
    "targets.decision": 1,
    "targets.history": 1,
    "targets.loader": 1,
    "targets.rounds": 1,
    "targets.trainee": 1,
    "targets.training": 1,
}

_TRAINING = (
    "bench.candidates", "bench.devices", "bench.records", "bench.rng", "bench.steps.data", "bench.steps.train",
    "bench.steps.updates", "defenses.base", "targets.base", "targets.decision", "targets.history", "targets.loader",
    "targets.rounds", "targets.trainee", "targets.training",
)  # fmt: skip

# Step kind -> the engine modules whose code decides its result.
ENGINE_OF: dict[str, tuple[str, ...]] = {
    "data": (
        "bench.data.base", "bench.data.fitted", "bench.data.split", "bench.data.tables", "bench.records", "bench.rng",
        "bench.steps.data",
    ),
    "preflight": (*_TRAINING, "bench.steps.preflight"),
    "train": _TRAINING,
    "sample": (
        "bench.data.tables", "bench.metrics.baselines", "bench.steps.data", "bench.steps.sample", "targets.training",
    ),
    "features": ("bench.metrics.features", "bench.steps.data", "bench.steps.features"),
    "quality": (
        "bench.data.tables", "bench.metrics.association", "bench.metrics.features", "bench.metrics.kernel_distance",
        "bench.metrics.manifold", "bench.metrics.modes", "bench.metrics.quality", "bench.metrics.stability",
        "bench.metrics.table_quality", "bench.metrics.utility", "bench.steps.data", "bench.steps.quality",
    ),
    "attack": (
        "bench.attacks.base", "bench.candidates", "bench.metrics.sets", "bench.records", "bench.release", "bench.rng",
        "bench.steps.attack", "bench.steps.data",
    ),
}  # fmt: skip


def engine_versions(kind: str) -> dict[str, int]:
    """Module -> version of the engine behind a kind of step."""
    return {module: ENGINE[module] for module in ENGINE_OF[kind]}


def content_fingerprint(path: Path) -> str:
    """sha256 of a file, or of all files under a folder with their names relative to it."""
    if path.is_file():
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    digest = hashlib.sha256()
    for file in sorted(p for p in path.rglob("*") if p.is_file()):
        digest.update(file.relative_to(path).as_posix().encode() + b"\0" + content_fingerprint(file).encode())
    return digest.hexdigest()


@cache
def source_fingerprint(path: Path) -> str:
    """sha256 over a plugin's file and the in-package modules it imports, directly or through one another.

    Modules of the engine are left out; a plugin outside of the packages is hashed with the modules of its own package
    and the files beside it that it imports.
    """
    plugin = path.resolve()
    files: dict[str, Path] = {}
    queue = [("", plugin)]
    while queue:
        name, file = queue.pop()
        if name in files or file in files.values():
            continue
        files[name] = file
        for module in imported_modules(file):
            if module in ENGINE:
                continue
            if (found := _locate(module, plugin)) is not None:
                queue.append((module, found))
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(name.encode() + b"\0" + hashlib.sha256(files[name].read_bytes()).digest())
    return digest.hexdigest()


@cache
def imported_modules(file: Path) -> list[str]:
    """Absolute names of all modules that a file may import, inside functions too; sorted.

    ``from a import b`` names both ``a`` and ``a.b``, since ``b`` may be a module.
    """
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"), filename=file.name)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if node.level:  # relative: counted from the package that the file lies in
                package = _package_of(file)[1]
                module = ".".join([*package[: len(package) - node.level + 1], *([module] if module else [])])
            names.update(f"{module}.{alias.name}".lstrip(".") for alias in node.names)
            names.add(module)
    return sorted(names - {""})


def _package_of(file: Path) -> tuple[Path, tuple[str, ...]]:
    """The folder that a file's outermost package lies in, and the names of the packages around the file."""
    names: list[str] = []
    folder = file.resolve().parent
    while (folder / "__init__.py").is_file():
        names.insert(0, folder.name)
        folder = folder.parent
    return folder, tuple(names)


def _locate(module: str, plugin: Path) -> Path | None:
    """The file of a module of the suite, of the plugin's own package, or beside a user's plugin."""
    parts = module.split(".")
    if parts[0] in PACKAGES:
        # The suite's own __init__ files hold docstrings and re-exports; only a sub-package can matter.
        return _file_of(ROOT, parts, package=len(parts) > 1)
    root, package = _package_of(plugin)
    if package and parts[0] == package[0]:
        return _file_of(root, parts)
    # Beside a plugin that is installed as a single file lies everything else that is installed.
    return None if plugin.parent.name in ("site-packages", "dist-packages") else _file_of(plugin.parent, parts)


def _file_of(base: Path, parts: list[str], package: bool = True) -> Path | None:
    place = base.joinpath(*parts)
    files = [place.with_suffix(".py"), *([place / "__init__.py"] if package else [])]
    return next((file for file in files if file.is_file()), None)
