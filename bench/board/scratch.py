"""The temporary folder beside a folder that is being written, and what killed processes left of theirs."""

from __future__ import annotations

import glob
import json
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

MARKER = ".scratch"
"""The file by which a temporary folder is known to be ours: the target's name, the machine, and the process."""

NEW, OLD = "new", "old"
"""What is being written, and what it takes the place of."""


@contextmanager
def scratch_beside(folder: Path) -> Iterator[Path]:
    """A temporary folder beside ``folder``, removed at the end.

    Beside, not in the system's temporary folder: only a rename within one file system is atomic.

    Raises:
        OSError: nothing can be written there.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        (scratch / MARKER).write_text(json.dumps([folder.name, platform.node(), os.getpid()]), "utf-8")
        yield scratch
    finally:
        _remove(scratch)


def clear_stale(folder: Path) -> None:
    """Remove what processes of this machine that were killed left beside ``folder`` of writing it.

    A folder without our marker, of another machine or of a process that lives is never touched. Whoever was killed
    just between moving the old folder away and the new one into its place left none: the old one comes back.
    """
    for scratch in sorted(folder.parent.glob(f".{glob.escape(folder.name)}.*")):
        if _is_stale(scratch, folder.name):
            if (scratch / OLD).is_dir() and not os.path.lexists(folder):
                os.rename(scratch / OLD, folder)
            _remove(scratch)


def _is_stale(scratch: Path, name: str) -> bool:
    try:
        if scratch.is_symlink() or (scratch / MARKER).is_symlink():
            return False
        target, machine, process = json.loads((scratch / MARKER).read_text("utf-8"))
    except (OSError, ValueError, TypeError):
        return False
    if (target, machine) != (name, platform.node()) or type(process) is not int or process <= 0:
        return False
    return not psutil.pid_exists(process)


def _remove(scratch: Path) -> None:
    """The marker last: whoever is killed in the middle leaves what the next one still knows to be ours."""
    for part in (NEW, OLD):
        shutil.rmtree(scratch / part, ignore_errors=True)
    shutil.rmtree(scratch, ignore_errors=True)
