"""Matrices that run end to end in seconds, and the command line in a process of its own or in this one."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from pathlib import Path
from unittest.mock import patch

TINY = """\
name: tiny
dataset: {name: digits, members: 40, nonmembers: 80, reference: 120, validation: 40, holdout: 120}
targets:
  - {name: dcgan, width: 4, latent: 8, batch_size: 16, steps: 30}
defenses: [none, dropout]
attacks:
  - logan_white_box
  - {name: logan_black_box, width: 4, steps: 10, batch_size: 16}
  - nearest_sample
seeds: [0]
samples: 120
quality: {records: 100, extractor: efficientnet_lite0-64, snapshot_records: 100}
resamples: 100
"""

# A table, whose quality needs no network's features: the least that has all parts of a board.
SMALL = """\
name: tiny
dataset: {name: wine, members: 30, nonmembers: 40, reference: 50, holdout: 50, validation: 8}
targets: [{name: tvae, width: 8, steps: 20, batch_size: 10}]
defenses: [none, {name: dropout, roles: [decoder]}]
attacks: [nearest_sample, reconstruction]
seeds: [0]
samples: 120
quality: {records: 50}
resamples: 50
"""


def bench(*arguments: str | Path, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run ``python -m bench`` and return what it said."""
    return subprocess.run(
        [sys.executable, "-m", "bench", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, "NO_COLOR": "1", **environment},
        timeout=400,
        check=False,
    )


def bench_here(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """The same command in this process, which has the packages loaded, for tests of what a run computes and writes.

    The steps of ``run`` are done by a thread of this process: workers of their own would import all packages first,
    which takes longer than the steps. What crosses processes is tested with ``bench``.
    """
    from distributed import LocalCluster

    from bench.cli import main

    given = ["bench", *map(str, arguments)]
    out, err = io.StringIO(), io.StringIO()
    with contextlib.ExitStack() as stack:
        if given[1] == "run":
            cluster = LocalCluster(
                n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None, silence_logs="ERROR"
            )
            given += ["--cluster", stack.enter_context(cluster).scheduler_address]
        stack.enter_context(patch.object(sys, "argv", given))
        stack.enter_context(contextlib.redirect_stdout(out))
        stack.enter_context(contextlib.redirect_stderr(err))
        code = 0
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
    return subprocess.CompletedProcess(given, code, out.getvalue(), err.getvalue())


def write_matrix(folder: Path, text: str = TINY) -> Path:
    """The matrix as a file."""
    path = folder / "tiny.yaml"
    path.write_text(text, "utf-8")
    return path
