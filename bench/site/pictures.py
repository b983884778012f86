"""The pictures of a published board: drawn again, and those taken over that need what is not published."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from bench.board.draw import write_plots
from bench.board.draw_row import exposed_picture
from bench.board.pictures import (
    TRAINING,
    Drawn,
    Picture,
    RowPictures,
    real_caption,
    real_file,
    samples_file,
    training_file,
)
from bench.board.rows import Board, Row
from bench.errors import InputError
from bench.site.raster import take_over


def published_pictures(board: Board, source: Path, folder: Path, without_records: bool) -> tuple[Drawn, list[str]]:
    """Scatter and ROC curves drawn from the scores; sheets, training curves and exposed members from ``source``.

    Args:
        board: computed again from what lies in ``source``.
        source: the published folder; a baseline has no pictures.
        folder: where they go, each under the name that this code gives it.
        without_records: leave out what shows real records, or may show copies of them, or losses on them.

    Returns:
        The pictures; and which of the published ones could not be taken over, a line each.
    """
    drawn = write_plots(board, folder)
    taker = _Taker(source, folder)
    exposed = {} if without_records else {each.row.place: exposed_picture(each) for each in board.exposures}
    rows: dict[tuple[str, str, str], RowPictures] = {}
    for row in board.rows:
        own = drawn.rows.get(row.place, RowPictures())
        rows[row.place] = replace(
            own,
            # A model that memorised shows its members in what it generates.
            samples=() if without_records else own.samples or tuple(taker.all(_samples(row))),
            real=None if without_records else own.real or taker.one(_real(row)),
            # Losses are not published, so the picture that was drawn from them shows more than ours.
            training=None if without_records else taker.one(_training(row)) or own.training,
            exposed=None if without_records else own.exposed or taker.one(exposed.get(row.place)),
        )
    if without_records:
        for row in board.rows:
            (folder / training_file(row.place)).unlink(missing_ok=True)
    return replace(drawn, rows=rows), taker.problems


def _samples(row: Row) -> list[Picture]:
    return [
        Picture(
            samples_file(row.place, trial.seed),
            f"Generated, seed {trial.seed}",
            f"The first generated records of {row.label}, seed {trial.seed}.",
        )
        for trial in row.trials
    ]


def _real(row: Row) -> Picture:
    alt = f"Real records of {row.dataset}, none of them a member."
    return Picture(real_file(row.dataset), real_caption(row.dataset), alt)


def _training(row: Row) -> Picture:
    return Picture(training_file(row.place), TRAINING, f"{row.label}: losses, and KID of snapshots, by step.")


@dataclass
class _Taker:
    """Takes pictures over, each once, and remembers which could not be."""

    source: Path
    folder: Path
    problems: list[str] = field(default_factory=list)
    _known: dict[str, bool] = field(default_factory=dict)

    def one(self, picture: Picture | None) -> Picture | None:
        """The picture, where the published board has it."""
        return picture if picture is not None and self._has(picture.file) else None

    def all(self, pictures: list[Picture]) -> list[Picture]:
        """Those of several that the published board has."""
        return [picture for picture in pictures if self._has(picture.file)]

    def _has(self, file: str) -> bool:
        if file not in self._known:
            self._known[file] = self._take(file)
        return self._known[file]

    def _take(self, file: str) -> bool:
        path = self.source / file
        if not path.exists() and not path.is_symlink():
            return False
        try:
            take_over(path, self.folder / file)
        except InputError as error:
            self.problems.append(f"left out: {error}")
            return False
        return True
