"""Geometry of what the pages draw themselves: intervals in cells, and the scatter."""

from __future__ import annotations

import math
import re
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planted_board import cell, quality, results, tables, trial

from bench.board.palette import MARKS
from bench.board.rows import build
from bench.board.site.bars import AucScale, distance_bar
from bench.board.site.entry import Entry
from bench.board.site.labels import CHARACTER, LINE, Box, place_labels
from bench.board.site.leaderboard_columns import columns
from bench.board.site.row_view import row_views
from bench.board.site.scatter import SYMBOLS, Scatter, scatters
from bench.board.site.scatter_axes import HEIGHT, WIDTH, Axis


def test_an_auc_lies_where_its_share_of_the_scale_is() -> None:
    scale = AucScale.over([0.6, 0.9])
    assert scale.lowest == pytest.approx(0.45)
    assert scale.at(1.0) == 100
    assert scale.at(0.45) == 0
    assert scale.at(0.725) == pytest.approx(50)
    assert scale.at(0.2) == 0  # not outside of its cell
    assert AucScale.over([0.3]).at(0.3) > 0


def test_a_distance_lies_between_real_and_untrained_by_orders() -> None:
    bar = distance_bar(100.0, 50.0, 200.0, 0.0, 10_000.0, 200.0)
    assert bar is not None
    assert bar.point == pytest.approx(100 * math.asinh(10) / math.asinh(1000), abs=0.01)
    assert bar.low is not None
    assert bar.high is not None
    assert bar.low < bar.point < bar.high
    assert bar.marks == (0, 100)
    assert distance_bar(1.0, None, None, 5.0, 5.0, 9.0) is None


def test_what_is_worse_than_untrained_lies_beyond_its_mark() -> None:
    bar = distance_bar(20_000.0, 19_000.0, 21_000.0, 0.0, 10_000.0, 21_000.0)
    assert bar is not None
    assert bar.low is not None
    assert bar.marks[1] < bar.low < bar.point < 100
    assert bar.high == 100
    found = build(
        results((trial(quality=quality(400.0)), trial("b", quality=quality(900.0))), (cell(), cell(defense="b")))
    )
    entry = Entry(found, "planted")
    drawn = [view.shown["qualities"]["kid"]["bar"] for view in row_views([entry], columns([entry]))]
    assert len({one.marks for one in drawn}) == 1  # one scale for both
    assert len({one.point for one in drawn}) == 2


def test_points_look_as_they_do_on_paper() -> None:
    assert len(SYMBOLS) == len(MARKS)


def planted(kids: dict[str, tuple[float, float]]) -> Scatter:
    found = build(
        results(
            tuple(trial(name, quality=quality(kid)) for name, (_, kid) in kids.items()),
            tuple(cell(defense=name, shift=shift) for name, (shift, _) in kids.items()),
        )
    )
    (made,) = scatters([Entry(found, "planted")])
    return made


def test_points_lie_right_of_and_above_what_is_better() -> None:
    chart = planted({"leaky": (2.0, 10.0), "private": (0.3, 60.0), "useless": (0.0, 900.0)})
    at = {point.label: point for point in chart.points}
    assert at["private"].x < at["leaky"].x
    assert at["private"].y < at["leaky"].y  # SVG counts downwards
    assert [point.label for point in chart.points if point.hollow] == ["useless"]
    assert all(0 < p.x < WIDTH and 0 < p.y < HEIGHT for p in chart.points)
    assert {line.label.split()[0] for line in chart.lines} == {"real", "untrained"}
    for point in chart.points:
        assert point.words.startswith(point.label)
        assert "AUC" in point.words


def test_the_front_goes_through_the_rows_that_nothing_beats() -> None:
    chart = planted({"a": (0.2, 90.0), "b": (1.0, 40.0), "beaten": (1.5, 60.0), "c": (2.0, 10.0), "gone": (0.0, 900.0)})
    at = {point.label: point for point in chart.points}
    corners = re.findall(r"H ([\d.]+) V ([\d.]+)", chart.front)
    assert chart.front.startswith(f"M {at['a'].x:.1f} ")
    assert [(float(x), float(y)) for x, y in corners] == [(at["b"].x, at["b"].y), (at["c"].x, at["c"].y)]


def test_a_table_is_read_on_a_linear_axis() -> None:
    (chart,) = scatters([Entry(build(tables({"none": 0.1, "noisy": 0.2})), "planted")])
    assert "marginal distance" in chart.axis
    ticks = [float(tick.label) for tick in chart.y_ticks]
    steps = {round(b - a, 9) for a, b in pairwise(ticks)}
    assert len(steps) == 1


def test_what_has_no_figure_has_no_point() -> None:
    assert scatters([Entry(build(results((trial(),), ())), "planted")]) == []


@given(st.floats(-50, 50), st.floats(0.01, 5000), st.floats(0, 1))
def test_an_axis_keeps_order_and_bounds(low: float, length: float, share: float) -> None:
    axis = Axis(low, low + length, 400, 20, orders=length > 100)
    value = low + share * length
    assert 20 <= axis.at(value) <= 400
    assert axis.at(low) == 400
    assert axis.at(low + length) == 20
    ticks = axis.ticks()
    assert ticks == sorted(ticks)
    assert all(low - 1e-6 <= tick <= low + length + 1e-6 for tick in ticks)


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.floats(20, 680), st.floats(30, 400), st.text("abc", min_size=1, max_size=20)), max_size=12)
)
def test_labels_cover_neither_each_other_nor_points(points: list[tuple[float, float, str]]) -> None:
    inside = Box(0, 0, 720, 460)
    boxes = []
    for (_, _, label), spot in zip(points, place_labels(points, inside), strict=True):
        if spot is not None:
            width = CHARACTER * len(label)
            left = spot.x - width if spot.end else spot.x
            boxes.append(Box(left, spot.y - LINE + 3.1, left + width, spot.y + 2.9))
    for index, box in enumerate(boxes):
        assert box.within(inside)
        assert not any(box.meets(other) for other in boxes[index + 1 :])


def test_a_label_without_room_is_left_to_the_tip() -> None:
    crowd = [(100.0 + dx, 100.0 + dy, "a rather long label") for dx in range(0, 9, 3) for dy in range(0, 9, 3)]
    spots = place_labels(crowd, Box(0, 0, 720, 460))
    assert any(spot is None for spot in spots)
    assert spots[0] is not None
