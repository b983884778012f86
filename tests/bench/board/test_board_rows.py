"""Rows of attacks and of the leaderboard, from planted scores."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from planted_board import cell, claim, controls, idle, quality, results, small, trial
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from bench.board import words
from bench.board.attack_rows import attack_rows, bootstrap_seed, joint_status, shown
from bench.board.columns import ATTACKS, LEADERBOARD, TRIALS
from bench.board.controls import null_limits
from bench.board.payload import trial_table
from bench.board.rows import Board, Row, build
from bench.errors import PluginError
from bench.metrics.headline import headline
from bench.metrics.roc import auc
from bench.results import Cell, Results
from bench.rng import generator


@pytest.fixture(scope="module")
def board() -> Board:
    return build(small())


def only(found: Results) -> Row:
    (row,) = build(found).rows
    return row


def test_columns_are_the_declared_ones_in_their_order(board: Board) -> None:
    assert all(set(row.columns()) == set(LEADERBOARD) for row in board.rows)
    assert all(set(row.columns()) == set(ATTACKS) for row in board.attacks)
    assert all(set(row) == set(TRIALS) for row in trial_table(board.results))
    assert LEADERBOARD[:8] == (
        "dataset",
        "target",
        "defense",
        "worst_attack",
        "access",
        "auc",
        "auc_low",
        "auc_high",
    )
    for columns in (LEADERBOARD, ATTACKS, TRIALS):
        assert len(set(columns)) == len(columns)


def test_an_attack_row_is_the_mean_over_seeds(board: Board) -> None:
    (row,) = [a for a in board.attacks if a.attack == "nearest_sample" and a.defense == "none"]
    each = [roc_auc_score(c.membership, c.scores) for c in row.completed]
    assert row.columns()["auc"] == pytest.approx(np.mean(each), abs=1e-12)
    assert row.columns()["seeds"] == 3
    assert row.columns()["attack_s"] == 3.0


def test_the_headline_is_the_worst_attack_and_no_control(board: Board) -> None:
    row = board.rows[0]
    assert row.columns()["worst_attack"] == "logan_white_box"
    assert row.columns()["access"] == "white_box"
    chosen = {a.attack: a.scores for a in row.attacks if a.summary is not None}
    first = row.attacks[0]
    expected, _ = headline(chosen, first.membership, first.record_ids, bootstrap_seed("digits"), 2)
    assert row.columns()["auc"] == expected.auc
    assert row.columns()["auc_white_box"] == pytest.approx(row.columns()["auc"], abs=0.02)
    assert row.columns()["auc_samples"] < row.columns()["auc"]
    assert row.columns()["auc_latent"] is None


def test_sets_are_shared_by_attacks_and_defenses(board: Board) -> None:
    scored = [a for a in board.attacks if a.summary is not None]
    (first,) = scored[0].sets
    assert all(np.array_equal(a.sets[0].set_id, first.set_id) for a in scored)
    assert first.set_id.max() + 1 == 200 // 10 + 300 // 10


def test_a_missing_seed_is_left_out_and_counted() -> None:
    cells = (cell(seed=0), cell(seed=1), idle("nearest_sample", "diverged", "loss is NaN", seed=2))
    trials = (
        trial(seed=0),
        trial(seed=1),
        trial(seed=2, status="diverged", reason="loss is NaN", quality=None),
    )
    found = only(results(trials, cells)).columns()
    assert (found["seeds"], found["diverged_runs"], found["trials"]) == (2, 1, 3)
    assert found["kid"] == pytest.approx(24.5)
    assert found["rank"] is None
    assert found["auc_seed_low"] is None
    assert "few_seeds" in found["flags"].split(";")
    assert "seed 2 diverged: loss is NaN" in found["verdict"]


def test_a_row_that_was_not_run_stays_with_its_reason_and_empty_numbers() -> None:
    none = trial(status="not_applicable", reason="no encoder", quality=None, stability=None, costs={})
    found = only(results((none,), (idle("lira", "not_applicable", "no encoder"),))).columns()
    assert found["status"] == "not_applicable"
    assert found["verdict"].startswith("Not applicable: no encoder.")
    empty = (
        "auc",
        "auc_low",
        "kid",
        "fid",
        "rank",
        "train_s",
        "quality_spread",
        "epsilon_claimed",
        "tpr_at_1pct_fpr",
    )
    assert [found[name] for name in empty] == [None] * len(empty)
    assert found["attacks_not_run"] == "lira (not_applicable)"


def test_kid_interval_is_not_narrowed_by_seeds_and_spread_needs_three() -> None:
    trials = tuple(trial(seed=s, quality=quality(20.0 + 2 * s, half_width=3.0)) for s in range(3))
    found = only(results(trials, (cell(),))).columns()
    assert (found["kid"], found["kid_low"], found["kid_high"]) == (22.0, 19.0, 25.0)
    assert found["quality_spread"] == pytest.approx(2.0)
    assert only(results(trials[:2], (cell(),))).columns()["quality_spread"] is None


def test_useless_rows_have_no_rank_and_say_so() -> None:
    trials = (
        trial(),
        trial("dead", quality=quality(305.0, half_width=6.0)),
        trial("bad", quality=quality(305.0)),
    )
    cells = (cell(shift=1.0), cell(defense="dead", shift=0.0), cell(defense="bad", shift=0.0))
    plain, dead, bad = build(results(trials, cells)).rows
    assert dead.raised("quality_gone")
    assert dead.rank is None
    assert "Private because useless" in dead.columns()["verdict"]
    assert not bad.raised("quality_gone")
    assert (plain.rank, bad.rank) == (2, 1)
    assert dead.columns()["undefended_auc"] == plain.columns()["auc"]
    assert plain.columns()["undefended_auc"] is None


def test_ranks_are_within_a_data_set() -> None:
    trials = (trial(), trial(dataset="faces"))
    cells = (cell(shift=1.0), cell(shift=0.0, dataset="faces"))
    assert [row.rank for row in build(results(trials, cells)).rows] == [1, 1]


def test_seeds_must_judge_the_same_candidates() -> None:
    whole = cell(seed=1)
    part = replace(whole, record_ids=whole.record_ids[1:], membership=whole.membership[1:], scores=whole.scores[1:])
    with pytest.raises(PluginError, match=r"same candidates of digits at every seed.*500 and 499 records"):
        attack_rows(results((trial(),), (cell(), part)))


def capped(shift: float) -> Cell:
    whole = cell("gan_leaks_partial", shift=shift, access="latent", capped=True)
    keep = np.sort(np.r_[np.flatnonzero(whole.membership)[:40], np.flatnonzero(~whole.membership)[:40]])
    return replace(
        whole, record_ids=whole.record_ids[keep], membership=whole.membership[keep], scores=whole.scores[keep]
    )


def test_a_clear_leak_on_fewer_candidates_is_the_headline() -> None:
    found = only(results((trial(),), (cell(shift=0.1), capped(4.0)))).columns()
    assert found["worst_attack"] == "gan_leaks_partial"
    assert (found["members"], found["nonmembers"]) == (40, 40)
    assert "capped" in found["flags"].split(";")


def test_a_noisy_figure_on_fewer_candidates_is_named_but_no_headline() -> None:
    found = only(results((trial(),), (cell(shift=0.5), capped(0.5)))).columns()
    assert found["worst_attack"] == "nearest_sample"
    assert found["members"] == 200
    assert "gan_leaks_partial (80 candidates, AUC" in found["verdict"]
    assert found["auc_latent"] is not None


def test_luck_on_few_candidates_seldom_makes_a_headline() -> None:
    """Nothing leaks; of three attacks on few candidates each, some reach .6, and stand beside the row."""
    replaced = 0
    for repetition in range(40):
        large = tuple(
            replace(cell(f"large {k}"), scores=generator(repetition, "large", k).normal(size=500)) for k in range(6)
        )
        small = tuple(
            replace(capped(0.0), attack=f"small {k}", scores=generator(repetition, "small", k).normal(size=80))
            for k in range(3)
        )
        row = only(results((trial(),), (*large, *small)))
        assert row.worst is not None
        replaced += row.worst.headline.members < 200
    assert replaced <= 1


def test_an_attack_that_judges_one_member_has_no_headline_and_stops_nothing() -> None:
    whole = cell("told", shift=3.0)
    keep = np.sort(np.r_[np.flatnonzero(whole.membership)[:1], np.flatnonzero(~whole.membership)[:30]])
    one = replace(
        whole, record_ids=whole.record_ids[keep], membership=whole.membership[keep], scores=whole.scores[keep]
    )
    found = only(results((trial(),), (cell(shift=0.1), one))).columns()
    assert found["worst_attack"] == "nearest_sample"
    assert "told (31 candidates, AUC" in found["verdict"]


def test_two_attacks_of_one_name_are_refused() -> None:
    """They would be averaged like two training runs."""
    with pytest.raises(PluginError, match=r"expected one cell of nearest_sample per seed .* two attacks have one name"):
        attack_rows(results((trial(),), (cell(), cell(shift=1.0))))


def test_attacks_are_compared_on_the_seeds_they_share() -> None:
    cells = (*(cell("a", seed=s) for s in range(3)), *(cell("b", seed=s, shift=2.0) for s in (0, 2)))
    row = only(results(tuple(trial(seed=s) for s in range(3)), cells))
    assert row.worst is not None
    assert row.worst.headline.seeds == 2
    assert row.worst.headline.worst_attack == "b"
    assert row.worst.apart == ()


def test_attacks_without_a_seed_in_common_are_not_compared() -> None:
    row = only(results((trial(seed=0), trial(seed=1)), (cell("a", seed=0), cell("b", seed=1, shift=3.0))))
    assert row.worst is not None
    assert row.worst.headline.worst_attack == "b"
    assert [a.attack for a in row.worst.apart] == ["a"]


def test_controls_that_read_what_they_must_raise_nothing(board: Board) -> None:
    assert board.faults == ()
    assert not any(row.raised("control_failed") or row.raised("split_distinguishable") for row in board.rows)


@pytest.mark.parametrize("broken", ["constant", "oracle", "random"])
def test_a_control_that_reads_something_else_is_a_fault(broken: str) -> None:
    leaking = cell("x", shift=0.6).scores
    cells = tuple(replace(c, scores=leaking) if c.attack == broken else c for c in controls())
    found = build(results((trial(),), (cell(), *cells)))
    assert found.rows[0].raised("control_failed")
    assert len(found.faults) == 1
    assert f"{broken}: expected" in found.faults[0]


def test_a_blind_classifier_above_chance_is_the_split_and_not_a_fault() -> None:
    cells = tuple(replace(c, diagnostics={"permutation_p": 0.0005}) if c.attack == "blind" else c for c in controls())
    found = build(results((trial(), trial("dropout")), (cell(), *cells)))
    assert [row.raised("split_distinguishable") for row in found.rows] == [True, True]
    assert found.faults == ()


def test_null_limits_hold_what_chance_does() -> None:
    low, high = null_limits(30, 60)
    rng = np.random.Generator(np.random.PCG64(5))
    member = np.arange(90) < 30
    drawn = np.array([auc(rng.normal(size=90), member) for _ in range(4000)])
    assert np.mean((drawn < low) | (drawn > high)) < 0.003
    assert (high - low) / 2 == pytest.approx(norm.ppf(0.9995) * drawn.std(), rel=0.05)
    assert math.isclose(low + high, 1.0)


def test_flags_of_the_whole_row() -> None:
    trials = (trial(), trial("dropout", artifacts={"sample": "sample-none-0"}, adaptive=("mc_dropout",)))
    cells = (
        cell("weak", access="white_box", shift=0.0),
        cell("strong", shift=2.0, tuned_on_labels=True),
        cell("flipped", shift=-1.0),
        replace(cell("weak", access="white_box", shift=0.0), defense="dropout"),
    )
    plain, dropout = build(results(trials, cells)).rows
    assert {f.name for f in plain.flags} == {
        "sign_flipped", "black_box_beats_white_box", "few_seeds", "underpowered", "tuned_on_labels",
    }  # fmt: skip
    assert dropout.raised("defense_inert")
    assert dropout.raised("not_adaptive")
    ran = (*cells, cell("mc_dropout", "dropout", adaptive=True))
    assert not build(results(trials, ran)).rows[1].raised("not_adaptive")


def test_claims() -> None:
    trials = (trial("dp", 0, claim=claim(8.0)), trial("dp", 1, claim=claim(8.5)))
    found = only(results(trials, (cell(defense="dp"),))).columns()
    assert (found["epsilon_claimed"], found["delta"], found["claim_unit"]) == (8.5, 1e-4, "record")
    assert "epsilon 8.5 at delta 0.0001 per record" in found["verdict"]
    void = (trials[0], trial("dp", 1, claim=claim(None, "early stopping read members")))
    found = only(results(void, (cell(defense="dp"),))).columns()
    assert found["epsilon_claimed"] is None
    assert found["claim_void_reason"] == "early stopping read members"
    assert "No privacy claim: early stopping read members." in found["verdict"]


def test_an_epsilon_of_clients_stands_beside_its_unit() -> None:
    of_clients = claim(0.7).model_copy(update={"unit": "client"})
    row = only(results((trial("fed", 0, claim=of_clients),), (cell(defense="fed"),)))
    assert (words.epsilon(row), words.delta(row)) == ("0.7", "at delta 0.0001, per client")
    assert trial_table(row_results(row))[0]["claim_unit"] == "client"


def row_results(row: Row) -> Results:
    return results(row.trials, tuple(c for attack in row.attacks for c in attack.cells))


@pytest.mark.parametrize(
    ("right", "said"),
    [(0.9, "Leaks who holds a record: wb names the part of"), (0.5, "Who holds a record is not told from chance: wb")],
)
def test_the_verdict_reads_the_named_parts(right: float, said: str) -> None:
    found = cell("wb", "parts")
    members = np.flatnonzero(found.membership)
    part = np.full(len(found.membership), -1)
    part[members] = np.arange(len(members)) % 2
    named = part.copy()
    wrong = members[round(right * len(members)) :]
    named[wrong] = 1 - named[wrong]
    row = only(
        results((trial("parts", 0, caveats=("Mind the gap.",)),), (replace(found, part=part, named_part=named),))
    )
    text = row.columns()["verdict"]
    assert said in text
    assert "2 parts, the largest holds 0.5" in text
    assert text.endswith("Mind the gap.")
    one = replace(found, part=np.where(part < 0, -1, 0), named_part=np.zeros_like(part))
    assert "names the part" not in only(results((trial("parts", 0),), (one,))).columns()["verdict"]


def test_shown_is_the_wider_interval() -> None:
    assert shown(0.4, 0.6, None, None) == (0.4, 0.6, "records")
    assert shown(0.4, 0.6, 0.45, 0.55).over == "records"
    assert shown(0.4, 0.6, 0.3, 0.7) == (0.3, 0.7, "training runs")


def test_joint_status() -> None:
    assert joint_status([("completed", 0, ""), ("completed", 1, "")]) == ("completed", "")
    assert joint_status([("blocked", 0, "x"), ("blocked", 1, "x")]) == ("blocked", "x")
    status, reason = joint_status([("failed", 0, "boom"), ("diverged", 1, ""), ("failed", 2, "boom")])
    assert (status, reason) == ("diverged", "seed 0, 2 failed: boom; seed 1 diverged")


def test_verdict_names_interval_kind_and_power(board: Board) -> None:
    row = board.rows[0]
    said = row.columns()["verdict"]
    assert row.interval is not None
    assert f"95 % over {row.interval.over}: {row.interval.low:.3f} to {row.interval.high:.3f}; 3 runs" in said
    assert f"tell {row.columns()['smallest_detectable_auc']:.3f} or more from chance" in said
    assert "Not run, not applicable: reconstruction." in said
    assert said.startswith("Leaks:")
    assert "\n" not in said
    quiet = only(results((trial(),), (cell(shift=0.0),))).columns()["verdict"]
    assert quiet.startswith("No leak of membership told from chance, which proves none:")


def test_collapsed_runs_are_empty_where_nothing_told() -> None:
    assert only(results((trial(quality=None),), (cell(),))).columns()["collapsed_runs"] is None
    gone = trial(quality=quality(24.0, mode_count=2))
    assert only(results((gone,), (cell(),))).columns()["collapsed_runs"] == 1


def test_a_control_target_has_no_rank_and_says_what_it_is() -> None:
    plain = small()
    judged = build(plain)
    name = next(row.target for row in judged.rows if row.rank is not None)
    marked = tuple(replace(t, control=True) if t.target == name else t for t in plain.trials)
    found = build(replace(plain, trials=marked))
    controls_ = [row for row in found.rows if row.target == name]
    assert controls_
    assert all(row.rank is None for row in controls_)
    assert all(row.columns()["verdict"].startswith("A control of the instrument, not a model.") for row in controls_)
