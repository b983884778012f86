"""Planted boards are shared with the tests of the board."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "board"))


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An honest board, which no test changes."""
    from published_boards import planted

    from bench.board.rows import build
    from bench.board.write import write_board

    return write_board(build(planted()), tmp_path_factory.mktemp("verify") / "planted").folder


@pytest.fixture
def board(written: Path, tmp_path: Path) -> Path:
    """A copy to tamper with."""
    return Path(shutil.copytree(written, tmp_path / "board"))
