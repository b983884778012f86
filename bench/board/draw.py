"""Which pictures a board has, where they lie, and what they say in words."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bench.board import plots
from bench.board.exposure import RowExposure
from bench.board.names import slug
from bench.board.rows import Board, Row
from bench.board.words import number


@dataclass(frozen=True)
class Picture:
    """A PNG.

    Attributes:
        file: relative to the results folder, with ``/``.
        caption: what it shows.
        alt: what a reader who cannot see it has to know.
    """

    file: str
    caption: str
    alt: str


@dataclass(frozen=True)
class Drawn:
    """The pictures of a board, in the order of the page."""

    scatters: tuple[Picture, ...] = ()
    rocs: tuple[Picture, ...] = ()
    exposed: tuple[Picture | None, ...] = ()
    """A picture per ``board.exposures``; None for tables."""
    sheets: tuple[Picture, ...] = ()
    curves: tuple[Picture, ...] = ()


def write_plots(board: Board, folder: Path) -> Drawn:
    """Draws everything that the results hold into ``plots/`` of an existing folder."""
    (folder / "plots").mkdir(exist_ok=True)
    places = dict.fromkeys((row.dataset, row.target) for row in board.rows)
    scatters = [_scatter(board, *place, folder) for place in places]
    return Drawn(
        scatters=tuple(picture for picture in scatters if picture is not None),
        rocs=tuple(picture for row in board.rows if (picture := _roc(board, row, folder)) is not None),
        exposed=tuple(_exposed(exposure, folder) for exposure in board.exposures),
        sheets=tuple(picture for row in board.rows for picture in _sheets(row, folder)),
        curves=tuple(picture for row in board.rows if (picture := _curves(row, folder)) is not None),
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
                plots.Point(
                    row.defense,
                    row.worst.headline.auc,
                    value,
                    (shown.low, shown.high),
                    (low, high),
                    defenses.index(row.defense),
                    row.raised("quality_gone"),
                )
            )
    if not points:
        return None
    lines = measure.lines(rows[0].lines) if rows[0].lines is not None else {}
    file = f"plots/scatter-{slug(dataset, target)}.png"
    plots.draw_scatter(folder / file, f"{dataset} / {target}", points, lines, measure)
    said = "; ".join(
        f"{p.label}: AUC {number(p.auc)}, {measure.title} {number(p.quality, measure.digits)}" for p in points
    )
    return Picture(file, f"{dataset} / {target}", f"Worst AUC against {measure.title}. {said}.")


def _roc(board: Board, row: Row, folder: Path) -> Picture | None:
    attacks = [attack for attack in row.attacks if attack.summary is not None]
    if not attacks:
        return None
    names = dict.fromkeys(attack.attack for attack in board.attacks if not attack.control)
    styles = {name: index for index, name in enumerate(names)}
    lines, said = [], []
    realised: list[tuple[float, float] | None] = []
    for attack in attacks:
        s = attack.summary
        assert s is not None
        lines.append(
            plots.RocLine(
                f"{attack.attack} (AUC {number(s.auc)})",
                attack.scores,
                attack.membership,
                styles[attack.attack],
            )
        )
        fpr, tpr = s.realised_fpr_at_1pct, s.tpr_at_1pct_fpr
        realised.append(None if fpr is None or tpr is None else (fpr, tpr))
        said.append(f"{attack.attack} {number(s.auc)}")
    file = f"plots/roc-{slug(*row.place)}.png"
    plots.draw_roc(folder / file, row.label, lines, realised)
    return Picture(file, row.label, f"ROC curves; AUC: {', '.join(said)}.")


def _exposed(exposure: RowExposure, folder: Path) -> Picture | None:
    near, found = exposure.nearest, exposure.found
    if near is None or near.records.schema.kind != "image":
        return None
    pairs = [
        plots.Pair(member, sample, f"exposure\n{number(found.exposure[place])}")
        for member, sample, place in zip(near.records.x, near.samples, exposure.top, strict=True)
    ]
    row = exposure.row
    file = f"plots/exposed-{slug(*row.place)}.png"
    plots.draw_pairs(folder / file, pairs)
    said = ", ".join(f"{found.record_ids[place]} ({number(found.exposure[place])})" for place in exposure.top)
    alt = f"The most exposed members of {row.label}, each above the generated sample nearest to it: records {said}."
    return Picture(file, row.label, alt)


def _sheets(row: Row, folder: Path) -> list[Picture]:
    made = []
    for trial in row.trials:
        if trial.sheet is not None and len(trial.sheet):
            file = f"plots/samples-{slug(*row.place, trial.seed)}.png"
            plots.draw_sheet(folder / file, trial.sheet)
            label = f"{row.label}, seed {trial.seed}"
            made.append(Picture(file, label, f"Generated records of {label}"))
    return made


def _curves(row: Row, folder: Path) -> Picture | None:
    histories = {trial.seed: trial.history for trial in row.trials if trial.history}
    if not histories:
        return None
    file = f"plots/training-{slug(*row.place)}.png"
    plots.draw_curves(folder / file, row.label, histories)
    return Picture(file, row.label, f"Training history of {row.label}, a line per seed.")
