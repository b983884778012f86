"""Training cells again: which are drawn, from which matrix, and what counts as the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from planted_board import quality
from published_boards import planted

from bench.errors import InputError
from bench.plan.graph import Plan, PlannedCell, PlannedTrial, Step, StepKind
from bench.results import Cell, Results
from bench.verify.report import Report
from bench.verify.rerun import STAMPED, TOLERANCE, check_same, compare, draw, planned, same_place, steps_behind


@pytest.fixture(scope="module")
def published() -> Results:
    return planted()


def test_completed_cells_are_drawn_by_seed_and_controls_are_not(published: Results) -> None:
    drawn = draw(published, 5, 3)
    assert len(drawn) == 5
    assert all(cell.status == "completed" and not cell.control for cell in drawn)
    assert [id(cell) for cell in drawn] == [id(cell) for cell in draw(published, 5, 3)]
    others = [tuple(id(cell) for cell in draw(published, 5, seed)) for seed in range(8)]
    assert len(set(others)) > 1
    assert len(draw(published, 1000, 0)) == 2 * 2 * 4  # all there are
    with pytest.raises(InputError, match="expected a board with completed attacks, found none"):
        draw(replace(published, cells=tuple(c for c in published.cells if c.control)), 1, 0)


def test_a_matrix_that_asks_for_the_same(published: Results) -> None:
    check_same(published, published)
    check_same(replace(published, settings={**published.settings, "sets": (10, 5)}), published)  # as JSON it is one


@pytest.mark.parametrize(
    ("changed", "match"),
    [
        ({"settings": {"sets": [10]}}, r"resamples differs: the matrix has null, the board 40"),
        ({"fingerprints": {"digits": "cd" * 32}}, "expected the board's records of digits, whose fingerprint differs"),
        (
            {"splits": {"digits": {"members": np.arange(40)}}},
            "expected the board's split of digits, the members differ",
        ),
        ({"splits": {"digits": {"reference": np.arange(4)}}}, "split of digits, the reference differ"),
    ],
)
def test_a_matrix_that_asks_for_something_else(published: Results, changed: dict[str, Any], match: str) -> None:
    with pytest.raises(InputError, match=match):
        check_same(replace(published, **changed), published)


def step(kind: StepKind, name: str, upstream: tuple[Step, ...] = (), gate: Step | None = None) -> Step:
    return Step(kind, name, {}, {each.id: each for each in upstream}, {}, name, 1, gate)


def test_only_the_steps_behind_a_cell_and_its_trials_quality() -> None:
    data = step("data", "data")
    gate = step("preflight", "gate", (data,))
    train, other = step("train", "train", (data,), gate), step("train", "other", (data,), gate)
    shadow = step("train", "shadow", (data,))
    sample, other_sample = step("sample", "sample", (train,)), step("sample", "other sample", (other,))
    features = step("features", "features", (data,))
    judged, quiet = step("quality", "quality", (sample, features)), step("quality", "unasked", (other_sample, features))
    attack, unasked = step("attack", "attack", (data, sample, shadow)), step("attack", "not this", (data, other_sample))
    steps = (data, gate, train, other, shadow, sample, other_sample, features, judged, quiet, attack, unasked)
    one = PlannedTrial("digits", "dcgan", "none", 0, "", {"train": train, "sample": sample, "quality": judged})
    two = PlannedTrial("digits", "dcgan", "dropout", 0, "", {"train": other, "sample": other_sample, "quality": quiet})
    made: Any = None
    cells = (PlannedCell(one, made, "lira", "", attack, (shadow,)), PlannedCell(two, made, "lira", "", unasked))
    plan = Plan({}, (one, two), cells, (), steps, {})
    asked = Cell("digits", "dcgan", "none", 0, "lira", "samples", "shadow", "completed")
    assert planned(plan, [asked]) == cells[:1]
    assert list(steps_behind(plan, cells[:1])) == [gate, train, shadow, sample, features, judged, attack]
    with pytest.raises(
        InputError, match="expected the cell digits / dcgan / none / 1 / lira, which the matrix does not"
    ):
        planned(plan, [replace(asked, seed=1)])


def compared(
    published: Results, drawn: Cell, new: Cell, stamp: Mapping[str, Any] | None = None, **trial: Any
) -> Report:
    """A rerun in which one cell, and what is asked of its trial, came out differently."""
    report = Report()
    place = (drawn.dataset, drawn.target, drawn.defense, drawn.seed)
    trials = tuple(
        replace(t, **trial) if (t.dataset, t.target, t.defense, t.seed) == place else t for t in published.trials
    )
    cells = tuple(new if c is drawn else c for c in published.cells)
    compare(published, replace(published, cells=cells, trials=trials, stamp=stamp or published.stamp), [drawn], report)
    return report


OTHER_MODEL = {"artifacts": {"train": "another", "sample": "another"}}


def elsewhere(published: Results) -> Results:
    """The board as if another machine had made it."""
    return replace(published, stamp={**published.stamp, "platform": "Plan9 mips"})


def test_the_same_bytes(published: Results) -> None:
    (drawn,) = draw(published, 1, 0)
    report = compared(published, drawn, drawn)
    assert report.problems == []
    assert [note.split(": ")[1] for note in report.notes] == ["the same scores, to the byte", "the same sample quality"]
    assert report.checked["cells run again"] == 1


def test_where_the_same_bytes_are_expected(published: Results) -> None:
    assert same_place(published, published)
    for name in STAMPED:
        assert not same_place(replace(published, stamp={**published.stamp, name: "another"}), published)
    assert same_place(replace(published, stamp={**published.stamp, "git": None, "written": "never"}), published)
    on_gpu = replace(published, settings={**published.settings, "device": "cuda"})
    assert not same_place(on_gpu, on_gpu)  # the stamp does not tell which GPU


def test_scores_must_be_the_same_where_the_stamp_is(published: Results) -> None:
    (drawn,) = draw(published, 1, 0)
    scores = drawn.scores.copy()
    scores[0] += 1e-9
    new = replace(drawn, scores=scores)
    (problem,) = compared(published, drawn, new).problems
    assert "scores differ by up to 1e-09, AUC by 0.0000" in problem
    assert "though the stamp is the same, which gives the same bytes" in problem
    report = compared(elsewhere(published), drawn, new, stamp=published.stamp)
    assert report.problems == []
    assert any(f"within {TOLERANCE}; the same machine, code and versions" in note for note in report.notes)


def test_a_hash_of_the_board_is_no_excuse(published: Results) -> None:
    """Whoever forges scores can write any hash beside them; an equal stamp still asks for equal files."""
    (drawn,) = draw(published, 1, 0)
    (problem,) = compared(published, drawn, drawn, **OTHER_MODEL).problems
    assert "train and sample gave other files than published, though the stamp is the same" in problem
    report = compared(elsewhere(published), drawn, drawn, stamp=published.stamp, **OTHER_MODEL)
    assert report.problems == []
    assert any("gave other files than published, as on another machine" in note for note in report.notes)


def test_an_auc_beyond_the_tolerance_is_wrong_on_any_machine(published: Results) -> None:
    drawn = next(c for c in published.cells if c.attack == "logan_white_box")
    new = replace(drawn, scores=-drawn.scores)
    (problem,) = compared(elsewhere(published), drawn, new, stamp=published.stamp, **OTHER_MODEL).problems
    assert f"expected AUCs within {TOLERANCE} of one another" in problem


def test_other_candidates_and_a_failed_run(published: Results) -> None:
    drawn = next(c for c in published.cells if c.attack == "logan_white_box")
    (problem,) = compared(published, drawn, replace(drawn, membership=~drawn.membership)).problems
    assert problem.endswith("expected the published candidates and membership, got others")
    (problem,) = compared(published, drawn, replace(drawn, status="failed", reason="no memory")).problems
    assert problem.endswith("expected scores, the run says failed: no memory")


def test_quality_is_measured_again(published: Results) -> None:
    (drawn,) = draw(published, 1, 0)
    other = {"quality": quality(99.0)}
    (problem,) = compared(published, drawn, drawn, **other).problems
    assert "quality differs, though the stamp is the same, which gives the same bytes" in problem
    assert "kid 2" in problem
    assert "(now 99.0)" in problem
    report = compared(elsewhere(published), drawn, drawn, stamp=published.stamp, **other)
    assert report.problems == []
    assert any("quality differs, as the model may: kid" in note for note in report.notes)
    (problem,) = compared(published, drawn, drawn, quality=None, reason="too few").problems
    assert problem.endswith("expected a sample quality, the run measured none: too few")
    unmeasured = replace(published, trials=tuple(replace(t, quality=None) for t in published.trials))
    (problem,) = compared(unmeasured, drawn, drawn, **other).problems
    assert problem.endswith("expected no sample quality as published, the run measured one")


def test_other_versions_are_said(published: Results) -> None:
    (drawn,) = draw(published, 1, 0)
    report = Report()
    compare(published, replace(published, stamp={**published.stamp, "python": "3.99"}), [drawn], report)
    assert not any("another git" in note for note in report.notes)
    compare(published, replace(published, stamp={**published.stamp, "git": {"commit": "a"}}), [drawn], report)
    assert any('run again with another git than published: {"commit":"a"}' in note for note in report.notes)
    assert any('run again with another python than published: "3.99", was "3' in note for note in report.notes)
