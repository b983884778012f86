"""The Pareto front against its definition, point by point."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.board.pareto import front_of_rows, pareto

FEW = st.integers(0, 4).map(float)  # few values, so that ties and equal points are common
FIGURES = st.floats(allow_nan=False) | FEW


@given(st.lists(st.tuples(FIGURES, FIGURES), max_size=12) | st.lists(st.tuples(FEW, FEW), max_size=12))
def test_the_front_is_what_nothing_dominates(points: list[tuple[float, float]]) -> None:
    def dominated(by: tuple[float, float], point: tuple[float, float]) -> bool:
        return by[0] <= point[0] and by[1] <= point[1] and by != point

    expected = [i for i, point in enumerate(points) if not any(dominated(other, point) for other in points)]
    front = pareto(points)
    assert sorted(front) == expected
    assert [points[i] for i in front] == sorted(points[i] for i in front)


def test_an_auc_below_chance_is_no_more_private_than_chance() -> None:
    assert front_of_rows([(0.45, 80.0), (0.5, 70.0), (0.9, 10.0)]) == [1, 2]
    assert front_of_rows([(0.45, 70.0), (0.5, 70.0)]) == [0, 1]


def test_a_figure_without_order_is_refused() -> None:
    for points in ([(0.5, 1.0), (0.5, float("nan"))], [(0.5, 1.0), (float("nan"), 1.0)]):
        with pytest.raises(ValueError, match="index 1"):
            pareto(points)
        with pytest.raises(ValueError, match="index 1"):
            front_of_rows(points)
