"""Stands in for the drawing of a board's curves, which takes seconds and is tested by itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image

from bench.board.draw_row import draw_sheets
from bench.board.names import slug
from bench.board.pictures import Drawn, Picture, RowPictures, training_file
from bench.board.rows import Board


@contextmanager
def sketching() -> Iterator[None]:
    """Within it boards and sites are written with a pixel in place of each curve."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("bench.board.draw.write_plots", sketches)
        patched.setattr("bench.site.pictures.write_plots", sketches)
        yield


def sketches(board: Board, folder: Path) -> Drawn:
    """The pictures of a board: sheets as they are, one grey pixel in place of each curve."""
    (folder / "plots").mkdir()

    def pixel(file: str, grey: int) -> Picture:
        Image.new("L", (1, 1), grey).save(folder / file)
        return Picture(file, "a pixel", "A grey pixel.")

    return Drawn(
        {},
        {
            row.place: RowPictures(
                samples=tuple(draw_sheets(row, folder)),
                roc=pixel(f"plots/roc-{slug(*row.place)}.png", 20),
                # Of a published board there are no losses, so that its own picture would be another one.
                training=pixel(training_file(row.place), 40 if row.trials[0].history else 80),
            )
            for row in board.rows
        },
    )
