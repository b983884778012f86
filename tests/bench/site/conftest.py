"""Planted boards are shared with the tests of the board and of verification."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sketches import sketching

for shared in ("board", "verify"):
    sys.path.insert(0, str(Path(__file__).parents[1] / shared))


@pytest.fixture(scope="session")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An honest board, which no test changes."""
    from published_boards import planted

    from bench.board.rows import build
    from bench.board.write import write_board

    with sketching():
        return write_board(build(planted()), tmp_path_factory.mktemp("site") / "planted").folder


@pytest.fixture(scope="session")
def fine(honest: Path) -> Any:
    """The honest board, verified once."""
    from bench.published.open import open_results
    from bench.site.examine import examine

    with open_results(honest) as published:
        return examine(honest, published)


@pytest.fixture
def theirs(honest: Path, tmp_path: Path) -> Path:
    """A copy to tamper with."""
    return Path(shutil.copytree(honest, tmp_path / "theirs"))


@pytest.fixture(scope="module", autouse=True)
def sketched() -> Iterator[None]:
    """Curves take seconds to draw and are tested with the board; here it matters which files there are."""
    with sketching():
        yield
