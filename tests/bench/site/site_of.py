"""Publishes planted boards."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bench.published.open import open_results
from bench.site.examine import examine
from bench.site.publish import Baseline, Site, publish


def site_of(*paths: Path, out: Path, base: Path | None = None, **options: Any) -> Site:
    """The site of boards that lie there."""
    with ExitStack() as opened:
        boards = [examine(path, opened.enter_context(open_results(path))) for path in paths]
        if base is not None:
            options["baseline"] = Baseline(opened.enter_context(open_results(base)), base.name)
        return publish(boards, out, **options)


def files_in(folder: Path) -> set[str]:
    """Every file, relative to the folder."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
