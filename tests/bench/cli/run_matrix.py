"""A matrix that runs end to end in seconds, and the command line in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

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


def write_matrix(folder: Path, text: str = TINY) -> Path:
    """The matrix as a file."""
    path = folder / "tiny.yaml"
    path.write_text(text, "utf-8")
    return path
