"""Boards that were made with other code, or that do not say with which."""

from __future__ import annotations

from pathlib import Path

import pytest
from planted_comparison import Planted, Row, board, changed

from bench.cli.common import make_plan
from bench.collect import collect
from bench.compare.run import compare_boards
from bench.identity import ROOT, source_fingerprint

ROWS = {"none": Row(0.9, 1000), "dropout": Row(0.55, 2000)}


def make(draw: int = 0) -> Planted:
    return changed(board(ROWS, range(2), draw, 60, 100, attacks=("logan_white_box", "nearest_sample")))


def edited(kind: str, name: str, value: object = "ff") -> Planted:
    new = make(1)
    new.payload["stamp"]["sources"][kind][name] = value
    return new


@pytest.mark.parametrize(
    ("kind", "name", "figures", "said"),
    [
        (
            "targets",
            "dcgan",
            {"auc", "kid", "marginal_distance", "diverged_runs", "collapsed_runs"},
            "the source of the target dcgan is",
        ),
        ("attacks", "nearest_sample", {"auc of nearest_sample"}, "the source of the attack nearest_sample is another"),
    ],
)
def test_other_code_is_not_compared_unless_told(kind: str, name: str, figures: set[str], said: str) -> None:
    found = compare_boards(make(), edited(kind, name))
    refused = [f for f in found.findings if f.status == "not comparable"]
    assert (found.exit_code, {f.figure for f in refused}) == (3, figures)
    assert all(said in f.reason for f in refused)
    across = compare_boards(make(), edited(kind, name), across_versions=True)
    assert across.exit_code == 0
    assert "ACROSS VERSIONS" in across.notes[0]
    assert said in across.notes[0]


def test_other_code_of_a_defense_is_what_is_tested() -> None:
    found = compare_boards(make(), edited("defenses", "dropout", ["ff"]))
    assert found.exit_code == 0
    assert found.notes == ("The source of these defenses is another in NEW than in BASE: dropout.",)


def test_a_board_that_does_not_say_is_not_compared() -> None:
    new = make(1)
    del new.payload["stamp"]["sources"]
    for sides in ((make(), new), (new, make()), (new, new)):
        found = compare_boards(*sides)
        assert {f.status for f in found.findings} == {"not comparable"}
        assert "does not say from which source" in found.findings[0].reason
        assert compare_boards(*sides, across_versions=True).exit_code == 0
    partly = make(1)
    del partly.payload["stamp"]["sources"]["attacks"]["nearest_sample"]
    assert compare_boards(make(), partly).exit_code == 3


def test_records_that_nobody_names_are_not_equal() -> None:
    boards = [make(), make(1)]
    for given in boards:
        given.payload["datasets"] = {}
    assert "without a fingerprint" in compare_boards(*boards).findings[0].reason
    boards = [make(), make(1)]
    for given in boards:
        given.payload["datasets"]["digits"]["splits"] = {}
    assert "does not say how the records were split" in compare_boards(*boards).findings[0].reason


def test_results_say_their_sources(tmp_path: Path) -> None:
    planned = make_plan(ROOT / "matrix.yaml", tmp_path)
    sources = collect(planned.resolved, planned.plan, planned.store).stamp["sources"]
    names = planned.plan.configurations
    assert {kind: list(each) for kind, each in sources.items() if kind != "attacks"} == {
        kind: list(names[kind]) for kind in ("targets", "defenses")
    }
    assert set(sources["attacks"]) == set(names["attacks"])
    assert sources["targets"]["dcgan"] == source_fingerprint(ROOT / "targets" / "dcgan.py")
    assert sources["attacks"]["domias"] == source_fingerprint(ROOT / "bench" / "attacks" / "domias.py")
    assert sources["defenses"]["dropout"] == [source_fingerprint(ROOT / "defenses" / "dropout.py")]
