"""Privacy against quality as an SVG within the page: points are links, and the script dims what is filtered out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.board.measures import Measure
from bench.board.palette import style
from bench.board.pareto import front_of_rows
from bench.board.rows import Row
from bench.board.site.entry import Entry
from bench.board.site.labels import Box, place_labels
from bench.board.site.links import anchor, group_file
from bench.board.site.scatter_axes import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Axis, auc_axis, distance_axis
from bench.board.verdict import verdict_in_short
from bench.board.words import interval, number

SYMBOLS = ("circle", "square", "up", "diamond", "down", "plus", "cross", "star", "pentagon")
"""Shapes in the order of ``bench.board.palette.MARKS``."""


@dataclass(frozen=True)
class Point:
    """A row as a point; coordinates in the units of the picture.

    Attributes:
        row: id of its row in the table; ``page`` its page; ``label`` its defense; ``words`` all figures.
        x, y: its place; ``x_bar`` and ``y_bar`` both ends of its intervals, or None.
        symbol, colour: its look, the same as in the pictures of matplotlib; ``hollow`` where its samples are useless.
        label_x, label_y, label_end: where its label stands and whether it ends there; None where there is no room.
    """

    row: str
    page: str
    label: str
    words: str
    x: float
    y: float
    x_bar: tuple[float, float] | None
    y_bar: tuple[float, float] | None
    symbol: str
    colour: str
    hollow: bool
    label_x: float | None = None
    label_y: float | None = None
    label_end: bool = False


@dataclass(frozen=True)
class Tick:
    """A mark on an axis."""

    at: float
    label: str


@dataclass(frozen=True)
class Scatter:
    """One picture: a data set and target of one board."""

    title: str
    entry: Entry
    place: tuple[str, str]
    axis: str
    points: tuple[Point, ...]
    front: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    lines: tuple[Tick, ...]
    chance: float
    words: str


def scatters(entries: Sequence[Entry]) -> list[Scatter]:
    """A picture for each board, data set and target with a row that has both figures."""
    made = []
    for entry in entries:
        for place in dict.fromkeys((row.dataset, row.target) for row in entry.board.rows):
            rows = [row for row in entry.board.rows if (row.dataset, row.target) == place and _figures(row) is not None]
            if rows:
                made.append(_scatter(entry, place, rows, several=len(entries) > 1))
    return made


def _figures(row: Row) -> tuple[float, float] | None:
    """AUC and distance of a row; None where one of them was not measured."""
    value, _, _ = row.measure.figures(row.measured)
    return None if row.worst is None or value is None else (row.worst.headline.auc, value)


def _scatter(entry: Entry, place: tuple[str, str], rows: Sequence[Row], several: bool) -> Scatter:
    measure = rows[0].measure
    lines = measure.lines(rows[0].lines) if rows[0].lines is not None else {}
    x_axis, y_axis = auc_axis(rows), distance_axis(rows, measure, lines.values())
    defenses = list(dict.fromkeys(row.defense for row in entry.board.rows))
    points = [_point(entry, row, measure, defenses.index(row.defense), x_axis, y_axis) for row in rows]
    useful = [(row, point) for row, point in zip(rows, points, strict=True) if not row.raised("quality_gone")]
    pairs = [pair for row, _ in useful if (pair := _figures(row)) is not None]
    front = [useful[index][1] for index in front_of_rows(pairs)]
    title = " / ".join((*([entry.title] if several else []), *place))
    return Scatter(
        title=title,
        entry=entry,
        place=place,
        axis=measure.axis.replace(" (down is faithful)", ""),
        points=tuple(_labelled(points)),
        front=_steps(front),
        x_ticks=tuple(Tick(x_axis.at(t), number(t, 2).removeprefix("0")) for t in x_axis.ticks()),
        y_ticks=tuple(Tick(y_axis.at(t), f"{t:,.10g}") for t in y_axis.ticks()),
        lines=tuple(Tick(y_axis.at(value), f"{name} {number(value, measure.digits)}") for name, value in lines.items()),
        chance=x_axis.at(0.5),
        words=f"{title}: AUC of the worst attack against {measure.title}. " + "; ".join(p.words for p in points),
    )


def _point(entry: Entry, row: Row, measure: Measure, index: int, x_axis: Axis, y_axis: Axis) -> Point:
    figures, shown = _figures(row), row.interval
    assert figures is not None
    auc, distance = figures
    _, low, high = measure.figures(row.measured)
    look = style(index)
    reach = f"{interval(shown.low, shown.high)} over {shown.over}" if shown else "no interval"
    said = (
        f"{row.defense}\nAUC {number(auc)} ({reach})\n{measure.title} {number(distance, measure.digits)} "
        f"({interval(low, high, measure.digits) or 'no interval'})\n{verdict_in_short(row)}"
    )
    return Point(
        row=anchor(entry.title, *row.place),
        page=group_file(entry, row.place),
        label=row.defense,
        words=said,
        x=x_axis.at(auc),
        y=y_axis.at(distance),
        x_bar=(x_axis.at(shown.low), x_axis.at(shown.high)) if shown else None,
        y_bar=(y_axis.at(low), y_axis.at(high)) if low is not None and high is not None else None,
        symbol=SYMBOLS[index % len(SYMBOLS)],
        colour=look.colour,
        hollow=row.raised("quality_gone"),
    )


def _labelled(points: Sequence[Point]) -> list[Point]:
    inside = Box(LEFT, TOP, WIDTH - RIGHT, HEIGHT - BOTTOM)
    bars = [Box(p.x_bar[0], p.y - 1, p.x_bar[1], p.y + 1) for p in points if p.x_bar]
    bars += [Box(p.x - 1, p.y_bar[1], p.x + 1, p.y_bar[0]) for p in points if p.y_bar]
    spots = place_labels([(p.x, p.y, p.label) for p in points], inside, bars)
    return [
        p if spot is None else Point(**{**p.__dict__, "label_x": spot.x, "label_y": spot.y, "label_end": spot.end})
        for p, spot in zip(points, spots, strict=True)
    ]


def _steps(front: Sequence[Point]) -> str:
    """An SVG path through the front: everything to the right of and above it is worse in both figures."""
    if not front:
        return ""
    path = [f"M {front[0].x:.1f} {TOP:.1f} V {front[0].y:.1f}"]
    path += [f"H {point.x:.1f} V {point.y:.1f}" for point in front[1:]]
    return " ".join([*path, f"H {WIDTH - RIGHT:.1f}"])
