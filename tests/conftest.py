"""What tests of several folders share: this folder on the path of imports, and one run of the tiny matrix."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of this test session that all of pytest-xdist's workers see."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="session")
def tiny_run(shared: Path) -> Path:
    """A folder in which the tiny matrix was run by two worker processes; no test may change it."""
    from filelock import FileLock  # here: environments without the suite's own packages read this file too
    from run_matrix import bench, write_matrix

    folder = shared / "tiny-run"
    with FileLock(shared / "tiny-run.lock"):
        if not (folder / "done").exists():
            folder.mkdir()
            done = bench("run", write_matrix(folder), "--results", folder / "results", "--workers", "2")
            assert done.returncode == 0, done.stderr
            (folder / "stdout").write_text(done.stdout, "utf-8")
            (folder / "stderr").write_text(done.stderr, "utf-8")
            (folder / "done").touch()
    return folder
