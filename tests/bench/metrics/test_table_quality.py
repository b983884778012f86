"""Quality of tables: each distance against scipy or a loop, intervals against fresh draws, planted signals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import ks_2samp, spearmanr
from scipy.stats.contingency import association

from bench.errors import InputError
from bench.metrics.association import Associations
from bench.metrics.baselines import pca_gaussian
from bench.metrics.table_quality import TableQualityRecord, delete_half, marginal_distances, measure_table_quality
from bench.metrics.utility import Utility, measure_utility
from bench.records import Column, Schema
from bench.rng import generator

MIXED = Schema("table", (7,), columns=(Column("a"), Column("k", ("x", "y", "z")), Column("b"), Column("s", ("f", "m"))))
PLAIN = Schema("table", (4,))


def mixed(n: int, seed: int, tilt: float = 0.0) -> NDArray[np.float32]:
    """Rows whose columns depend on one another; ``a`` has ties."""
    rng = generator(seed, "test")
    a = np.round(rng.normal(size=n) + tilt, 1)
    k = np.digitize(a + rng.normal(size=n), (-0.5, 0.5))
    b = a * rng.uniform(0, 1, n) + 0.3 * k
    s = (k + rng.integers(0, 2, n) > 1).astype(int)
    return np.column_stack([a, np.eye(3)[k], b, np.eye(2)[s]]).astype(np.float32)


def plain(n: int, seed: int, shift: float = 0.0) -> NDArray[np.float32]:
    return (generator(seed, "test").normal(size=(n, 4)) + shift).astype(np.float32)


def test_marginals_equal_scipys_and_the_sum_over_categories() -> None:
    x, y = mixed(80, 1), mixed(60, 2, 0.5)
    found = marginal_distances(x, y, MIXED)
    assert found[0] == pytest.approx(ks_2samp(x[:, 0], y[:, 0]).statistic, abs=1e-12)
    assert found[2] == pytest.approx(ks_2samp(x[:, 4], y[:, 4]).statistic, abs=1e-12)
    total = sum(abs(float(x[:, i].sum()) / 80 - float(y[:, i].sum()) / 60) for i in (1, 2, 3)) / 2
    assert found[1] == pytest.approx(total, abs=1e-6)
    assert marginal_distances(plain(50, 3), plain(50, 4), PLAIN).shape == (4,)


def test_associations_equal_scipys_and_the_definition() -> None:
    from scipy.stats import rankdata

    x = mixed(90, 5)
    k, s = x[:, 1:4].argmax(axis=1), x[:, 5:7].argmax(axis=1)

    def eta(values: NDArray[Any], groups: NDArray[Any]) -> float:
        ranks = rankdata(values)
        between = sum((groups == g).sum() * (ranks[groups == g].mean() - ranks.mean()) ** 2 for g in np.unique(groups))
        return float(np.sqrt(between / ((ranks - ranks.mean()) ** 2).sum()))

    counts = np.array([[((k == i) & (s == j)).sum() for j in range(2)] for i in range(3)])
    expected = [
        spearmanr(x[:, 0], x[:, 4]).statistic,
        *(eta(x[:, 0], k), eta(x[:, 0], s), eta(x[:, 4], k), eta(x[:, 4], s)),
        association(counts, method="cramer"),
    ]
    np.testing.assert_allclose(Associations(MIXED)(x), expected, atol=1e-9)


def test_what_is_constant_goes_with_nothing() -> None:
    x = mixed(60, 6)
    x[:, 0], x[:, 1:4] = 2.0, (0, 1, 0)
    found = Associations(MIXED)(x)
    assert np.isfinite(found).all()
    assert found[:4].tolist()[:3] == [0, 0, 0]
    assert found[3] == pytest.approx(0, abs=1e-9)
    assert found[5] == 0


def test_a_category_that_is_absent_does_not_weaken_the_others() -> None:
    same = np.arange(60) % 2
    x = np.column_stack([np.zeros(60), np.eye(3)[same], np.zeros(60), np.eye(2)[same]]).astype(np.float32)
    assert Associations(MIXED)(x)[5] == pytest.approx(1)


def test_the_record_holds_these_figures() -> None:
    x, y = mixed(120, 7), mixed(100, 8)
    found = measure_table_quality(x, y, MIXED)
    kept = generator(0, "quality", "samples").permutation(120)[:100]
    columns = marginal_distances(x[kept], y, MIXED)
    assert found.n == 100
    assert found.marginal_distance == pytest.approx(columns.mean(), abs=1e-6)
    assert found.marginal_worst == pytest.approx(columns.max(), abs=1e-6)
    assert found.marginal_worst_column == MIXED.columns[int(columns.argmax())].name
    gap = np.abs(Associations(MIXED)(x[kept]) - Associations(MIXED)(y)).mean()
    assert found.correlation_distance == pytest.approx(gap, abs=1e-9)
    assert found.marginal_distance_low <= found.marginal_distance <= found.marginal_distance_high
    assert (found.member_proximity, found.member_proximity_n, found.utility) == (None, None, None)
    assert TableQualityRecord.model_validate_json(found.model_dump_json()) == found


def test_delete_half_is_the_standard_error_of_a_mean() -> None:
    values = generator(1, "test").normal(size=400)
    (mean,), (half,) = delete_half(lambda at: [float(values[at].mean())], (400,), 0)
    assert mean == values.mean()
    assert half == pytest.approx(1.96 * values.std() / 20, rel=0.25)


def test_intervals_are_as_wide_as_fresh_draws_vary() -> None:
    drawn = [measure_table_quality(mixed(100, 100 + i), mixed(100, 200 + i, 0.4), MIXED) for i in range(20)]
    for name in ("marginal_distance", "correlation_distance"):
        values = np.array([getattr(record, name) for record in drawn])
        width = np.mean([getattr(record, f"{name}_high") - getattr(record, name) for record in drawn]) / 1.96
        assert 0.65 < width / values.std(ddof=1) < 1.8, name


def test_copies_of_members_show_and_fresh_rows_do_not() -> None:
    members, holdout = plain(200, 9), plain(200, 10)
    copied = measure_table_quality(np.repeat(members, 2, axis=0), holdout, PLAIN, members)
    assert copied.member_proximity == 0.5
    assert copied.member_proximity_low is not None
    assert copied.member_proximity_low > 0.3
    fresh = measure_table_quality(plain(400, 11), holdout, PLAIN, members)
    assert fresh.member_proximity_low is not None
    assert fresh.member_proximity_high is not None
    assert fresh.member_proximity_low < 0 < fresh.member_proximity_high


def test_member_proximity_equals_the_loop() -> None:
    x, members, holdout = plain(60, 12), plain(60, 13, 0.3), plain(60, 14)
    x[:5] = members[:5]
    found = measure_table_quality(x, holdout, PLAIN, members)
    nearer = [min(np.linalg.norm(members - row, axis=1)) < min(np.linalg.norm(holdout - row, axis=1)) for row in x]
    assert found.member_proximity == pytest.approx(np.mean(nearer) - 0.5, abs=1e-9)
    assert found.member_proximity_n == 60


def test_a_copy_of_the_distribution_is_told_from_noise() -> None:
    real, noise = mixed(300, 15), mixed(300, 16)
    for column in (0, 4):  # the columns alone are right, but go together no more
        noise[:, column] = noise[generator(column, "shuffle").permutation(300), column]
    good, bad = (measure_table_quality(side, mixed(300, 17), MIXED) for side in (real, noise))
    assert bad.marginal_distance < good.marginal_distance_high + 0.05
    assert bad.correlation_distance_low is not None
    assert good.correlation_distance_high is not None
    assert bad.correlation_distance_low > good.correlation_distance_high


def test_unusable_rows_are_refused() -> None:
    soft, bad = mixed(60, 18), mixed(60, 19)
    soft[2, 1:4] = 1 / 3
    with pytest.raises(InputError, match=r"one-hot categories in the samples rows, got soft ones in columns \['k'\]"):
        measure_table_quality(soft, mixed(60, 20), MIXED)
    bad[1, 0] = np.nan
    with pytest.raises(InputError) as caught:
        measure_table_quality(bad, mixed(49, 21), MIXED, plain(60, 22), n=10)
    text = str(caught.value)
    for part in ("infinity in 1 of 60 rows", "at least 50 holdout records, got 49", "members rows of shape (n, 7)"):
        assert part in text
    assert "got n = 10" in text


def test_one_column_has_no_pairs() -> None:
    one = Schema("table", (1,))
    found = measure_table_quality(plain(60, 23)[:, :1], plain(60, 24)[:, :1], one)
    assert (found.correlation_distance, found.correlation_distance_low) == (None, None)


def test_utility_is_what_scikit_learn_reaches() -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    labels = np.arange(120, dtype=np.int64) % 3
    x, reference, holdout = (plain(120, seed) + 0.8 * labels[:, None] for seed in (25, 26, 27))
    swapped = (labels + 1) % 3
    found = measure_utility((x, swapped), (reference, labels), (holdout, labels))
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(reference, labels)
    assert found.real == pytest.approx(model.score(holdout, labels), abs=0.01)
    assert found.generated < 0.35 < found.real
    assert found.n == 120
    assert measure_utility((x, labels), (reference, labels), (holdout, labels), n=50).n == 50


def test_utility_of_a_single_class_is_its_share() -> None:
    labels = np.arange(90, dtype=np.int64) % 3
    one = np.zeros(90, np.int64)
    found = measure_utility((plain(90, 28), one), (plain(90, 29), labels), (plain(90, 30), labels))
    assert found.generated == pytest.approx(1 / 3)
    assert measure_table_quality(plain(60, 31), plain(60, 32), PLAIN, utility=Utility(0.5, 0.9, 60)).utility_real == 0.9
    with pytest.raises(InputError, match="expects generated records with labels, got none"):
        measure_utility((plain(0, 1), one[:0]), (plain(90, 29), labels), (plain(90, 30), labels))


def test_the_gaussian_line_has_the_moments_of_unbounded_rows() -> None:
    rows = mixed(400, 33) * np.float32(3)
    drawn = pca_gaussian(rows, 20_000, generator(0, "pca"), bounded=False)
    assert np.abs(drawn).max() > 5
    np.testing.assert_allclose(drawn.mean(axis=0), rows.mean(axis=0), atol=0.1)
    np.testing.assert_allclose(np.cov(drawn.T), np.cov(rows.T), atol=0.35)
    with pytest.raises(InputError, match=r"finite reference records, got NaN"):
        pca_gaussian(rows * np.float32(np.nan), 5, generator(0, "pca"), bounded=False)
