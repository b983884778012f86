"""Better, worse, same, not comparable, missing and new, and the exit codes that follow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from planted_comparison import HOLDOUT, Planted, Row, board, changed, entry, write

from bench.compare.findings import Comparison, Finding
from bench.compare.run import compare_boards
from bench.errors import InputError, MissingError
from bench.published.read import read_published

ROWS = {"none": Row(0.9, 1000), "dropout": Row(0.55, 2000)}
ONE = ("logan_white_box", "nearest_sample")


def make(rows: dict[str, Row] = ROWS, draw: int = 0, seeds: int = 2, **kinds: Any) -> Planted:
    return changed(board(rows, range(seeds), draw, members=60, nonmembers=100, attacks=ONE, **kinds))


BASE = make()


def found(comparison: Comparison, figure: str, defense: str = "dropout") -> Finding:
    (one,) = [f for f in comparison.findings if f.figure == figure and f.row.defense == defense]
    return one


def test_an_unchanged_defense_passes() -> None:
    comparison = compare_boards(BASE, make(draw=1))
    assert comparison.exit_code == 0
    assert {f.status for f in comparison.findings} == {"same"}
    assert {f.figure for f in comparison.findings} == {"auc", "kid", "diverged_runs", "collapsed_runs"}


def test_the_same_board_is_the_same_to_the_last_bit() -> None:
    comparison = compare_boards(BASE, BASE)
    assert comparison.exit_code == 0
    assert found(comparison, "auc").evidence.identical  # type: ignore[union-attr]
    assert found(comparison, "auc").detectable == found(comparison, "auc").limit


def test_a_broken_defense_is_worse_and_a_mended_one_better() -> None:
    broken = make({**ROWS, "dropout": Row(0.94, 2000)}, draw=1)
    worse, better = compare_boards(BASE, broken), compare_boards(broken, BASE)
    assert (worse.exit_code, found(worse, "auc").status) == (1, "worse")
    assert (better.exit_code, found(better, "auc").status) == (0, "better")
    assert found(worse, "auc").p < 0.01  # type: ignore[operator]
    assert worse.findings[0].status == "worse", "the gravest first"
    assert [shift.name for shift in found(worse, "auc").attacks] == list(ONE)


def test_worse_samples_are_worse() -> None:
    assert found(compare_boards(BASE, make({**ROWS, "dropout": Row(0.55, 12000)}, draw=1)), "kid").status == "worse"


def test_what_is_allowed_is_no_regression() -> None:
    broken = make({**ROWS, "dropout": Row(0.94, 2000)}, draw=1)
    assert found(compare_boards(BASE, broken, ["auc:+0.5"]), "auc").status == "same"


def test_higher_is_better_for_coverage() -> None:
    lost = make(draw=1)
    for seed, value in ((0, 0.01), (1, 0.011)):
        entry(lost, "trials", defense="dropout", seed=seed)["coverage"] = value
    assert found(compare_boards(BASE, lost, ["coverage:-5%"]), "coverage").status == "worse"
    assert found(compare_boards(lost, BASE, ["coverage:-5%"]), "coverage").status == "better"


def test_an_access_level_is_a_gate_of_its_own() -> None:
    """The samples alone tell far more than they did; the worst attack, on the networks, as much as before."""
    leaky = make(draw=1)
    files = dict(leaky.files)
    for seed in (0, 1):
        name = f"scores/none-nearest_sample-{seed}.npz"
        files[name] = {**files[name], "score": files[name]["score"] + 0.9 * files[name]["membership"]}
    new = Planted(leaky.folder, leaky.payload, files)
    comparison = compare_boards(BASE, new, ["auc:+0.02,auc_samples:+0.02"])
    assert found(comparison, "auc", "none").status == "same"
    assert found(comparison, "auc_samples", "none").status == "worse"


def test_rows_that_are_gone_and_rows_that_are_new() -> None:
    comparison = compare_boards(BASE, make({"none": ROWS["none"], "fresh": Row()}, draw=1))
    assert (found(comparison, "status").status, found(comparison, "status", "fresh").status) == ("missing", "new")
    assert comparison.exit_code == 3
    assert compare_boards(make({"none": ROWS["none"]}), make(draw=1)).exit_code == 0, "a new row alone fails nothing"


def test_a_regression_wins_over_a_missing_row() -> None:
    comparison = compare_boards(BASE, make({"none": Row(0.55, 90000)}, draw=1))
    assert comparison.exit_code == 1


def test_nothing_in_common_is_no_pass() -> None:
    assert compare_boards(make({"a": Row()}), make({"b": Row()}), ["auc:+0"]).exit_code == 3
    assert compare_boards(make({}), make({})).exit_code == 3


Change = Callable[[Planted], None]


def setting(name: str, value: Any) -> Change:
    return lambda new: new.payload["settings"].__setitem__(name, value)


def stamp(name: str) -> Change:
    return lambda new: new.payload["stamp"]["packages"].__setitem__(name, "9.9")


def in_trials(name: str, value: Any) -> Change:
    def change(new: Planted) -> None:
        for each in new.payload["trials"]:
            each[name] = value

    return change


def spec(kind: str, name: str) -> Change:
    return lambda new: new.payload["settings"]["configurations"][kind][name][0].__setitem__("width", 3)


def fault(line: str) -> Change:
    return lambda new: new.payload["faults"].append(line)


@pytest.mark.parametrize(
    ("change", "figure", "said"),
    [
        (stamp("torch"), "auc", "torch 1.0 in BASE, 9.9 in NEW"),
        (lambda new: new.payload["stamp"].__setitem__("leakboard", "0.2.0"), "kid", "leakboard 0.1.0 in BASE, 0.2.0"),
        (lambda new: new.payload["stamp"].pop("packages"), "auc", "not in the stamp"),
        (setting("samples", 99), "auc", "number of generated samples 2000 in BASE, 99 in NEW"),
        (setting("resamples", 99), "auc", "number of bootstrap resamples 1000 in BASE, 99 in NEW"),
        (setting("device", "cuda"), "auc", "device cpu in BASE, cuda in NEW"),
        (setting("precision", "bfloat16"), "kid", "arithmetic float32 in BASE, bfloat16 in NEW"),
        (lambda new: new.payload["datasets"]["digits"].__setitem__("fingerprint", "cd"), "kid", "fingerprints differ"),
        (spec("targets", "dcgan"), "kid", "target dcgan is configured otherwise: width not given in BASE, 3 in NEW"),
        (spec("attacks", "nearest_sample"), "auc of nearest_sample", "configured otherwise: width"),
        (in_trials("extractor", "other"), "kid", "measured with extractor pca in BASE, other in NEW"),
        (in_trials("n", 500), "kid", "measured with n 1500 in BASE, 500 in NEW"),
        (in_trials("k", 3), "kid", "measured with k 5 in BASE, 3 in NEW"),
        (lambda new: entry(new, "leaderboard", defense="dropout").update(membership="coin"), "auc", "coin in NEW"),
        (fault("digits / dcgan / dropout: oracle: read .9"), "auc", "oracle: read .9"),
        (fault("something is wrong"), "kid", "something is wrong"),
    ],
)  # fmt: skip
def test_other_conditions_are_never_compared(change: Change, figure: str, said: str) -> None:
    new = make(draw=1)
    change(new)
    comparison = compare_boards(BASE, new)
    assert found(comparison, figure).status == "not comparable"
    assert said in found(comparison, figure).reason
    assert comparison.exit_code == 3


def test_a_fault_of_one_row_is_its_own() -> None:
    new = make(draw=1)
    new.payload["faults"].append("digits / dcgan / dropout: oracle: read .9")
    assert found(compare_boards(BASE, new), "auc", "none").status == "same"


def test_versions_can_be_crossed_and_it_is_said() -> None:
    new = make(draw=1)
    stamp("torch")(new)
    comparison = compare_boards(BASE, new, across_versions=True)
    assert comparison.exit_code == 0
    assert "ACROSS VERSIONS" in comparison.notes[0]
    assert "torch 1.0 in BASE, 9.9 in NEW" in comparison.notes[0]


def with_scores(new: Planted, **arrays: Any) -> Planted:
    """The board with other arrays in every cell of nearest_sample."""
    files = {
        name: {**each, **arrays} if "nearest" in name and "dropout" in name else each
        for name, each in new.files.items()
    }
    return Planted(new.folder, new.payload, files)


def test_other_candidates_and_other_members_are_not_compared() -> None:
    new = make(draw=1)
    ids, membership = (new.files["scores/dropout-nearest_sample-0.npz"][name] for name in ("record_id", "membership"))
    for arrays, said in (({"record_id": ids + 1}, "other candidates"), ({"membership": ~membership}, "are members")):
        finding = found(compare_boards(BASE, with_scores(new, **arrays)), "auc of nearest_sample")
        assert finding.status == "not comparable"
        assert said in finding.reason


def test_the_order_of_candidates_is_of_no_concern() -> None:
    new = make(draw=1)
    turned = {name: {key: value[::-1] for key, value in each.items()} for name, each in new.files.items()}
    straight = found(compare_boards(BASE, new), "auc")
    assert found(compare_boards(BASE, Planted(new.folder, new.payload, turned)), "auc").new == straight.new


def test_damaged_scores_are_an_error() -> None:
    with pytest.raises(InputError, match=r"expected record_id .* of one shape"):
        compare_boards(BASE, with_scores(make(draw=1), score=np.zeros(3)))
    with pytest.raises(InputError, match="parts of a board"):
        compare_boards(BASE, Planted(BASE.folder, {"format": 2}, {}))


def test_other_records_in_a_split_are_other_data(tmp_path: Any) -> None:
    sides = []
    for side, ids in (("a", [1, 2]), ("b", [2, 1]), ("c", [1, 3]), ("d", [0.5, 1.5])):
        given = make(draw=len(sides))
        given.payload["datasets"]["digits"]["splits"]["holdout"]["records"] = 2
        files = {**given.files, HOLDOUT: {"indices": np.array(ids)}}
        write(Planted(given.folder, given.payload, files), tmp_path / side)
        sides.append(read_published(tmp_path / side))
    with pytest.raises(InputError, match=r"holdout.npz: expected the array indices"):
        compare_boards(sides[0], sides[3])
    assert compare_boards(sides[0], sides[1]).exit_code == 0
    assert "the holdout are other records" in found(compare_boards(sides[0], sides[2]), "kid").reason


@pytest.mark.parametrize(
    ("had", "has", "status"),
    [
        ("completed", "diverged", "worse"),
        ("completed", "failed", "worse"),
        ("completed", "missing", "missing"),
        ("completed", "not_applicable", "missing"),
        ("diverged", "completed", "new"),
        ("diverged", "diverged", "same"),
        ("not_applicable", "not_applicable", "same"),
        ("failed", "failed", "not comparable"),
        ("not_applicable", "failed", "not comparable"),
    ],
)
def test_rows_that_were_not_completed(had: str, has: str, status: str) -> None:
    base, new = make(), make(draw=1)
    for side, value in ((base, had), (new, has)):
        entry(side, "leaderboard", defense="dropout")["status"] = value
    assert found(compare_boards(base, new), "status").status == status


def test_a_run_that_failed_is_missing_and_one_that_diverged_is_worse() -> None:
    failed, diverged = make(draw=1), make(draw=1)
    entry(failed, "trials", defense="dropout", seed=1).update(status="failed", reason="out of memory")
    comparison = compare_boards(BASE, failed)
    assert (found(comparison, "status").status, comparison.exit_code) == ("missing", 3)
    assert "seed 1 failed: out of memory" in found(comparison, "status").reason
    entry(diverged, "trials", defense="dropout", seed=1).update(status="diverged")
    entry(diverged, "leaderboard", defense="dropout")["diverged_runs"] = 1
    comparison = compare_boards(BASE, diverged)
    assert found(comparison, "diverged_runs").status == "worse"
    assert found(compare_boards(BASE, diverged, ["diverged_runs:+1"]), "diverged_runs").status == "same"


def test_an_attack_that_is_gone_is_missing_and_a_new_one_is_new() -> None:
    new = make(draw=1)
    cells = entry(new, "attacks", defense="dropout", attack="nearest_sample")
    cells["cells"][1].update(status="failed", reason="killed")
    comparison = compare_boards(BASE, new)
    assert (found(comparison, "auc of nearest_sample").status, comparison.exit_code) == ("missing", 3)
    assert "seed 1 failed (killed)" in found(comparison, "auc of nearest_sample").reason
    assert len(found(comparison, "auc").evidence.new_runs) == 1  # type: ignore[union-attr]
    cells["cells"][0].update(status="failed", reason="killed")
    cells.update(status="failed", reason="killed")
    assert "failed (killed) in NEW" in found(compare_boards(BASE, new), "auc of nearest_sample").reason
    assert found(compare_boards(new, BASE), "auc of nearest_sample").status == "new"
    assert compare_boards(BASE, new, ["auc_white_box:+0.02"]).exit_code == 0, "nothing asked rests on it"


def test_what_nobody_measures_is_missing_when_it_is_asked_for() -> None:
    comparison = compare_boards(BASE, make(draw=1), ["utility:-5%"])
    assert (comparison.exit_code, comparison.findings[0].status) == (3, "missing")


def test_a_claim_that_is_gone_is_worse() -> None:
    base, new = make(), make(draw=1)
    claim = {"delta": 1e-4, "claim_unit": "record", "claim_adjacency": "add/remove", "claim_accountant": "prv"}
    entry(base, "leaderboard", defense="dropout").update(epsilon_claimed=8.0, **claim)
    theirs = entry(new, "leaderboard", defense="dropout")
    for changed_to, status in (
        ({"epsilon_claimed": 8.0, **claim}, "same"),
        ({"epsilon_claimed": 9.0, **claim}, "worse"),
        ({"epsilon_claimed": 2.0, **claim}, "better"),
        ({"epsilon_claimed": 8.0, **claim, "delta": 1e-5}, "not comparable"),
        ({"epsilon_claimed": None, "claim_void_reason": "noise is off"}, "worse"),
    ):
        theirs.update(changed_to)
        assert found(compare_boards(base, new, ["epsilon_claimed:+0"]), "epsilon_claimed").status == status


def test_one_run_each_is_said() -> None:
    comparison = compare_boards(make(seeds=1), make(draw=1, seeds=1))
    assert any(note.startswith("One training run each in 4 of 4 comparisons") for note in comparison.notes)
    assert compare_boards(make(seeds=1), make(draw=1)).notes == ()


def test_a_defense_that_is_configured_otherwise_is_said() -> None:
    new = make(draw=1)
    spec("defenses", "dropout")(new)
    comparison = compare_boards(BASE, new)
    assert comparison.exit_code == 0
    assert (
        "dropout is configured otherwise than dropout in BASE: width not given in BASE, 3 in NEW" in comparison.notes[0]
    )


def test_scores_that_are_not_there(tmp_path: Any) -> None:
    from bench.published.open import open_results

    folder = write(make(draw=1), tmp_path / "new")
    next(folder.glob("scores/*nearest*")).unlink()
    with open_results(folder) as new, pytest.raises(MissingError, match=r"nearest_sample.*npz"):
        compare_boards(BASE, new)
