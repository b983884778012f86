"""What a step's key covers of the code."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from bench import identity
from bench.identity import ENGINE, ENGINE_OF, PACKAGES, engine_versions, imported_modules, source_fingerprint
from bench.registry import KINDS, ROOT, names
from bench.registry import PACKAGES as PLUGIN_PACKAGES

TESTS = Path(__file__).resolve().parents[1]

# Infrastructure behind the steps: decides where and when something runs or how it is named, not what it gives.
NOT_RESULTS = {
    "bench.canonical": "a change of the text of a key changes every key by itself",
    "bench.errors": "the names of errors",
    "bench.plugin": "options reach a key through spec()",
    "bench.results": "the forms of records on disk; what fills them is versioned",
}


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the suite's sources that a test may edit, in the place of the suite."""
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(identity, "ROOT", tmp_path)
    source_fingerprint.cache_clear()
    yield tmp_path
    source_fingerprint.cache_clear()


def plugin_files(root: Path) -> dict[str, Path]:
    return {
        f"{kind}/{name}": root.joinpath(*PLUGIN_PACKAGES[kind].split("."), f"{name}.py")
        for kind in KINDS
        for name in names(kind)
        if root.joinpath(*PLUGIN_PACKAGES[kind].split("."), f"{name}.py").is_file()
    }


def fingerprints(root: Path) -> dict[str, str]:
    source_fingerprint.cache_clear()
    return {name: source_fingerprint(file) for name, file in plugin_files(root).items()}


def reaches(root: Path, plugin: Path, module: str) -> bool:
    """Whether a plugin imports a module, also through others: read from the text, without a syntax tree."""
    seen, queue = set(), [plugin]
    while queue:
        file = queue.pop()
        if file in seen:
            continue
        seen.add(file)
        text = file.read_text("utf-8")
        found = set(re.findall(r"^\s*(?:from|import) ([\w.]+)", text, re.MULTILINE))
        for package, imported in re.findall(r"^\s*from ([\w.]+) import \(?([\w\s,]+)", text, re.MULTILINE):
            found |= {f"{package}.{name.strip()}" for name in imported.split(",")}
        for name in found - ENGINE.keys():
            if (other := root.joinpath(*name.split(".")).with_suffix(".py")).is_file():
                queue.append(other)
    return root.joinpath(*module.split(".")).with_suffix(".py") in seen


@pytest.mark.parametrize(
    ("module", "touched"),
    [
        ("defenses._per_record", {"defenses/clip_only", "defenses/dp_sgd"}),
        ("targets.nets.conv", {"targets/dcgan"}),
        ("targets.nets.dropout", {"defenses/dropout"}),
        ("bench.distances", {"attacks/nearest_sample"}),
        ("bench.attacks.logan_white_box", {"attacks/logan_white_box"}),
        ("bench.data.sets.npz", {"datasets/npz"}),
        ("targets.training", set()),
        ("bench.rng", set()),
    ],
)
def test_an_edit_changes_the_plugins_that_import_it_and_no_other(copy: Path, module: str, touched: set[str]) -> None:
    before = fingerprints(copy)
    file = copy.joinpath(*module.split(".")).with_suffix(".py")
    file.write_text(file.read_text("utf-8") + "\nEDITED = True\n", "utf-8")
    after = fingerprints(copy)
    changed = {name for name in before if before[name] != after[name]}
    assert changed >= touched
    expected = {name for name, path in plugin_files(copy).items() if reaches(copy, path, module)}
    assert changed == (set() if module in ENGINE else expected)


def test_editing_any_plugin_changes_its_own_fingerprint(copy: Path) -> None:
    before = fingerprints(copy)
    for name, file in plugin_files(copy).items():
        file.write_text(file.read_text("utf-8") + f"\nEDITED = {name!r}\n", "utf-8")
    after = fingerprints(copy)
    assert [name for name in before if before[name] == after[name]] == []
    assert len(set(after.values())) == len(after)


def test_where_the_suite_lies_does_not_matter(copy: Path) -> None:
    moved = fingerprints(copy)
    copies = {name: file.read_bytes() for name, file in plugin_files(copy).items()}
    assert moved.keys() == copies.keys()
    other = copy / "elsewhere"
    other.mkdir()
    for package in PACKAGES:
        shutil.move(copy / package, other / package)
    identity.ROOT = other  # the fixture puts it back
    assert fingerprints(other) == moved


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    return folder


@pytest.mark.parametrize(
    "statement",
    ["import helper", "from helper import f", "def late():\n    import helper", "import mylib", "from mylib import a",
     "from mylib.a import f", "import mylib.a as m"],
)  # fmt: skip
def test_what_a_users_file_imports_from_its_folder_counts(tmp_path: Path, statement: str) -> None:
    package = {"mylib/__init__": "from mylib.a import f", "mylib/a": "f = 1"}
    write(tmp_path, {"plugin": statement, "helper": "f = 1", **package})
    before = fresh(tmp_path / "plugin.py")
    edited = "helper.py" if "helper" in statement else "mylib/a.py"
    (tmp_path / edited).write_text("f = 2", "utf-8")
    assert fresh(tmp_path / "plugin.py") != before


@pytest.mark.parametrize(
    "statement",
    ["from .losses import f", "from . import losses", "from ..shared import g", "import theirs.attacks.losses",
     "from theirs.attacks import losses"],
)  # fmt: skip
def test_what_an_installed_plugin_imports_from_its_own_package_counts(tmp_path: Path, statement: str) -> None:
    place = tmp_path / "site-packages"
    packages = {"theirs/__init__": "", "theirs/attacks/__init__": "", "numpy/__init__": "big = 1"}
    modules = {"theirs/shared": "g = 1", "theirs/attacks/losses": "f = 1"}
    write(place, {**packages, **modules, "theirs/attacks/mine": f"import numpy\n{statement}"})
    plugin = place / "theirs" / "attacks" / "mine.py"
    before = fresh(plugin)
    (place / "numpy" / "__init__.py").write_text("big = 2", "utf-8")
    assert fresh(plugin) == before, "other packages count by their version, in the stamp"
    write(place, {"theirs/shared": "g = 2"} if "shared" in statement else {"theirs/attacks/losses": "f = 2"})
    assert fresh(plugin) != before


def test_a_single_installed_file_does_not_drag_its_neighbours_in(tmp_path: Path) -> None:
    place = write(tmp_path / "site-packages", {"mine": "import numpy", "numpy/__init__": "big = 1"})
    before = fresh(place / "mine.py")
    write(place, {"numpy/__init__": "big = 2"})
    assert fresh(place / "mine.py") == before


def test_circular_imports_end(tmp_path: Path) -> None:
    write(tmp_path, {"plugin": "import helper", "helper": "import plugin"})
    assert len(fresh(tmp_path / "plugin.py")) == 64


def fresh(file: Path) -> str:
    source_fingerprint.cache_clear()
    return source_fingerprint(file)


def test_imports_inside_functions_are_found(tmp_path: Path) -> None:
    write(tmp_path, {"m": "import a.b\nfrom c import d\ndef f():\n    from e import (g, h)\nfrom __future__ import x"})
    assert {"a.b", "c", "c.d", "e", "e.g", "e.h"} <= set(imported_modules(tmp_path / "m.py"))


def test_the_engine_covers_every_module_that_a_step_names() -> None:
    named = {module for modules in ENGINE_OF.values() for module in modules}
    assert named <= ENGINE.keys()
    assert named | NOT_RESULTS.keys() == ENGINE.keys(), "an engine module in no step's key changes no key"
    for kind in ENGINE_OF:
        assert engine_versions(kind) == {module: ENGINE[module] for module in ENGINE_OF[kind]}
    for module in ENGINE:
        assert ROOT.joinpath(*module.split(".")).with_suffix(".py").is_file(), module


def _script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("update_engine_sources", TESTS / "update_engine_sources.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_an_engine_module_that_changes_raises_its_version() -> None:
    script = _script()
    stored, now = json.loads(script.SOURCES.read_text("utf-8")), script.current()
    changed = script.unraised(stored, now)
    assert not changed, (
        f"the code of {', '.join(changed)} changed, so stored results may no longer be what it gives. Raise the "
        "version in bench/identity.py (stored results of these steps are then made again), then run "
        "`python tests/update_engine_sources.py`"
    )
    assert stored == now, "run `python tests/update_engine_sources.py`, which notes what the raised versions stand for"


def test_the_engine_test_sees_code_and_not_comments() -> None:
    script = _script()
    base = 'def f(x):\n    """Doc."""\n    return x + 1\n'
    same = '"""Module."""\n\n# why\ndef f(x):\n    "Other."\n    return (x  +  1)\n'
    assert script.code_hash(base) == script.code_hash(same)
    for other in ("return x + 2", "return x - 1", "return y + 1", "return 'x' + 1"):
        assert script.code_hash(base.replace("return x + 1", other)) != script.code_hash(base)


def test_the_update_script_refuses_code_without_a_raised_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script, now = _script(), {"bench.rng": {"version": 3, "code": "new"}}
    monkeypatch.setattr(script, "SOURCES", tmp_path / "s.json")
    monkeypatch.setattr(script, "current", lambda: now)
    for version, arguments, code in ((3, [], 1), (2, [], 0), (3, ["--first-release"], 0), (3, ["--force"], 2)):
        before = json.dumps({"bench.rng": {"version": version, "code": "old"}})
        script.SOURCES.write_text(before, "utf-8")
        assert script.main(arguments) == code
        assert json.loads(script.SOURCES.read_text("utf-8")) == (now if code == 0 else json.loads(before))
    assert "raise the version in bench/identity.py of: bench.rng" in capsys.readouterr().err
