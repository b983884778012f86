"""How often an unchanged defense is accused, and how often a broken one is found, on simulated boards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from planted_comparison import QUICKSTART, Row, board

from bench.compare.evidence import Evidence
from bench.compare.findings import Comparison
from bench.compare.run import compare_boards
from bench.compare.side import Place
from bench.compare.tolerance import parse_tolerances
from bench.compare.verdicts import Test, verdicts
from bench.rng import generator

BOARDS = 100
POWER_BOARDS = 20
BROKEN = ("dropout", "dp_sgd")

UNEVEN = {
    "none": Row(0.93, 1070, auc_sd=0.03, kid_sd=0.1),
    "weight_norm": Row(0.91, 1390, auc_sd=0.01, kid_sd=0.05),
    "dropout": Row(0.51, 3640, auc_sd=0.005, kid_sd=0.2),
    "dp_sgd": Row(0.55, 7780, auc_sd=0.02, kid_sd=0.3),
}
"""Rows whose runs differ by unequal amounts: six times in AUC and in KID."""

LOUD = {name: replace(row, auc_sd=0.03, kid_sd=0.1) for name, row in QUICKSTART.items()}


def runs_of(rows: Mapping[str, Row], other: Mapping[str, Row], seeds: int, draw: int) -> Comparison:
    """BASE and, of other trainings on the same records, NEW; the seeds differ by their noise alone."""
    base = board(rows, range(seeds), 2 * draw, root=draw)
    return compare_boards(base, board(other, range(seeds), 2 * draw + 1, root=draw))


def accused(rows: Mapping[str, Row], seeds: int, boards: int) -> int:
    """How many of so many unchanged boards do not pass."""
    return sum(runs_of(rows, rows, seeds, draw).exit_code != 0 for draw in range(boards))


def found(auc: float, seeds: int, boards: int) -> float:
    """How often dropout and DP-SGD, at AUC .51 in BASE, are called worse at this AUC in NEW."""
    broken = {**QUICKSTART, **{name: replace(QUICKSTART[name], auc=auc) for name in BROKEN}}
    hits = 0
    for draw in range(boards):
        seen = {(f.row.defense, f.figure): f.status for f in runs_of(QUICKSTART, broken, seeds, draw).findings}
        hits += sum(seen[name, "auc"] == "worse" for name in BROKEN)
    return hits / (boards * len(BROKEN))


@pytest.mark.study
@pytest.mark.parametrize(
    ("name", "seeds"),
    [
        ("even", 1),
        ("even", 2),
        ("even", 3),
        ("even", 5),
        ("loud", 2),
        ("uneven", 2),
        ("uneven", 3),
        ("uneven", 5),
    ],
)
def test_an_unchanged_defense_passes_under_another_seed(name: str, seeds: int) -> None:
    rows = {"even": QUICKSTART, "loud": LOUD, "uneven": UNEVEN}[name]
    wrong = accused(rows, seeds, BOARDS)
    print(f"unchanged, {name} rows, {seeds} seeds: {BOARDS - wrong} of {BOARDS} boards pass", flush=True)
    assert wrong <= 5


@pytest.mark.study
@pytest.mark.parametrize("seeds", [1, 2, 3, 5])
def test_how_large_a_leak_is_found(seeds: int) -> None:
    shares = {}
    for shift in (0.02, 0.05, 0.1, 0.2, 0.4):
        shares[shift] = found(0.51 + shift, seeds, POWER_BOARDS)
        print(f"AUC .51 + {shift}, {seeds} seeds: found in {shares[shift]:.0%} of {2 * POWER_BOARDS}", flush=True)
    assert shares[0.4] >= 0.95
    assert shares[0.02] <= 0.2


def kid_found(factor: float, sd: float, seeds: int, draws: int) -> float:
    """How often a KID this many times as large is called worse, as one of eight figures of which no other changed."""
    rng = generator(0, "kid", str(factor), str(sd), seeds)
    rule = next(rule for rule in parse_tolerances(["kid:+5%"]) if rule.figure.name == "kid")
    hits = 0
    for _ in range(draws):
        tests = []
        for place in range(8):
            level = factor if place == 0 else 1.0
            base, new = 1000 * (1 + sd * rng.normal(size=seeds)), 1000 * level * (1 + sd * rng.normal(size=seeds))
            records = 30.0**2 * (1 + level**2)
            row = Place("digits", "dcgan", str(place))
            tests.append(Test(row, row, "kid", rule, Evidence(tuple(base.tolist()), tuple(new.tolist()), records)))
        hits += verdicts(tests)[0].status == "worse"
    return hits / draws


@pytest.mark.study
@pytest.mark.parametrize("sd", [0.08, 0.25])
@pytest.mark.parametrize("seeds", [1, 2, 3, 5])
def test_how_much_worse_samples_are_found(seeds: int, sd: float) -> None:
    shares = {}
    for factor in (1.0, 1.5, 2, 3, 5, 10):
        shares[factor] = kid_found(factor, sd, seeds, 100)
        print(
            f"KID x {factor}, seeds differ by {sd:.0%}, {seeds} seeds: found in {shares[factor]:.0%} of 100", flush=True
        )
    assert shares[1.0] <= 0.05
    assert shares[10] >= 0.95
