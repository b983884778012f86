"""The shape of the code base: small modules, and light imports for the commands that only read."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys

import pytest

from bench.contracts.light import HEAVY
from bench.identity import PACKAGES, ROOT

LONGEST, MEDIAN = 400, 100

LIGHT = (
    "bench.cli.app",
    "bench.plan.build",
    "bench.plan.status",
    "bench.plan.estimate",
    "bench.matrix",
    "bench.registry",
    "bench.contracts",
)


def lengths() -> dict[str, int]:
    """Lines of every module that holds code of its own."""
    return {
        str(file.relative_to(ROOT)): lines
        for package in PACKAGES
        for file in sorted((ROOT / package).rglob("*.py"))
        if file.name != "__init__.py" and (lines := len(file.read_text("utf-8").splitlines()))
    }


def test_no_module_is_long() -> None:
    assert {name: lines for name, lines in lengths().items() if lines > LONGEST} == {}


def test_the_median_module_is_short() -> None:
    median = statistics.median(lengths().values())
    print(f"median of {len(lengths())} modules: {median} lines")
    assert median <= MEDIAN


@pytest.mark.parametrize("module", LIGHT)
def test_what_plans_and_lists_imports_nothing_heavy(module: str) -> None:
    program = f"import sys, json, {module}; print(json.dumps(sorted(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert sorted(set(HEAVY) & set(json.loads(run.stdout))) == []


def test_the_contracts_need_no_test_package() -> None:
    program = "import sys, json, bench.contracts; print(json.dumps(sorted(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert {"pytest", "hypothesis", "_pytest"} & set(json.loads(run.stdout)) == set()


def test_no_file_is_called_utils() -> None:
    assert [name for name in lengths() if name.rsplit("/", 1)[-1] in ("util.py", "utils.py")] == []
