"""Each flag is raised by what it names, and is quiet otherwise."""

from __future__ import annotations

import pytest
from scipy.stats import norm

from bench.board import flags


@pytest.mark.parametrize(
    ("raised", "quiet"),
    [
        (flags.sign_flipped("a", 0.41, 0.45), flags.sign_flipped("a", 0.48, 0.5)),
        (flags.sign_flipped("a", 0.41, 0.45, chance=0.42), flags.sign_flipped("a", 0.41, 0.45, chance=0.41)),
        (flags.sign_flipped("a", 0.41, 0.45, 20), flags.sign_flipped("a", 0.45, 0.49, 20)),
        (
            flags.black_box_beats_white_box(("b", 0.61), ("w", 0.6)),
            flags.black_box_beats_white_box(("b", 0.6), ("w", 0.6)),
        ),
        (flags.split_distinguishable(0.6, [0.0005]), flags.split_distinguishable(0.6, [0.001])),
        (flags.many_ties("a", 0.51), flags.many_ties("a", 0.5)),
        (flags.few_seeds(2), flags.few_seeds(3)),
        (flags.quality_gone(290.0, 310.0, 310.0), flags.quality_gone(290.0, 309.9, 310.0)),
        (flags.quality_gone(320.0, None, 310.0), flags.quality_gone(290.0, None, 310.0)),
        (flags.not_adaptive(["mc"], []), flags.not_adaptive(["mc"], ["mc"])),
        (flags.underpowered(999), flags.underpowered(1000)),
        (flags.tuned_on_labels("a", True), flags.tuned_on_labels("a", False)),
        (flags.capped("a", True, 100), flags.capped("a", False, 100)),
        (flags.defense_inert([0]), flags.defense_inert([])),
        (flags.control_failed(["constant: wrong."]), flags.control_failed([])),
    ],
    ids=lambda flag: "quiet" if flag is None else flag.name,
)
def test_a_flag_is_raised_by_what_it_names(raised: flags.Flag | None, quiet: flags.Flag | None) -> None:
    assert quiet is None
    assert raised is not None
    assert flags.EXPLANATIONS[raised.name] in str(raised)
    assert raised.seen in str(raised)


@pytest.mark.parametrize(
    "flag",
    [
        flags.black_box_beats_white_box(("b", 0.9), None),
        flags.few_seeds(0),  # nothing ran: the row's status says so
        flags.quality_gone(None, None, 310.0),
        flags.quality_gone(20.0, 25.0, None),
        flags.not_adaptive([], []),
    ],
)
def test_a_flag_is_quiet_where_nothing_was_measured(flag: flags.Flag | None) -> None:
    assert flag is None


def test_merged_keeps_each_name_once_with_all_that_was_seen() -> None:
    merged = flags.merged([flags.Flag("capped", "b."), flags.Flag("sign_flipped", "x."), flags.Flag("capped", "a.")])
    assert merged == (flags.Flag("sign_flipped", "x."), flags.Flag("capped", "b. a."))


def test_a_sign_is_flipped_beyond_bonferronis_limit() -> None:
    """With ``tried`` attacks the interval ends where a two-sided test at .05 / tried would."""
    auc, se = 0.42, 0.02
    for tried in (1, 5, 20, 100, 1000):
        end = auc + norm.isf(0.025 / tried) * se
        flag = flags.sign_flipped("a", auc, auc + norm.isf(0.025) * se, tried)
        assert (flag is not None) == (end < 0.5)
        assert flag is None or f"ends at {end:.3f}" in flag.seen
