"""What ``--fail-on`` says."""

from __future__ import annotations

import pytest

from bench.board.columns import LEADERBOARD, TRIALS
from bench.compare.measures import FIGURES
from bench.compare.tolerance import DEFAULT, parse_tolerances
from bench.errors import InputError


def test_rules_are_read() -> None:
    auc, kid, coverage, *always = parse_tolerances(["auc:+0.02, kid:+5%", "coverage:-.1"])
    assert (auc.figure.name, auc.size, auc.percent) == ("auc", 0.02, False)
    assert (kid.size, kid.percent, kid.limit(-200)) == (0.05, True, 10)
    assert (coverage.figure.sign, coverage.limit(0.3)) == (-1, 0.1)
    assert [str(rule) for rule in (auc, kid, coverage)] == ["auc:+0.02", "kid:+5%", "coverage:-0.1"]
    assert [(str(rule), rule.named) for rule in always] == [("diverged_runs:+0", False), ("collapsed_runs:+0", False)]


def test_runs_that_die_are_judged_otherwise_only_by_name() -> None:
    rules = parse_tolerances(["collapsed_runs:+1,diverged_runs:+50%"])
    assert [(str(rule), rule.named) for rule in rules] == [("collapsed_runs:+1", True), ("diverged_runs:+50%", True)]


def test_without_rules_the_default_holds() -> None:
    assert ",".join(map(str, parse_tolerances([]))) == DEFAULT


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("acu:+0.02", r"unknown figure 'acu'; did you mean 'auc'.*there are auc, auc_samples"),
        ("coverage:+5%", r"larger coverage is better.*coverage:-5%"),
        ("kid:-3", r"smaller kid is better.*kid:\+3"),
        ("auc:+0.02,auc:+0.03", "auc twice"),
        ("auc:0.02", "expected rules such as"),
        ("auc", "expected rules such as"),
        ("auc:+0.02,", "got ''"),
        ("auc:+1e999x", "expected rules such as"),
        ("kid:+nan%", "expected rules such as"),
        ("kid:+1e999", "at most 1e"),
    ],
)
def test_wrong_rules_say_what_to_write(text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        parse_tolerances([text])


def test_every_error_at_once() -> None:
    with pytest.raises(InputError) as raised:
        parse_tolerances(["acu:+1,kid:-1"])
    assert len(raised.value.problems) == 2


def test_every_figure_is_a_published_column() -> None:
    assert set(FIGURES) <= {*LEADERBOARD, *TRIALS}
    assert all(set(figure.needs) <= set(TRIALS) for figure in FIGURES.values())


@pytest.mark.parametrize("name", ["precision", "recall", "density", "coverage", "utility", "samples_per_s"])
def test_where_more_is_better(name: str) -> None:
    assert FIGURES[name].better == "higher"


@pytest.mark.parametrize("name", ["auc", "auc_samples", "accuracy", "kid", "fid", "marginal_distance", "diverged_runs"])
def test_where_less_is_better(name: str) -> None:
    assert FIGURES[name].better == "lower"
