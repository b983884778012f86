"""Plugins from folders, entry points and files; one of each name; errors that say what to do."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import registry
from bench.errors import InputError, PluginError
from bench.plugin import Plugin

PLUGIN = """
from bench.plugin import Plugin, PluginOptions

class {cls}(Plugin):
    '''A plugin.'''
    name = "{name}"
    class Options(PluginOptions):
        size: int = 1
"""


def write(folder: Path, name: str, text: str) -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, "utf-8")
    return file


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Empty folders of plugins, under package names that no other test has imported."""
    before = set(sys.modules)
    packages = {kind: f"registry_{kind}" for kind in registry.KINDS}
    monkeypatch.setattr(registry, "ROOT", tmp_path)
    monkeypatch.setattr(registry, "PACKAGES", packages)
    monkeypatch.syspath_prepend(tmp_path)
    for package in packages.values():
        write(tmp_path, f"{package}/__init__.py", "")
    registry._third_party.cache_clear()
    yield tmp_path
    registry._third_party.cache_clear()
    for name in set(sys.modules) - before:
        if name.startswith(("registry_", "third_party_")):
            del sys.modules[name]


def install(root: Path, package: str, *points: str) -> None:
    """What pip leaves behind for a package with entry points ``group: name = module:Class``."""
    folder = f"{package.replace('-', '_')}-1.0.dist-info"
    lines = []
    for point in points:
        group, _, rest = point.partition(": ")
        lines += [f"[{group}]", rest]
    write(root, f"{folder}/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    write(root, f"{folder}/entry_points.txt", "\n".join(lines) + "\n")
    registry._third_party.cache_clear()


def test_file_names_are_plugin_names_and_only_the_asked_module_is_imported(root: Path) -> None:
    for module in ("good", "other", "base", "loader", "training", "_helper"):
        write(root, f"registry_targets/{module}.py", PLUGIN.format(cls="Good", name=module))
    write(root, "registry_targets/nets/deep.py", PLUGIN.format(cls="Deep", name="deep"))
    assert registry.names("targets") == ["good", "other"]
    assert registry.names("attacks") == []
    found = registry.get("targets", "good")
    assert (found.name, found.__name__) == ("good", "Good")
    assert registry.get("targets", "good") is found
    assert "registry_targets.good" in sys.modules
    assert "registry_targets.other" not in sys.modules
    assert registry.origin("targets", "good") == str(root / "registry_targets" / "good.py")
    assert registry.reference(found) == "good"


def test_base_classes_and_imported_plugins_are_not_taken(root: Path) -> None:
    write(root, "registry_defenses/first.py", PLUGIN.format(cls="First", name="first"))
    text = "from registry_defenses.first import First\nclass Second(First):\n    name = 'second'\n"
    write(root, "registry_defenses/second.py", text)
    assert registry.get("defenses", "second").__name__ == "Second"


def test_unknown_names_show_the_nearest_and_all(root: Path) -> None:
    write(root, "registry_defenses/dropout.py", PLUGIN.format(cls="D", name="dropout"))
    write(root, "registry_defenses/none.py", PLUGIN.format(cls="N", name="none"))
    with pytest.raises(
        InputError, match=r"one of the defenses \(dropout, none\) .* got 'dropuot'; did you mean 'dropout'\?$"
    ):
        registry.get("defenses", "dropuot")
    with pytest.raises(InputError, match=r"got 'zzz'$"):
        registry.get("defenses", "zzz")
    with pytest.raises(InputError, match="none is installed"):
        registry.origin("datasets", "mnist")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\n", r"one subclass of Plugin with name = 'bad' in .*bad\.py, got none"),
        (PLUGIN.format(cls="Bad", name="worse"), r"got Bad \(name='worse'\)"),
        (PLUGIN.format(cls="A", name="bad") + PLUGIN.format(cls="B", name="bad"), r"got A .*, B "),
        ("def f(:\n", r"cannot be imported: SyntaxError: .*bad\.py:1\)"),
        ("x = 1\nraise RuntimeError('boom')\n", r"cannot be imported: RuntimeError: boom \(.*bad\.py:2\)"),
        ("import no_such_pkg.sub\n", r"needs the package 'no_such_pkg', .* run 'pip install no_such_pkg'"),
        ("import registry_attacks.absent\n", r"cannot be imported: ModuleNotFoundError"),
        (
            "from bench.plugin import Plugin\nclass Bad(Plugin):\n    name = 'bad'\n    Options = dict\n",
            "PluginOptions",
        ),
        (
            PLUGIN.format(cls="Bad", name="bad").replace("size: int = 1", "name: str = ''"),
            "no option called 'name'",
        ),
    ],
)
def test_modules_that_hold_no_plugin(root: Path, text: str, message: str) -> None:
    write(root, "registry_attacks/bad.py", text)
    with pytest.raises(PluginError, match=message):
        registry.get("attacks", "bad")


def test_the_listed_file_is_the_imported_one(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(root, "registry_attacks/good.py", PLUGIN.format(cls="Good", name="good"))
    other = root / "shadowing"
    write(other, "registry_attacks/__init__.py", "")
    shadow = write(other, "registry_attacks/good.py", PLUGIN.format(cls="Good", name="good"))
    monkeypatch.syspath_prepend(other)
    with pytest.raises(PluginError, match=f"in {root}.*got Good .* in {shadow}"):
        registry.get("attacks", "good")


def test_entry_points(root: Path) -> None:
    write(root, "third_party_a.py", PLUGIN.format(cls="Mine", name="mine"))
    install(root, "pkg-a", "bench.attacks: mine = third_party_a:Mine")
    assert registry.names("attacks") == ["mine"]
    assert registry.names("defenses") == []
    assert "third_party_a" not in sys.modules
    assert registry.get("attacks", "mine").__name__ == "Mine"
    assert registry.origin("attacks", "mine") == "third_party_a:Mine of pkg-a 1.0"


@pytest.mark.parametrize(
    ("point", "message"),
    [
        ("mine = third_party_b:Absent", r"expected a subclass of bench\.plugin\.Plugin, got None"),
        ("mine = third_party_b:Plugin", r"expected name = 'mine' .* got None"),
        ("other = third_party_b:Mine", r"expected name = 'other' for .*pkg-b 1\.0.*, got 'mine'"),
        ("mine = third_party_absent:Mine", "cannot be imported: ModuleNotFoundError"),
    ],
)
def test_entry_points_that_break_the_contract(root: Path, point: str, message: str) -> None:
    write(root, "third_party_b.py", PLUGIN.format(cls="Mine", name="mine"))
    install(root, "pkg-b", f"bench.attacks: {point}")
    with pytest.raises(PluginError, match=message):
        registry.get("attacks", point.split(" = ")[0])


def test_a_clash_names_both_origins_and_hurts_no_other_plugin(root: Path) -> None:
    file = write(root, "registry_attacks/mine.py", PLUGIN.format(cls="Mine", name="mine"))
    write(root, "registry_attacks/fine.py", PLUGIN.format(cls="Fine", name="fine"))
    write(root, "third_party_c.py", PLUGIN.format(cls="Mine", name="mine"))
    install(root, "pkg-c", "bench.attacks: mine = third_party_c:Mine")
    for find in (registry.get, registry.origin):
        with pytest.raises(InputError, match=rf"{file} and third_party_c:Mine of pkg-c 1\.0"):
            find("attacks", "mine")
    assert registry.get("attacks", "fine").name == "fine"


def test_two_packages_clash(root: Path) -> None:
    install(root, "pkg-d", "bench.targets: t = third_party_d:T")
    install(root, "pkg-e", "bench.targets: t = third_party_e:T")
    with pytest.raises(InputError, match=r"pkg-d 1\.0.*pkg-e 1\.0|pkg-e 1\.0.*pkg-d 1\.0"):
        registry.get("targets", "t")


def test_a_built_in_declared_as_entry_point_too_is_one_plugin(root: Path) -> None:
    write(root, "registry_attacks/mine.py", PLUGIN.format(cls="Mine", name="mine"))
    install(root, "pkg-f", "bench.attacks: mine = registry_attacks.mine:Mine")
    assert registry.get("attacks", "mine").name == "mine"


def test_a_class_in_a_file(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(root, "own/my_defense.py", PLUGIN.format(cls="MyDefense", name="my_defense"))
    found = registry.get("defenses", "./own/my_defense.py:MyDefense", root)
    assert found.name == "my_defense"
    assert registry.get("defenses", f"{file}:MyDefense") is found
    monkeypatch.chdir(root / "own")
    assert registry.get("defenses", "my_defense.py:MyDefense") is found
    assert registry.get("defenses", registry.reference(found)) is found
    instance = found(size=3)
    assert pickle.loads(pickle.dumps(instance)) == instance


def test_a_file_has_the_same_module_name_in_every_process(root: Path) -> None:
    file = write(root, "stable.py", PLUGIN.format(cls="S", name="stable"))
    code = f"from bench.registry import get; print(get('attacks', {f'{file}:S'!r}).__module__)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == registry.get("attacks", f"{file}:S").__module__


def test_files_of_the_same_name_are_two_modules(root: Path) -> None:
    classes = []
    for folder in ("a", "b"):
        write(root, f"{folder}/p.py", PLUGIN.format(cls="P", name=f"p_{folder}"))
        classes.append(registry.get("targets", f"{folder}/p.py:P", root))
    assert [cls.name for cls in classes] == ["p_a", "p_b"]


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("./absent.py:X", r"expected a file with the class X, but there is no file .*absent\.py"),
        ("./mine.py", r"such as '\./my_plugin\.py:MyPlugin', got '\./mine\.py'"),
        ("./mine.txt:Mine", r"expected a class in a file"),
        ("./mine.py:Mien", r"expected the class Mien in .*mine\.py; did you mean 'Mine'\?"),
        ("./mine.py:Mine", r"Mine in .*mine\.py is named 'taken' like .*taken\.py: rename it"),
    ],
)
def test_file_references_that_are_wrong(root: Path, reference: str, message: str) -> None:
    write(root, "registry_defenses/taken.py", PLUGIN.format(cls="Taken", name="taken"))
    write(root, "mine.py", PLUGIN.format(cls="Mine", name="taken"))
    with pytest.raises(InputError, match=message):
        registry.get("defenses", reference, root)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("raise RuntimeError('boom')\n", r"plugin file .*broken\.py cannot be imported: RuntimeError: boom"),
        ("class X: pass\n", r"expected a subclass of bench\.plugin\.Plugin"),
        (PLUGIN.format(cls="X", name="has space"), r"expected name = 'a snake_case word' .* got 'has space'"),
    ],
)
def test_files_that_hold_no_plugin(root: Path, text: str, message: str) -> None:
    write(root, "broken.py", text)
    for _ in range(2):  # a failed import leaves nothing behind that the second try would find
        with pytest.raises(PluginError, match=message):
            registry.get("defenses", "broken.py:X", root)


def test_a_file_that_failed_is_read_again(root: Path) -> None:
    write(root, "mended.py", "raise RuntimeError('boom')\n")
    with pytest.raises(PluginError, match="boom"):
        registry.get("defenses", "mended.py:Mended", root)
    write(root, "mended.py", PLUGIN.format(cls="Mended", name="mended") + "# longer than it was\n")
    assert registry.get("defenses", "mended.py:Mended", root).name == "mended"


def test_a_plugin_of_another_kind(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "BASES", {kind: f"registry_{kind}.base" for kind in registry.KINDS})
    write(root, "registry_targets/base.py", "from bench.plugin import Plugin\nclass Target(Plugin): pass\n")
    text = "from registry_targets.base import Target\nclass T(Target):\n    name = 't'\n"
    write(root, "t.py", text)
    assert registry.get("targets", "t.py:T", root).name == "t"
    with pytest.raises(PluginError, match="expected one of the attacks, got one of the targets"):
        registry.get("attacks", "t.py:T", root)


def test_the_bases_are_where_the_registry_thinks() -> None:
    import importlib

    for kind, module in registry.BASES.items():
        own = [
            value
            for value in vars(importlib.import_module(module)).values()
            if isinstance(value, type) and issubclass(value, Plugin) and value.__module__ == module
        ]
        assert own, f"no base class of {kind} in {module}"


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind in registry.KINDS for name in registry.names(kind)])
def test_every_installed_plugin_loads(kind: registry.Kind, name: str) -> None:
    found = registry.get(kind, name)
    assert found.name == name
    assert registry.BASES[kind] in {cls.__module__ for cls in found.__mro__}
    assert found.summary(), f"{name} has no docstring"
