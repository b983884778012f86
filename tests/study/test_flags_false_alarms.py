"""Flags that rest on a test: how often they are raised where nothing is wrong, and where something is."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import norm
from score_models import Floats
from simulated import only_auc

from bench.board import flags
from bench.board.attack_rows import Shown, shown
from bench.metrics.headline import smallest_detectable_auc
from bench.metrics.intervals import interval_columns
from bench.rng import generator

pytestmark = pytest.mark.study

MEMBER = np.arange(400) < 200


def read(run: int, seeds: int, aucs: Floats, shared: float) -> list[tuple[float, Shown]]:
    """AUC and shown interval of attacks whose scores share a part between runs."""
    found = []
    for k, auc in enumerate(aucs):
        rng = generator(run, "flag study", seeds, k)
        scores = math.sqrt(shared) * rng.standard_normal(400) + math.sqrt(1 - shared) * rng.standard_normal(
            (seeds, 400)
        )
        scores = scores + math.sqrt(2) * norm.ppf(auc) * MEMBER
        c = interval_columns(scores, MEMBER, only_auc, run, 200, "study")
        value, low, high = c["auc"], c["auc_low"], c["auc_high"]
        assert value is not None
        assert low is not None
        assert high is not None
        found.append((value, shown(low, high, c.get("auc_seed_low"), c.get("auc_seed_high"))))
    return found


def flipped(row: list[tuple[float, Shown]], tried: int) -> bool:
    chance = 1 - smallest_detectable_auc(200, 200, 0.05 / tried)
    return any(flags.sign_flipped("a", auc, interval.high, tried, chance) is not None for auc, interval in row)


@pytest.mark.parametrize(("seeds", "boards"), [(1, 400), (3, 200)])
def test_twenty_attacks_that_know_nothing(seeds: int, boards: int) -> None:
    rows = [read(board, seeds, np.full(20, 0.5), 0.9) for board in range(boards)]
    uncorrected = np.mean([flipped(row, 1) for row in rows])
    corrected = float(np.mean([flipped(row, 20) for row in rows]))
    # fifteen of the attacks see no network, five do
    beaten = float(
        np.mean(
            [
                flags.black_box_beats_white_box(
                    ("b", max(i.low for _, i in row[:15])), ("w", max(i.high for _, i in row[15:]))
                )
                is not None
                for row in rows
            ]
        )
    )
    print(
        f"flags | 20 null attacks, {seeds} seeds, {boards} rows | sign_flipped {corrected:.3f} (if each attack stood "
        f"alone {uncorrected:.3f}) | black_box_beats_white_box {beaten:.3f}"
    )
    error = math.sqrt(0.05 * 0.95 / boards)
    assert corrected <= 0.05 + 2 * error
    assert beaten <= 0.05 + 2 * error


def test_what_is_wrong_is_found() -> None:
    """One attack of twenty has the wrong sign; one black-box attack reads far more than the white-box ones."""
    aucs = np.full(20, 0.5)
    aucs[0] = 0.35
    sign = float(np.mean([flipped(read(board, 1, aucs, 0.9), 20) for board in range(100)]))
    aucs[0] = 0.75
    rows = [read(board, 1, aucs[[0, 15, 16]], 0.9) for board in range(100)]
    beaten = float(
        np.mean(
            [
                flags.black_box_beats_white_box(("b", row[0][1].low), ("w", max(i.high for _, i in row[1:])))
                is not None
                for row in rows
            ]
        )
    )
    print(f"flags | one of 20 has the wrong sign, AUC .35 | sign_flipped {sign:.3f}")
    print(f"flags | black box .75, white box .5 | black_box_beats_white_box {beaten:.3f}")
    assert sign >= 0.9
    assert beaten >= 0.9
