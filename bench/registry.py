"""Where plugins come from: the suite's own folders, other packages' entry points, and single files.

A built-in plugin is a file of its kind's folder and is named like the file, so adding one touches nothing
else. Only the module of the plugin that is asked for is imported.
"""

from __future__ import annotations

import difflib
import functools
import hashlib
import importlib
import importlib.util
import sys
import traceback
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Literal, get_args

from bench.errors import InputError, PluginError
from bench.plugin import Plugin, PluginOptions

Kind = Literal["targets", "defenses", "attacks", "datasets"]

KINDS: tuple[Kind, ...] = get_args(Kind)
SINGULAR: dict[Kind, str] = {
    "targets": "target",
    "defenses": "defense",
    "attacks": "attack",
    "datasets": "data set",
}
PACKAGES: dict[Kind, str] = {
    "targets": "targets",
    "defenses": "defenses",
    "attacks": "bench.attacks",
    "datasets": "bench.data.sets",
}
ROOT = Path(__file__).resolve().parents[1]  # holds the packages above, in a checkout as in site-packages
BASES: dict[Kind, str] = {
    "targets": "targets.base",
    "defenses": "defenses.base",
    "attacks": "bench.attacks.base",
    "datasets": "bench.data.base",
}
NOT_PLUGINS = frozenset(
    {"base", "decision", "history", "loader", "rounds", "trainee", "training"}
)  # and every module that begins with an underscore


@dataclass(frozen=True)
class Source:
    """Where a plugin is defined.

    Attributes:
        module: what to import.
        attribute: the class in it, or None for the plugin named like the module.
        origin: where that is, for messages.
    """

    module: str
    attribute: str | None
    origin: str


def names(kind: Kind) -> list[str]:
    """The names of all plugins of this kind, sorted; nothing is imported."""
    return sorted(_built_in(kind).keys() | _third_party(kind).keys())


def origin(kind: Kind, name: str) -> str:
    """Where the plugin ``name`` is defined, as a person would look for it.

    Raises:
        InputError: no plugin, or more than one, has this name.
    """
    return _source(kind, name).origin


def get(kind: Kind, reference: str, base_dir: Path | None = None) -> type[Plugin]:
    """The plugin class that ``reference`` names.

    Args:
        kind: what is looked for.
        reference: a plugin's name, or a class in a file, such as ``./my_defense.py:MyDefense``.
        base_dir: what a relative file is relative to; by default the current folder.

    Raises:
        InputError: there is no such plugin or file, or two plugins share the name.
        PluginError: the plugin cannot be imported, or is not what a plugin must be.
    """
    if ".py" in reference or "/" in reference:
        return _from_file(kind, reference, base_dir or Path.cwd())
    source = _source(kind, reference)
    module = _import(source.module, f"{SINGULAR[kind]} {reference!r} ({source.origin})")
    if source.attribute is not None:
        found: object = module
        for part in source.attribute.split("."):
            found = getattr(found, part, None)
        return _checked(kind, found, f"{reference!r} ({source.origin})", reference)
    own = {
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Plugin) and value.__module__ == source.module
    }
    fitting = [cls for cls in own if getattr(cls, "name", None) == reference]
    if len(fitting) != 1 or not _same_file(module, source.origin):
        got = ", ".join(sorted(f"{c.__name__} (name={getattr(c, 'name', None)!r})" for c in own)) or "none"
        raise PluginError(
            f"expected one subclass of Plugin with name = {reference!r} in {source.origin}, "
            f"got {got} in {module.__file__}; a module that is no plugin begins with an underscore"
        )
    return _checked(kind, fitting[0], f"{reference!r} ({source.origin})", reference)


def reference(plugin: type[Plugin]) -> str:
    """What ``get`` finds this class by, in any process that sees the same files: a name or a file."""
    if plugin.__module__.startswith(_FILE_MODULE):
        return f"{sys.modules[plugin.__module__].__file__}:{plugin.__qualname__}"
    return plugin.name


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The end of a message: the names nearest to ``word``, or nothing.

    >>> did_you_mean("dropuot", ["dropout", "none"])
    "; did you mean 'dropout'?"
    """
    lower = {name.lower(): name for name in sorted(known)}
    near = [lower[match] for match in difflib.get_close_matches(word.lower(), lower, n=3)]
    return f"; did you mean {' or '.join(map(repr, near))}?" if near else ""


def _built_in(kind: Kind) -> dict[str, Source]:
    folder = ROOT.joinpath(*PACKAGES[kind].split("."))
    return {
        file.stem: Source(f"{PACKAGES[kind]}.{file.stem}", None, str(file))
        for file in sorted(folder.glob("*.py"))
        if file.stem not in NOT_PLUGINS and not file.stem.startswith("_")
    }


@functools.cache
def _third_party(kind: Kind) -> dict[str, tuple[Source, ...]]:
    """What installed packages declare in the entry points ``bench.<kind>``; several where names clash."""
    from importlib.metadata import entry_points

    found: dict[str, dict[str, Source]] = {}
    for point in entry_points(group=f"bench.{kind}"):
        package = f"{point.dist.name} {point.dist.version}" if point.dist else "an unknown package"
        source = Source(point.module, point.attr or None, f"{point.value} of {package}")
        found.setdefault(point.name, {})[point.value] = source
    return {name: tuple(sources.values()) for name, sources in found.items()}


def _source(kind: Kind, name: str) -> Source:
    mine = _built_in(kind).get(name)
    # a built-in may be declared as an entry point too: that is the same plugin, not a second one
    others = [s for s in _third_party(kind).get(name, ()) if mine is None or s.module != mine.module]
    sources = [*([mine] if mine else []), *others]
    if not sources:
        known = names(kind)
        raise InputError(
            f"expected one of the {SINGULAR[kind]}s ({', '.join(known) or 'none is installed'}) or "
            f"./file.py:Class, got {name!r}{did_you_mean(name, known)}"
        )
    if len(sources) > 1:
        raise InputError(
            f"expected one {SINGULAR[kind]} named {name!r}, got one from each of "
            f"{' and '.join(s.origin for s in sources)}: uninstall or rename one"
        )
    return sources[0]


_FILE_MODULE = "bench_plugin_file_"


def _from_file(kind: Kind, reference: str, base_dir: Path) -> type[Plugin]:
    name, _, attribute = reference.rpartition(":")
    if not name.endswith(".py") or not attribute.isidentifier():
        raise InputError(f"expected a class in a file, such as './my_plugin.py:MyPlugin', got {reference!r}")
    file = (base_dir / name).resolve()
    if not file.is_file():
        raise InputError(f"expected a file with the class {attribute}, but there is no file {file}")
    # The name depends on nothing but the path: the file loads once, and its classes can be pickled by name.
    module_name = f"{_FILE_MODULE}{file.stem}_{hashlib.sha256(str(file).encode()).hexdigest()[:16]}"
    module = sys.modules.get(module_name) or _load(file, module_name)
    known = [key for key, value in vars(module).items() if isinstance(value, type)]
    if attribute not in known:
        raise InputError(f"expected the class {attribute} in {file}{did_you_mean(attribute, known)}")
    plugin = _checked(kind, getattr(module, attribute), f"{attribute} ({file})", None)
    if plugin.name in names(kind):
        raise InputError(
            f"expected a name that no other {SINGULAR[kind]} has, but {attribute} in {file} is named "
            f"{plugin.name!r} like {origin(kind, plugin.name)}: rename it, or the two share a row"
        )
    return plugin


def _load(file: Path, module_name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(module_name, file)
    if spec is None or spec.loader is None:
        raise PluginError(f"expected a Python file, got {file}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module  # before it runs: dataclasses and pydantic look their module up
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[module_name]
        raise _import_failed(f"the plugin file {file}", error, file.stem) from error
    return module


def _import(module_name: str, what: str) -> ModuleType:
    try:
        return importlib.import_module(module_name)
    except Exception as error:
        raise _import_failed(what, error, module_name) from error


def _import_failed(what: str, error: Exception, module_name: str) -> PluginError:
    own = {name.partition(".")[0] for name in (module_name, *PACKAGES.values())}
    if isinstance(error, ModuleNotFoundError) and error.name and error.name.partition(".")[0] not in own:
        package = error.name.partition(".")[0]
        return PluginError(
            f"{what} needs the package {package!r}, which is not installed: run 'pip install {package}', "
            "or its documentation says what else provides it"
        )
    if isinstance(error, SyntaxError):
        where = f"{error.filename}:{error.lineno}"
    else:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{frame.filename}:{frame.lineno}"
    return PluginError(f"{what} cannot be imported: {type(error).__name__}: {error} ({where})")


def _checked(kind: Kind, found: object, what: str, name: str | None) -> type[Plugin]:
    """``found``, if it is a plugin of this kind that keeps the contract of its name and options."""
    if not (isinstance(found, type) and issubclass(found, Plugin)):
        raise PluginError(f"expected a subclass of bench.plugin.Plugin, got {found!r} for {what}")
    for other in KINDS:
        if other != kind and any(c.__module__ == BASES[other] for c in found.__mro__):
            raise PluginError(f"expected one of the {SINGULAR[kind]}s, got one of the {SINGULAR[other]}s: {what}")
    own_name = getattr(found, "name", None)
    if not isinstance(own_name, str) or not own_name.isidentifier() or name not in (None, own_name):
        raise PluginError(f"expected name = {name or 'a snake_case word'!r} for {what}, got {own_name!r}")
    if not issubclass(found.Options, PluginOptions):
        raise PluginError(f"expected Options of {what} to extend PluginOptions, got {found.Options!r}")
    if "name" in found.Options.model_fields:
        raise PluginError(f"expected no option called 'name', which names the plugin itself, in {what}")
    if "preset" in found.Options.model_fields:
        raise PluginError(f"expected no option called 'preset', which names a set of options, in {what}")
    for preset, settings in found.presets.items():
        if unknown := sorted({*settings} - {*found.Options.model_fields}):
            raise PluginError(f"expected the preset {preset!r} of {what} to set options that it has, got {unknown}")
    if unknown := sorted({*found.files} - {*found.Options.model_fields}):
        raise PluginError(f"expected `files` of {what} to name its options, got {unknown}")
    return found


def _same_file(module: ModuleType, file: str) -> bool:
    """Whether the import found the file that was listed, and not another package of the same name."""
    return module.__file__ is not None and Path(module.__file__).resolve() == Path(file).resolve()
