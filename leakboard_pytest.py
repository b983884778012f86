"""pytest plugin: puts the regression test of a defense into the defense's own test suite.

pytest loads it in every run of an environment that has the suite, so nothing but pytest is imported here, and its name
is its own: a project with a ``bench.py`` beside its tests must not break when pytest starts.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from bench.compare.findings import Comparison

ROOT = Path(__file__).resolve().parent  # where the package ``bench`` of this suite lies too

_TAIL = 4000  # characters of a failed run's output that a report shows


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--bench-baseline``, ``--bench-fail-on`` and ``--bench-across-versions``, and an ini option for each."""
    group = parser.getgroup("leakboard", "regression test of defenses")
    group.addoption(
        "--bench-baseline", metavar="FOLDER", help="results folder or bundle that bench_compare compares with"
    )
    group.addoption("--bench-fail-on", metavar="RULES", help="how much worse it may get: auc:+0.02,kid:+5%%")
    group.addoption(
        "--bench-across-versions",
        action="store_true",
        default=None,
        help="compare although package versions differ",
    )
    parser.addini("bench_baseline", "results folder or bundle that bench_compare compares with")
    parser.addini("bench_fail_on", "how much worse it may get: auc:+0.02,kid:+5%")
    parser.addini("bench_across_versions", "compare although package versions differ", type="bool", default=False)


class BenchCompare:
    """What the fixture ``bench_compare`` is.

    Args:
        config: pytest's own.
        scratch: makes the folder that ``run`` writes to unless told otherwise.
    """

    def __init__(self, config: pytest.Config, scratch: Path) -> None:
        self._config = config
        self._scratch = scratch

    def __call__(
        self,
        new: str | Path,
        fail_on: str | Sequence[str] | None = None,
        match: str | Sequence[str] | None = None,
        baseline: str | Path | None = None,
        across_versions: bool | None = None,
    ) -> Comparison:
        """Fails the test, with a report, unless everything was judged and nothing is worse than in the baseline.

        Args:
            new: results folder or bundle.
            fail_on: rules such as ``auc:+0.02,kid:+5%``; else ``--bench-fail-on``, else the suite's own.
            match: defenses or rows that have another name in the baseline, ``NEW=BASE`` each.
            baseline: results folder or bundle; else ``--bench-baseline``, else ``bench_baseline`` of the ini file.
            across_versions: compare although package versions differ; else ``--bench-across-versions``.
        """
        _check_package()
        from bench.compare.render_text import render_text
        from bench.compare.run import compare_boards
        from bench.errors import BenchError
        from bench.published.open import open_results

        base = self._baseline(baseline)
        rules = fail_on if fail_on is not None else self._option("bench_fail_on")
        across = self._option("bench_across_versions") if across_versions is None else across_versions
        try:
            with open_results(base) as ours, open_results(Path(new)) as theirs:
                found = compare_boards(
                    ours, theirs, _listed(rules), _listed(match), bool(across), (str(base), str(new))
                )
        except BenchError as error:
            pytest.fail(f"bench_compare: {error}", pytrace=False)
        if found.exit_code:
            pytest.fail(render_text(found), pytrace=False)
        return found

    def run(self, matrix: str | Path, results: str | Path | None = None, **compare: Any) -> Comparison:
        """Runs a matrix in a process of its own, then compares what it found.

        Args:
            matrix: the matrix file.
            results: where its results and its store go, to be used again by the next run; else a temporary folder.
            compare: arguments of ``bench_compare`` itself.
        """
        _check_package()
        from bench.errors import BenchError
        from bench.matrix import load_matrix

        self._baseline(compare.get("baseline"))  # before hours of training, not after
        folder = self._scratch / "results" if results is None else Path(results)
        try:
            name = load_matrix(Path(matrix)).matrix.name
        except BenchError as error:
            pytest.fail(f"bench_compare.run: {error}", pytrace=False)
        # -P: what lies in the current folder, where `-m` would look first, may be called bench too.
        command = [sys.executable, "-P", "-m", "bench", "run", str(matrix), "--results", str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=_environment())
        # 1 and 3 are boards with something failed or missing, which the comparison shows row by row; but 1 is an
        # uncaught error too, and a board may lie there from before: only the run itself says that it wrote one.
        confirmed = f"The board: {folder / name / 'index.html'}" in done.stdout.splitlines()
        if done.returncode not in (0, 1, 3) or not confirmed:
            said = (done.stdout + done.stderr)[-_TAIL:]
            pytest.fail(
                f"bench_compare.run: `{' '.join(command)}` ended with {done.returncode}"
                f"{'' if confirmed else ' and wrote no board'}:\n{said}",
                pytrace=False,
            )
        return self(folder / name, **compare)

    def _baseline(self, given: str | Path | None) -> Path:
        """The baseline: the argument or the command line, from where pytest was started; the ini, from its folder."""
        if given is not None:
            return Path(given)
        option = self._config.getoption("bench_baseline")
        if option:
            return self._config.invocation_params.dir / str(option)
        ini = self._config.getini("bench_baseline")
        if ini:
            return (self._config.inipath.parent if self._config.inipath else self._config.rootpath) / str(ini)
        pytest.fail(
            "bench_compare: expected a baseline to compare with, got none: give --bench-baseline FOLDER, set "
            "bench_baseline in the ini file, or pass baseline=; make one with `bench run MATRIX` and keep its folder",
            pytrace=False,
        )

    def _option(self, name: str) -> Any:
        """The command line's value, else the ini file's."""
        option = self._config.getoption(name)
        return self._config.getini(name) if option is None else option


def _check_package() -> None:
    """Fails the test when another module or package called bench hides that of the suite."""
    loaded = sys.modules.get("bench")
    found = getattr(loaded, "__spec__", None) if loaded is not None else importlib.util.find_spec("bench")
    places = [Path(place).resolve() for place in (found.submodule_search_locations or ())] if found else []
    if ROOT / "bench" not in places:
        where = getattr(loaded, "__file__", None) or (found.origin if found else None)
        pytest.fail(
            f"bench_compare: expected the package bench of leakboard, in {ROOT}, got {where or 'none'}, which hides "
            "it: rename that file, or run `pytest` in place of `python -m pytest` from a folder that has none",
            pytrace=False,
        )


def _environment() -> dict[str, str]:
    """The environment of a run; a checkout that is not installed is found too."""
    if ROOT.name in ("site-packages", "dist-packages"):
        return dict(os.environ)
    path = [part for part in (os.environ.get("PYTHONPATH"), str(ROOT)) if part]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path)}


def _listed(given: str | Sequence[str] | None) -> Sequence[str]:
    return [] if not given else [given] if isinstance(given, str) else list(given)


@pytest.fixture
def bench_compare(request: pytest.FixtureRequest, tmp_path: Path) -> BenchCompare:
    """Compares results with a baseline and fails the test when something is worse, missing or not comparable.

    ``bench_compare("results/mine")``, or ``bench_compare.run("matrix.yaml")`` to train and attack first.
    """
    return BenchCompare(request.config, tmp_path)
