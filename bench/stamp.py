"""When, from which code and with which packages something was computed; volatile, never part of an identity."""

from __future__ import annotations

import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from bench.identity import ROOT
from bench.version import __version__

# The packages whose versions can change a number.
PACKAGES = ("torch", "torchvision", "opacus", "numpy", "scipy", "scikit-learn", "torch-fidelity", "mlxtend")


def make_stamp() -> dict[str, Any]:
    """Versions, platform, git state and time, as JSON."""
    return {
        "leakboard": __version__,
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "packages": {name: _version(name) for name in PACKAGES},
        "git": _git(),
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _git() -> dict[str, Any] | None:
    """Commit and whether the work tree was changed; None outside of a checkout or without git."""
    try:
        commit = _ask("rev-parse", "HEAD")
        return {"commit": commit, "dirty": bool(_ask("status", "--porcelain", "--untracked-files=no"))}
    except (OSError, subprocess.SubprocessError):
        return None


def _ask(*arguments: str) -> str:
    answer = subprocess.run(
        ["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=True, timeout=10
    )
    return answer.stdout.strip()
