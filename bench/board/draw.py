"""Draws the pictures of a board."""

from __future__ import annotations

from pathlib import Path

from bench.board.draw_row import draw_curves, draw_exposed, draw_roc_curves, draw_sheets
from bench.board.names import slug
from bench.board.pictures import Drawn, Picture, RowPictures, real_caption, real_file
from bench.board.plots_scatter import Point, draw_scatter
from bench.board.plots_sheets import SHEET_RECORDS, draw_sheet
from bench.board.rows import Board
from bench.board.unseen import unseen
from bench.board.words import number


def write_plots(board: Board, folder: Path) -> Drawn:
    """Draws everything that the results hold into ``plots/`` of an existing folder."""
    (folder / "plots").mkdir(exist_ok=True)
    places = dict.fromkeys((row.dataset, row.target) for row in board.rows)
    scatters = {place: _scatter(board, *place, folder) for place in places}
    reals = {dataset: _real(board, dataset, folder) for dataset in dict.fromkeys(row.dataset for row in board.rows)}
    exposed = {exposure.row.place: exposure for exposure in board.exposures}
    return Drawn(
        scatters={place: picture for place, picture in scatters.items() if picture is not None},
        rows={
            row.place: RowPictures(
                samples=tuple(draw_sheets(row, folder)),
                real=reals[row.dataset],
                training=draw_curves(row, board.results.settings, folder),
                roc=draw_roc_curves(board, row, folder),
                exposed=draw_exposed(exposed[row.place], folder) if row.place in exposed else None,
            )
            for row in board.rows
        },
    )


def _scatter(board: Board, dataset: str, target: str, folder: Path) -> Picture | None:
    rows = [row for row in board.rows if (row.dataset, row.target) == (dataset, target)]
    defenses = list(dict.fromkeys(row.defense for row in board.rows))
    measure = rows[0].measure
    points = []
    for row in rows:
        shown, (value, low, high) = row.interval, measure.figures(row.measured)
        if row.worst is not None and shown is not None and value is not None:
            points.append(
                Point(
                    row.defense,
                    row.worst.headline.auc,
                    value,
                    (shown.low, shown.high),
                    None if low is None or high is None else (low, high),
                    defenses.index(row.defense),
                    row.raised("quality_gone"),
                )
            )
    if not points:
        return None
    lines = measure.lines(rows[0].lines) if rows[0].lines is not None else {}
    file = f"plots/scatter-{slug(dataset, target)}.png"
    svg = draw_scatter(folder / file, f"{dataset} / {target}", points, lines, measure)
    said = "; ".join(
        f"{p.label}: AUC {number(p.auc)}, {measure.title} {number(p.quality, measure.digits)}" for p in points
    )
    alt = f"Worst AUC against {measure.title}. {said}."
    return Picture(file, f"{dataset} / {target}", alt, svg.relative_to(folder).as_posix())


def _real(board: Board, dataset: str, folder: Path) -> Picture | None:
    """As many real records as a sheet of samples of this data set shows."""
    sheets = [trial.sheet for trial in board.results.trials if trial.dataset == dataset and trial.sheet is not None]
    count = min(SHEET_RECORDS, max(map(len, sheets), default=0))
    records = unseen(board.results, dataset, count) if count else None
    if records is None or records.schema.kind != "image":
        return None
    file = real_file(dataset)
    draw_sheet(folder / file, records.x)
    return Picture(file, real_caption(dataset), f"{len(records)} real records of {dataset}, none of them a member.")
