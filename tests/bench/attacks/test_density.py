"""Densities against other libraries and closed forms; the attacks made of them against known leakage."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sample_cases import NULL, overfitted, untrained
from scipy.special import logsumexp
from scipy.stats import gaussian_kde, multivariate_normal
from sklearn.neighbors import KernelDensity

import bench.attacks._density as module
from bench.attacks._density import fit_flow, kernel_log_density, scott
from bench.attacks._features import principal_components
from bench.attacks.base import Attack, Knowledge
from bench.attacks.density import Density
from bench.attacks.domias import Domias
from bench.contracts import check_attack
from bench.contracts.planted import Planted
from bench.devices import Device
from bench.errors import InputError, PluginError
from bench.metrics.roc import auc
from bench.records import Records, Schema
from bench.release import View
from bench.rng import RecordRng, generator

CPU = Device()
Values = NDArray[np.float64]
NOISE_CANNOT_BE_LEARNT = ("finds_planted_members",)  # a flow has no kernel at each of 100 records of noise


def normal(*shape: int, seed: int = 0) -> Values:
    return generator(seed, "density tests").normal(size=shape)


def table(x: Values, first: int = 0) -> Records:
    return Records(np.arange(first, first + len(x)), x.astype(np.float32), None, Schema("table", x.shape[1:]))


def judged(attack: Attack, x: Values, samples: Values, reference: Values) -> Values:
    view = View("samples", Schema("table", x.shape[1:]), CPU, lambda: samples.astype(np.float32))
    knowledge = Knowledge(reference=table(reference, len(x)))
    return attack.score(table(x), view, knowledge, RecordRng(0, "attack", attack.name)).scores


@pytest.mark.parametrize("dimensions", [1, 5, 32])
@pytest.mark.parametrize("bandwidth", [0.1, 1.3])
def test_kernels_are_those_of_scikit_learn(dimensions: int, bandwidth: float) -> None:
    x, data = normal(40, dimensions), normal(60, dimensions, seed=1)
    wanted = KernelDensity(bandwidth=bandwidth, rtol=1e-12).fit(data).score_samples(x)
    np.testing.assert_allclose(kernel_log_density(x, data, bandwidth, CPU), wanted, rtol=1e-9)


@pytest.mark.parametrize(("n", "dimensions"), [(50, 1), (300, 4)])
def test_kernels_with_scott_s_factor_are_those_of_scipy(n: int, dimensions: int) -> None:
    """scipy scales kernels by the data's covariance: in features of unit covariance, by the factor alone."""
    x, data = normal(20, dimensions), normal(n, dimensions, seed=1)
    data -= data.mean(axis=0)
    data = data @ np.linalg.inv(np.linalg.cholesky(np.cov(data.T).reshape(dimensions, dimensions))).T
    reference = gaussian_kde(data.T)
    assert scott(n, dimensions) == pytest.approx(reference.factor)
    found = kernel_log_density(x, data, scott(n, dimensions), CPU)
    np.testing.assert_allclose(found, reference.logpdf(x.T), rtol=1e-8)


def test_known_mistake_underflow_of_exp_minus_squared_distance() -> None:
    """In 784 dimensions exp(-d^2 / 2h^2) is 0 in float64 for half of the records and more; its logarithm is not."""
    data = normal(200, 784)
    x = data[:100] + normal(100, 784, seed=1) * np.linspace(0.5, 50, 100)[:, None]
    squared = ((x[:, None] - data[None]) ** 2).sum(axis=2)
    naive = np.exp(-squared / (2 * 0.5**2)).mean(axis=1)
    assert (naive == 0).sum() > 50
    found = kernel_log_density(x, data, 0.5, CPU)
    assert np.isfinite(found).all()
    assert len(np.unique(found)) == 100
    wanted = logsumexp(-squared / (2 * 0.5**2), axis=1) - np.log(200) - 784 * np.log(0.5 * np.sqrt(2 * np.pi))
    np.testing.assert_allclose(found, wanted, rtol=1e-9)


def test_a_point_a_million_bandwidths_away_has_a_finite_density() -> None:
    (found,) = kernel_log_density(np.full((1, 3), 1e6), np.zeros((5, 3)), 1.0, CPU)
    assert found == pytest.approx(-1.5e12)


def test_a_flow_learns_a_gaussian() -> None:
    covariance = np.array([[1.0, 0.7, 0.0], [0.7, 1.0, -0.3], [0.0, -0.3, 0.5]])
    law = multivariate_normal([0.5, -0.5, 0.0], covariance)
    draws = generator(0, "gaussian").multivariate_normal(law.mean, covariance, size=4000)
    found = fit_flow(draws[:3000], 0, CPU, 30)(draws[3000:])
    wanted = law.logpdf(draws[3000:])
    assert abs(np.mean(found - wanted)) < 0.05
    assert np.sqrt(np.mean((found - wanted) ** 2)) < 0.3
    assert wanted.std() > 1


def test_a_flow_follows_its_seed_and_leaves_torch_s_generator_alone() -> None:
    data, x = normal(60, 2), normal(5, 2, seed=1)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = fit_flow(data, 7, CPU, 2)(x)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    np.testing.assert_array_equal(fit_flow(data, 7, CPU, 2)(x), first)
    assert not np.array_equal(fit_flow(data, 8, CPU, 2)(x), first)


def test_a_flow_that_no_longer_gets_better_stops_at_its_best(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 30 records in 16 dimensions, a flow soon knows those by heart that it learns from."""
    data, fresh = normal(30, 16), normal(2000, 16, seed=1)
    stopped = fit_flow(data, 0, CPU, 100)(fresh).mean()
    monkeypatch.setattr(module, "PATIENCE", 10**6)
    assert fit_flow(data, 0, CPU, 100)(fresh).mean() == stopped  # the same best one, found much later
    monkeypatch.setattr(module, "HELD_OUT", 0)  # one record is held out even so
    rough = fit_flow(np.concatenate([data[:1], data]), 0, CPU, 100)(fresh).mean()
    assert stopped > rough


@pytest.mark.parametrize("n", [0, 1])
def test_too_few_records_for_a_flow(n: int) -> None:
    with pytest.raises(InputError, match=f"expected at least 2 records to train a flow on, got {n}"):
        fit_flow(normal(n, 2), 0, CPU, 1)


def test_a_flow_without_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(module, "import_module", missing)
    with pytest.raises(InputError, match=r"pip install 'leakboard\[flows\]'"):
        fit_flow(normal(5, 2), 0, CPU, 1)


def test_density_is_that_of_the_samples_in_standardised_components() -> None:
    mixing = normal(6, 6, seed=3)
    x, samples, reference = normal(30, 6) @ mixing, normal(50, 6, seed=1) @ mixing, normal(50, 6, seed=2) @ mixing
    components = principal_components(table(reference), 4)
    x_, samples_, reference_ = (components.standardised(v.astype(np.float32)) for v in (x, samples, reference))
    kernels = [KernelDensity(bandwidth=50 ** (-1 / 8), rtol=1e-12).fit(v) for v in (samples_, reference_)]
    of_samples, of_reference = (k.score_samples(x_) for k in kernels)
    np.testing.assert_allclose(judged(Density(components=4), x, samples, reference), of_samples, rtol=1e-6)
    found = judged(Domias(components=4), x, samples, reference)
    np.testing.assert_allclose(found, of_samples - of_reference, rtol=1e-5, atol=1e-5)


def test_both_densities_have_as_many_records_and_one_bandwidth() -> None:
    """Samples that are the reference records say nothing of anybody: the ratio is 1, in any order."""
    x, reference = normal(20, 5), normal(40, 5, seed=1)
    np.testing.assert_allclose(judged(Domias(), x, reference[::-1], reference), 0, atol=1e-9)
    narrow = judged(Domias(bandwidth=0.2), x, reference[::-1] * 1.5, reference)
    assert narrow.std() > 0.1


@pytest.mark.parametrize(("samples", "reference", "asked", "wanted"), [(50, 80, None, 50), (90, 60, None, 60)])
def test_domias_takes_as_many_of_both(samples: int, reference: int, asked: int | None, wanted: int) -> None:
    counts = _counts(Domias(records=asked), samples, reference)
    assert counts == {"records": wanted, "dimensions": 5}


@pytest.mark.parametrize(
    ("attack", "samples", "reference", "wanted"),
    [
        (Density(), 90, 60, 60),
        (Density(), 50, 60, 50),
        (Density(records=80), 90, 60, 80),
        (Density(records=1000), 90, 60, 90),
        (Domias(records=1000), 90, 60, 60),
        (Domias(records=30), 90, 60, 30),
    ],
    ids=str,
)
def test_how_many_records_are_behind_a_density(attack: Density, samples: int, reference: int, wanted: int) -> None:
    assert _counts(attack, samples, reference)["records"] == wanted


def _counts(attack: Attack, samples: int, reference: int) -> dict[str, float]:
    x = normal(10, 5)
    view = View("samples", Schema("table", (5,)), CPU, lambda: normal(samples, 5, seed=1).astype(np.float32))
    knowledge = Knowledge(reference=table(normal(reference, 5, seed=2), 10))
    return dict(attack.score(table(x), view, knowledge, RecordRng(0)).diagnostics)


def test_domias_is_density_less_the_reference_s() -> None:
    """Its ablation is the very same density of the samples."""
    x, samples, reference = normal(20, 5), normal(90, 5, seed=1), normal(40, 5, seed=2)
    numerator = judged(Density(), x, samples, reference)
    denominator = judged(Density(), x, reference, reference)
    np.testing.assert_allclose(judged(Domias(), x, samples, reference), numerator - denominator, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("attack", [Density, Domias, Domias(bandwidth=0.3)], ids=repr)
def test_contract(attack: Any) -> None:
    report = check_attack(attack)
    assert {rule: reason for rule, reason in report.items() if reason} == {}


def test_a_table_is_judged_too() -> None:
    report = check_attack(Density(), planted=Planted("table"))
    assert {rule: reason for rule, reason in report.items() if reason} == {}


def test_a_table_is_judged_by_domias_too() -> None:
    """Of 12 dimensions and 100 records, the reference's density at a record is itself uncertain."""
    planted, attack = Planted("table"), Domias()
    report = check_attack(attack, planted=planted, leave_out=["finds_planted_members"])
    assert {rule for rule, reason in report.items() if reason} == {"finds_planted_members"}
    scored = attack.score(planted.candidates, planted.view("samples"), planted.knowledge(attack), RecordRng(0))
    assert auc(scored.scores, planted.membership) > 0.97


def test_contract_with_flows() -> None:
    report = check_attack(Domias(estimator="flow", components=4, epochs=3), leave_out=NOISE_CANNOT_BE_LEARNT)
    assert {rule for rule, reason in report.items() if reason} == set(NOISE_CANNOT_BE_LEARNT)


def test_domias_says_that_reference_records_are_no_candidates() -> None:
    x, reference = normal(100, 3), normal(100, 3, seed=1)
    samples = normal(100, 3, seed=2)
    attack = Domias(bandwidth=0.3)
    assert judged(attack, reference, samples, reference).mean() < judged(attack, x, samples, reference).mean() - 0.3
    assert not Domias.fair_to_reference
    assert Density.fair_to_reference


@pytest.mark.parametrize("attack", [Density(), Domias()], ids=repr)
def test_components_need_reference_records(attack: Attack) -> None:
    planted = Planted()
    with pytest.raises(PluginError, match="expected reference records to fit components on, got none"):
        attack.score(planted.candidates, planted.view("samples"), Knowledge(), RecordRng(0))


@pytest.mark.parametrize(
    "attack", [Density(), Density(records=1000), Domias(), Domias(estimator="flow", epochs=30)], ids=str
)
def test_an_overfitted_model_gives_its_members_away_and_an_untrained_one_does_not(attack: Attack) -> None:
    assert overfitted().auc(attack) > 0.8
    assert abs(untrained().auc(attack) - 0.5) < NULL
