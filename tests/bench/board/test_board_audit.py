"""The audit of rows: levels, exclusions, and what a claim is told."""

from __future__ import annotations

from typing import Any

import numpy as np
import planted_board as planted
import pytest

from bench.board import flags
from bench.board.markdown import leaderboard_markdown
from bench.board.rows import Board, Row, build
from bench.metrics.epsilon_estimate import choose_cut, estimate_at, largest_estimate
from bench.metrics.headline import halves
from bench.metrics.one_run import largest_one_run_bound, one_run_bound
from bench.results import Cell, PrivacyClaim, Trial
from bench.rng import derive_seed

SEED = derive_seed(0, "audit", "digits")


def claim(epsilon: float | None, delta: float = 1e-5, **changed: Any) -> PrivacyClaim:
    return planted.claim(epsilon, "" if epsilon is not None else "void here").model_copy(
        update={"delta": delta, **changed}
    )


def board(trials: list[Trial], cells: list[Cell], membership: str = "coin") -> Board:
    return build(planted.results(tuple(trials), tuple(cells), membership={"digits": membership}))


def single(shift: float, epsilon: float | None, membership: str = "coin", **changed: Any) -> Row:
    """One row with one attack and one run."""
    trials, cells = [planted.trial("dp", claim=claim(epsilon, **changed))], [planted.cell(defense="dp", shift=shift)]
    return board(trials, cells, membership).rows[0]


NOTHING_CERTIFIES = "epsilon 1 is claimed, and no attack of this run can certify anything."


def flag_seen(row: Row, name: str) -> str:
    """What raised the flag, or nothing."""
    return next((flag.seen for flag in row.flags if flag.name == name), "")


def own_bound(cell: Cell, alpha: float, delta: float = 1e-5) -> float:
    return one_run_bound(cell.scores, cell.membership, cell.record_ids, delta, alpha, SEED)


def test_a_bound_above_the_claim_is_a_violation() -> None:
    row, cell = single(6.0, 1.0), planted.cell(defense="dp", shift=6.0)
    assert row.audit is not None
    assert row.audit.lower_bound == own_bound(cell, 0.05) > 1
    assert row.audit.detectable == largest_one_run_bound(500, 1e-5, 0.05)
    assert row.raised("dp_violation")
    assert not row.raised("claim_out_of_reach")
    columns = row.columns()
    assert columns["epsilon_lower_bound"] == row.audit.lower_bound
    assert (columns["epsilon_attack"], columns["audit_delta"], columns["membership"]) == (
        "nearest_sample",
        1e-5,
        "coin",
    )
    assert "the audit refutes the claim: epsilon is at least" in columns["verdict"]
    assert columns["flags"].split(";")[0] == "dp_violation"


def test_a_board_lists_its_violations() -> None:
    trials = [planted.trial("dp", claim=claim(1.0)), planted.trial("honest", claim=claim(1.0)), planted.trial()]
    cells = [planted.cell(defense="dp", shift=6.0), planted.cell(defense="honest", shift=0.0), planted.cell(shift=6.0)]
    made = board(trials, cells)
    (line,) = made.violations
    assert line.startswith("digits / dcgan / dp: nearest_sample: epsilon is at least ")
    assert line.endswith("at delta 1e-05, and 1 is claimed.")
    assert made.rows[2].audit is not None
    assert (made.rows[2].audit.lower_bound or 0) > 1  # the undefended row leaks, and claims nothing


def test_no_leak_refutes_nothing() -> None:
    row = single(0.0, 1.0)
    assert row.audit is not None
    assert row.audit.lower_bound == 0.0
    assert not row.raised("dp_violation")
    verdict = row.columns()["verdict"]
    assert (
        "the audit does not refute the claim: epsilon is at least 0 (certified at 95 %); this run could have" in verdict
    )


def test_a_fixed_split_certifies_nothing_whatever_leaks() -> None:
    row = single(6.0, 1.0, "fixed")
    assert row.audit is not None
    assert row.audit.lower_bound is None
    assert (row.audit.estimate or 0) > 1
    assert row.audit.detectable == largest_estimate(100, 150, 1e-5, 0.05)
    assert not row.raised("dp_violation")
    verdict = row.columns()["verdict"]
    assert "membership is fixed, so nothing is certified for or against it. As an indication, which refutes" in verdict


def test_the_level_is_shared_by_attacks_seeds_and_claims() -> None:
    trials = [planted.trial(d, seed, claim=claim(e)) for d, e in (("a", 8.0), ("b", 4.0)) for seed in range(3)]
    cells = [planted.cell(name, d, seed, 2.0) for name in ("one", "two") for d in ("a", "b") for seed in range(3)]
    made = board(trials, cells)
    for attack in made.attacks:
        bounds = [own_bound(cell, 0.05 / (2 * 3 * 2)) for cell in attack.completed]
        assert attack.audit is not None
        assert attack.audit.lower_bound == max(bounds) > 0
        assert attack.audit.detectable == largest_one_run_bound(500, 1e-5, 0.05 / 12)
        assert attack.columns()["epsilon_lower_bound"] == max(bounds)
    for row in made.rows:
        assert row.audit is not None
        assert row.audit.lower_bound == max(a.audit.lower_bound or 0 for a in row.attacks if a.audit)


def test_what_the_matrix_asks_for_is_paid_for_whatever_became_of_it() -> None:
    """A run that failed may have failed for what it showed, and one that is still to be done is a look to come."""
    cells = [planted.cell("a", "dp", shift=3.0), planted.idle("a", "missing", "later", "dp", seed=1)]
    for status in ("failed", "diverged", "missing", "blocked"):
        trials = [planted.trial("dp", claim=claim(8.0)), planted.trial("dp", 1, status=status)]
        row = board(trials, cells).rows[0]
        assert row.audit is not None
        assert row.audit.detectable == largest_one_run_bound(500, 1e-5, 0.05 / 2)
        assert row.audit.lower_bound == own_bound(cells[0], 0.05 / 2)
    never = [planted.trial("dp", claim=claim(8.0)), planted.trial("dp", 1, status="not_applicable")]
    row = board(never, cells[:1]).rows[0]
    assert row.audit is not None
    assert row.audit.detectable == largest_one_run_bound(500, 1e-5, 0.05)
    # A row that has nothing to show yet may still claim.
    later = [planted.trial("dp", claim=claim(8.0)), planted.trial("other", status="missing"), planted.trial("none")]
    row = board(later, [planted.cell("a", "dp", shift=3.0)]).rows[0]
    assert row.audit is not None
    assert row.audit.detectable == largest_one_run_bound(500, 1e-5, 0.05 / 2)


def test_who_saw_a_coin_certifies_nothing_and_costs_nothing() -> None:
    shifted: dict[str, Any] = {"defense": "dp", "shift": 6.0}
    cells = [
        planted.cell("fair", defense="dp", shift=1.0),
        planted.cell("told", knowledge="labelled", known=20, **shifted),
        planted.cell("tuned", tuned_on_labels=True, **shifted),
        planted.cell("all_knowing", knowledge="labels", **shifted),
        planted.cell("a_control", control=True, **shifted),
        planted.idle("absent", "failed", "why", "dp"),
    ]
    made = board([planted.trial("dp", claim=claim(8.0))], cells)
    audits = {row.attack: row.audit for row in made.attacks}
    assert audits["fair"] is not None
    assert audits["fair"].lower_bound == own_bound(cells[0], 0.05 / 2)  # the absent one is charged for, the others not
    assert audits["told"] is not None
    assert audits["told"].lower_bound is None
    assert audits["told"].detectable is None
    assert (audits["told"].estimate or 0) > 1  # it is not told of those that it judges
    assert all(audits[name] is None for name in ("tuned", "all_knowing", "a_control", "absent"))
    row = made.rows[0]
    assert row.audit is not None
    assert row.audit.lower_bound == audits["fair"].lower_bound


def test_where_every_attack_was_told_of_members_the_row_says_so() -> None:
    cells = [planted.cell("told", "dp", shift=6.0, knowledge="labelled", known=20)]
    row = board([planted.trial("dp", claim=claim(1.0))], cells).rows[0]
    assert row.audit is not None
    assert (row.audit.lower_bound, row.audit.detectable, row.audit.attack) == (None, None, "told")
    assert not row.raised("dp_violation")
    assert "every attack of this run was told of members" in row.columns()["verdict"]
    assert NOTHING_CERTIFIES in flag_seen(row, "underpowered")
    assert NOTHING_CERTIFIES not in flag_seen(single(0.0, 1.0), "underpowered")


def test_without_an_attack_nothing_tests_the_claim() -> None:
    row = board([planted.trial("dp", claim=claim(1.0))], [planted.idle("a", "failed", "why", "dp")]).rows[0]
    assert row.audit is None
    assert "no attack of this run tests the claim" in row.columns()["verdict"]
    assert NOTHING_CERTIFIES in flag_seen(row, "underpowered")
    fixed = board([planted.trial("dp", claim=claim(1.0))], [planted.idle("a", "failed", "why", "dp")], "fixed").rows[0]
    assert not fixed.raised("underpowered")
    assert {row.columns()[name] for name in ("epsilon_lower_bound", "epsilon_detectable", "audit_delta")} == {None}


def test_a_claim_for_clients_is_not_audited_by_records() -> None:
    row = single(6.0, 1.0, unit="client")
    assert row.audit is None
    assert not row.raised("dp_violation")
    assert "which do not test a claim per client" in row.columns()["verdict"]


def test_a_void_claim_is_no_claim() -> None:
    row = single(6.0, None, delta=0.1)
    assert row.audit is not None
    assert row.audit.delta == 1e-5
    assert (row.audit.lower_bound or 0) > 1
    assert not row.raised("dp_violation")
    # Neither it nor a claim for clients is charged for.
    trials = [
        planted.trial("dp", claim=claim(1.0)),
        planted.trial("void", claim=claim(None)),
        planted.trial("clients", claim=claim(1.0, unit="client")),
    ]
    cell = planted.cell(defense="dp", shift=3.0)
    rows = board(trials, [cell, planted.cell(defense="void"), planted.cell(defense="clients")]).rows
    assert rows[0].audit is not None
    assert rows[0].audit.lower_bound == own_bound(cell, 0.05)


def test_delta_is_the_rows_own_or_the_largest_of_its_data_set() -> None:
    trials = [
        planted.trial("a", claim=claim(8.0, 1e-6)),
        planted.trial("b", claim=claim(8.0, 1e-4)),
        planted.trial(),
        planted.trial(dataset="other"),
    ]
    cells = [planted.cell(defense=d, shift=2.0) for d in ("a", "b", "none")] + [planted.cell(dataset="other")]
    rows = build(planted.results(tuple(trials), tuple(cells), membership={"digits": "coin", "other": "coin"})).rows
    assert [row.audit.delta for row in rows if row.audit] == [1e-6, 1e-4, 1e-4, 1e-5]
    assert rows[1].audit is not None
    assert rows[1].audit.lower_bound == own_bound(cells[1], 0.05 / 2, 1e-4)


def test_a_claim_beyond_what_the_run_could_show_is_underpowered() -> None:
    row = single(0.5, 8.0)
    seen = {flag.name: flag.seen for flag in row.flags}
    assert "epsilon 8 is claimed, and this run could show 4.68 at most." in seen["underpowered"]
    assert "not even 4.68, the most that this run could have shown, would have refuted it" in row.columns()["verdict"]
    assert "is claimed" not in {flag.name: flag.seen for flag in single(0.5, 4.0).flags}["underpowered"]


def test_a_capped_attack_is_audited_on_the_coins_that_it_judged() -> None:
    whole, part = planted.cell("whole", "dp", shift=6.0), planted.cell("part", "dp", shift=6.0)
    keep = np.arange(500) % 5 == 0
    part = planted.cell(
        "part", "dp", shift=6.0, capped=True,
        record_ids=part.record_ids[keep], membership=part.membership[keep], scores=part.scores[keep],
    )  # fmt: skip
    audits = {a.attack: a.audit for a in board([planted.trial("dp", claim=claim(8.0))], [whole, part]).attacks}
    assert audits["part"] is not None
    assert audits["part"].lower_bound == own_bound(part, 0.05 / 2)
    assert audits["part"].detectable == largest_one_run_bound(100, 1e-5, 0.05 / 2)


def test_the_estimate_is_chosen_on_one_half_and_measured_on_the_other() -> None:
    cells = [planted.cell(name, "dp", seed, shift) for name, shift in (("weak", 0.5), ("good", 2.5)) for seed in (0, 1)]
    trials = [planted.trial("dp", seed, claim=claim(8.0)) for seed in (0, 1)]
    first = halves(cells[0].record_ids, cells[0].membership, SEED)

    def cut_of(cell: Cell) -> Any:
        return choose_cut(cell.scores[first], cell.membership[first], 1e-5, 0.05)

    def measured(cell: Cell) -> float:
        return estimate_at(cut_of(cell), cell.scores[~first], cell.membership[~first], 1e-5, 0.05)

    best = max(cells, key=lambda cell: cut_of(cell).promise)
    row = board(trials, cells, "fixed").rows[0]
    assert row.audit is not None
    assert row.audit.estimate == measured(best) > 0
    assert row.audit.attack == best.attack == "good"
    # What the measured half says has no say in the choice.
    swapped = np.where(first, cells[0].scores, 100.0 * cells[0].membership)
    tempting = [planted.cell("weak", "dp", 0, scores=swapped), *cells[1:]]
    again = board(trials, tempting, "fixed").rows[0]
    assert again.audit == row.audit


def test_too_few_records_have_no_estimate() -> None:
    few: dict[str, Any] = {
        "record_ids": np.arange(4), "membership": np.array([True, True, False, False]), "scores": np.arange(4.0)[::-1],
    }  # fmt: skip
    row = board([planted.trial("dp", claim=claim(8.0))], [planted.cell(defense="dp", **few)], "fixed").rows[0]
    assert row.audit is not None
    assert row.audit.estimate is not None  # one of each to choose on, one of each to measure on
    three = {**few, "record_ids": np.arange(3), "membership": few["membership"][1:], "scores": np.arange(3.0)}
    row = board([planted.trial("dp", claim=claim(8.0))], [planted.cell(defense="dp", **three)], "fixed").rows[0]
    assert row.audit is not None
    assert (row.audit.estimate, row.audit.detectable, row.audit.attack) == (None, None, None)


@pytest.mark.parametrize(
    ("raised", "quiet"),
    [
        (flags.dp_violation(1.0, 1.1, 1e-5, "a"), flags.dp_violation(1.0, 1.0, 1e-5, "a")),
        (flags.dp_violation(1.0, 1.1, 1e-5, "a"), flags.dp_violation(None, 5.0, 1e-5, "a")),
        (flags.dp_violation(1.0, 1.1, 1e-5, "a"), flags.dp_violation(1.0, None, 1e-5, None)),
        (flags.claim_out_of_reach(8.0, 5.7), flags.claim_out_of_reach(5.7, 5.7)),
        (flags.claim_out_of_reach(8.0, 5.7), flags.claim_out_of_reach(None, 5.7)),
        (flags.claim_out_of_reach(8.0, 5.7), flags.claim_out_of_reach(8.0, None)),
    ],
)
def test_flags_of_claims(raised: flags.Flag | None, quiet: flags.Flag | None) -> None:
    assert quiet is None
    assert raised is not None
    assert flags.EXPLANATIONS[raised.name] in str(raised)


def test_markdown_shows_the_certified_bound_where_coins_decided() -> None:
    trials, cells = [planted.trial("dp", claim=claim(1.0))], [planted.cell(defense="dp", shift=6.0)]
    coin, fixed = (board(trials, cells, membership=how) for how in ("coin", "fixed"))
    bound = coin.rows[0].columns()["epsilon_lower_bound"]
    assert f"1 at delta 1e-05, per record at least {bound:.3g}, certified" in leaderboard_markdown(coin)
    assert "certified |" not in leaderboard_markdown(fixed)


def test_an_estimate_of_zero_is_put_in_words() -> None:
    row = single(0.0, 1.0, "fixed")
    assert row.audit is not None
    assert row.audit.estimate == 0.0
    assert "No attack indicates an epsilon above 0, which proves none." in row.columns()["verdict"]
