"""Rows that leak alike are seldom told apart, and rows that do not are."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import norm
from score_models import Floats

from bench.metrics.headline import RowReplicates, headline
from bench.metrics.ranks import rank_rows
from bench.rng import generator

pytestmark = pytest.mark.study

MEMBER, IDS = np.arange(400) < 200, np.arange(400)


def row(rng: np.random.Generator, common: Floats, auc: float, run: int) -> RowReplicates:
    """Three attacks of a row: what records are easy is shared by all rows, the rest is the row's own."""
    shift = math.sqrt(2) * float(norm.ppf(auc))
    scores = math.sqrt(0.5) * common + math.sqrt(0.5) * rng.standard_normal((3, 400)) + shift * MEMBER
    return headline({f"attack{i}": each for i, each in enumerate(scores)}, MEMBER, IDS, run, 200)[1]


@pytest.mark.parametrize(("auc", "rows", "runs"), [(0.5, 4, 400), (0.7, 4, 400), (0.6, 8, 200)])
def test_equal_rows_share_a_rank(auc: float, rows: int, runs: int) -> None:
    different = []
    for run in range(runs):
        rng = generator(run, "rank study", rows)
        common = rng.standard_normal((3, 400))
        ranks = rank_rows({str(i): row(rng, common, auc, run) for i in range(rows)})
        different.append(any(rank != 1 for rank in ranks.values()))
    share, error = float(np.mean(different)), math.sqrt(0.05 * 0.95 / runs)
    print(
        f"ranks | {rows} equal rows, AUC {auc} | any pair called different {share:.3f} +- {error:.3f} ({runs} boards)"
    )
    assert share <= 0.05 + 2 * error


def test_a_worse_row_is_found() -> None:
    shares = []
    for worse in (0.6, 0.65, 0.7):
        found = []
        for run in range(100):
            rng = generator(run, "rank power")
            common = rng.standard_normal((3, 400))
            rows = {name: row(rng, common, auc, run) for name, auc in (("a", 0.5), ("b", 0.5), ("worse", worse))}
            found.append(rank_rows(rows)["worse"] == 3)
        shares.append(float(np.mean(found)))
        print(f"ranks | AUC {worse} beside two rows of .5, 200 + 200 records | ranked third {shares[-1]:.2f}")
    assert shares == sorted(shares)
    assert shares[-1] >= 0.85
