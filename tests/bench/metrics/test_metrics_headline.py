"""The worst attack: the price of a maximum, and the interval that pays it."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import mannwhitneyu

from bench.errors import InputError
from bench.metrics.headline import Headline, halves, headline, max_t_interval, smallest_detectable_auc
from bench.metrics.roc import auc, weighted_auc
from bench.rng import generator

IDS = np.arange(500)
MEMBER = np.arange(500) < 250


def null_attacks(seed: int, attacks: int = 20) -> dict[str, NDArray[np.float64]]:
    rng = generator(seed, "null attacks")
    return {f"attack{i:02d}": rng.normal(size=(1, 500)) for i in range(attacks)}


def null_runs(runs: int, resamples: int) -> tuple[float, float, float, float]:
    """Share of runs whose interval holds .5; the naive interval's share; mean maximum; mean headline."""
    covered, naive, maxima, points = [], [], [], []
    deviation = math.sqrt(501 / (12 * 250 * 250))
    for run in range(runs):
        attacks = null_attacks(run)
        result, _ = headline(attacks, MEMBER, IDS, run, resamples)
        covered.append(result.auc_low <= 0.5 <= result.auc_high)
        maxima.append(max(auc(s[0], MEMBER) for s in attacks.values()))
        naive.append(abs(maxima[-1] - 0.5) <= 1.96 * deviation)
        points.append(result.auc)
    return tuple(float(np.mean(v)) for v in (covered, naive, maxima, points))  # type: ignore[return-value]


def test_max_over_null_attacks_needs_correction() -> None:
    covered, naive, maximum, point = null_runs(200, 200)
    assert maximum == pytest.approx(0.548, abs=0.02)  # the maximum pretends to leak
    assert naive == pytest.approx(
        0.975**20, abs=0.1
    )  # and an interval around it that ignores the choice is wrong in 4 of 10 null runs
    assert point == pytest.approx(0.5, abs=0.007)  # split halves do not
    assert covered >= 0.93


def test_the_interval_covers_the_worst_attack_among_correlated_ones() -> None:
    shift = math.sqrt(2) * NormalDist().inv_cdf(0.65)
    covered = 0
    for run in range(100):
        rng = generator(run, "correlated")
        common = rng.normal(size=500)
        attacks = {
            f"a{i}": 0.8 * common + 0.6 * rng.normal(size=500) + shift * strength * MEMBER
            for i, strength in enumerate([1, 0.9, 0.5, 0])
        }
        result, _ = headline(attacks, MEMBER, IDS, run, 200)
        covered += result.auc_low <= 0.65 <= result.auc_high
    assert covered / 100 >= 0.92


def test_the_point_is_chosen_on_one_half_and_reported_on_the_other() -> None:
    rng = generator(1, "halves")
    attacks = {name: rng.normal(size=(3, 500)) + 0.1 * MEMBER for name in "cab"}
    result, _ = headline(attacks, MEMBER, IDS, 0, 20)
    first = halves(IDS, MEMBER, 0)

    def on(part: NDArray[np.bool_], name: str) -> float:
        return float(np.mean([auc(run[part], MEMBER[part]) for run in attacks[name]]))

    best = []
    for part in (first, ~first):
        by_name = {name: on(part, name) for name in "abc"}
        best.append(max(by_name, key=by_name.__getitem__))
    assert result.chosen == tuple(best)
    assert result.auc == pytest.approx((on(~first, best[0]) + on(first, best[1])) / 2)
    assert result.worst_attack == max("abc", key=lambda name: on(np.ones(500, dtype=np.bool_), name))
    assert result.attacks == ("a", "b", "c")


def test_halves_are_balanced_and_follow_the_record_ids() -> None:
    first = halves(IDS, MEMBER, 0)
    assert first[MEMBER].sum() == first[~MEMBER].sum() == 125
    order = generator(0, "order").permutation(500)
    np.testing.assert_array_equal(halves(IDS[order], MEMBER[order], 0), first[order])
    assert (halves(IDS, MEMBER, 1) != first).any()


def test_order_of_candidates_and_attacks_changes_nothing() -> None:
    attacks = null_attacks(3, 4)
    order = generator(0, "order").permutation(500)
    result, replicates = headline(attacks, MEMBER, IDS, 0, 50)
    turned = {name: attacks[name][:, order] for name in reversed(attacks)}
    again, others = headline(turned, MEMBER[order], IDS[order], 0, 50)
    assert again == result
    np.testing.assert_array_equal(others.replicates, replicates.replicates)
    assert others.pairing == replicates.pairing


def test_max_t_equals_a_loop() -> None:
    rng = generator(0, "max t")
    points = np.array([0.6, 0.55, 0.5])
    drawn = points[:, None] + rng.normal(size=(3, 400)) * np.array([[0.02], [0.05], [0.0]])
    se = [float(np.std(drawn[i], ddof=1)) for i in (0, 1)]
    shifts = [max(abs(drawn[i, b] - points[i]) / se[i] for i in (0, 1)) for b in range(400)]
    ordered = sorted(shifts)  # 95 % of 401 is 380.95
    c = ordered[379] + 0.95 * (ordered[380] - ordered[379])
    low, high = max_t_interval(points, drawn, 0.99, np.array([False, False, True]))
    assert low == pytest.approx(max(points[0] - c * se[0], points[1] - c * se[1], 0.5))
    assert high == pytest.approx(max(points[0] + c * se[0], points[1] + c * se[1], 0.5))


def test_one_attack_has_the_plain_interval() -> None:
    scores = generator(0, "plain").normal(size=500) + 0.5 * MEMBER
    result, _ = headline({"only": scores}, MEMBER, IDS, 0, 1000)
    spread = np.sqrt(weighted_delong(scores))
    assert result.auc_high - result.auc_low == pytest.approx(2 * 1.96 * spread, rel=0.1)
    assert result.auc_seed_low is None


def weighted_delong(scores: NDArray[np.float64]) -> float:
    """DeLong's variance of the AUC, by pairs."""
    wins = (scores[MEMBER][:, None] > scores[~MEMBER][None]).astype(np.float64)
    return float((wins.mean(axis=1).var(ddof=1) + wins.mean(axis=0).var(ddof=1)) / 250)


def test_perfect_and_constant_attacks() -> None:
    perfect = {"oracle_like": MEMBER.astype(np.float64) + np.zeros((3, 1)), **null_attacks(0, 1)}
    perfect["attack00"] = np.repeat(perfect["attack00"], 3, axis=0)
    result, _ = headline(perfect, MEMBER, IDS, 0, 100)
    assert (result.auc, result.auc_high, result.worst_attack) == (1, 1, "oracle_like")
    assert result.auc_low == pytest.approx(0.0125 ** (1 / 250))
    assert result.auc_seed_low == pytest.approx(result.auc_low)
    constant, _ = headline({"constant": np.zeros(500)}, MEMBER, IDS, 0, 100)
    assert (constant.auc_low, constant.auc, constant.auc_high) == (0.5, 0.5, 0.5)


def test_seed_interval_widens_with_the_spread_over_runs() -> None:
    rng = generator(0, "spread")
    noise = rng.normal(size=(3, 500))
    alike = noise + 0.6 * MEMBER
    apart = noise + np.array([[0.2], [0.6], [1.0]]) * MEMBER
    narrow, _ = headline({"a": alike}, MEMBER, IDS, 0, 100)
    wide, _ = headline({"a": apart}, MEMBER, IDS, 0, 100)
    for result in (narrow, wide):
        assert result.auc_seed_low is not None
        assert result.auc_seed_high is not None
        assert result.auc_seed_low <= result.auc_low <= result.auc <= result.auc_high <= result.auc_seed_high
    assert (wide.auc_seed_high or 0) - wide.auc > 2 * ((narrow.auc_seed_high or 0) - narrow.auc)


def test_smallest_detectable_auc_is_where_a_rank_test_turns() -> None:
    value = smallest_detectable_auc(60, 90)
    for shift, found in ((-0.003, False), (0.003, True)):
        z = (value + shift - 0.5) / math.sqrt(151 / (12 * 60 * 90))
        assert (2 * (1 - NormalDist().cdf(z)) < 0.05) == found
    rng = generator(0, "null")
    member = np.arange(150) < 60
    null = np.array([weighted_auc(rng.normal(size=150), member)[0] for _ in range(3000)])
    assert (np.abs(null - 0.5) >= value - 0.5).mean() == pytest.approx(0.05, abs=0.012)
    scores = rng.normal(size=150) + 0.4 * member
    p = mannwhitneyu(scores[member], scores[~member], method="asymptotic", use_continuity=False).pvalue
    assert (p < 0.05) == (abs(auc(scores, member) - 0.5) > value - 0.5)
    assert smallest_detectable_auc(60, 90, 0.05 / 20) > value
    assert smallest_detectable_auc(1, 1) == 1
    with pytest.raises(InputError, match="expected members, non-members and a level"):
        smallest_detectable_auc(0, 5)


def test_the_headline_pays_for_its_number_of_attacks() -> None:
    result, _ = headline(null_attacks(0, 5), MEMBER, IDS, 0, 20)
    assert result.smallest_detectable_auc == smallest_detectable_auc(250, 250, 0.05 / 5)
    assert all(field.description for field in Headline.model_fields.values())
    assert Headline.model_validate_json(result.model_dump_json()) == result


@pytest.mark.parametrize(
    ("attacks", "message"),
    [
        ({}, "at least one attack"),
        ({"a": np.zeros(500), "b": np.zeros(400)}, r"same 500 candidates .* b: \(1, 400\)"),
        ({"a": np.zeros((2, 500)), "b": np.zeros((3, 500))}, "under the same seeds"),
        ({"a": np.zeros(400)}, "leave out attacks that judged fewer"),
    ],
)
def test_attacks_over_other_candidates_are_refused(attacks: dict[str, NDArray[np.float64]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        headline(attacks, MEMBER, IDS, 0, 20)


def test_bad_records_are_refused() -> None:
    with pytest.raises(InputError, match="each candidate once"):
        headline({"a": np.zeros(500)}, MEMBER, IDS // 2, 0, 20)
    with pytest.raises(InputError, match=r"at least 2 members and 2 non-members.*got 1 and 3"):
        headline({"a": np.zeros(4)}, np.arange(4) < 1, np.arange(4), 0, 20)


def test_four_records_are_enough() -> None:
    result, _ = headline({"a": np.array([3.0, 1, 2, 0])}, np.arange(4) < 2, np.arange(4), 0, 20)
    assert 0 <= result.auc_low <= result.auc <= result.auc_high <= 1
