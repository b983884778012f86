"""Mistakes that published attack code has made, each as a test that the suite does not make it.

The epsilon bound whose threshold is picked on its own scores is not here: this version reports no bound.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import logsumexp
from scipy.stats import mannwhitneyu

from bench.attacks._density import kernel_log_density
from bench.attacks._lbfgs import lbfgs
from bench.attacks._powell import powell
from bench.attacks._shadow_attack import shadow_models
from bench.attacks._statistic import joined
from bench.attacks.base import Attack, Chunk, Knowledge
from bench.attacks.calibrated import Calibrated
from bench.contracts.planted import Planted
from bench.data.split import make_split
from bench.devices import Device
from bench.errors import InputError, PluginError
from bench.matrix.model import SplitOptions
from bench.metrics.headline import headline
from bench.metrics.privacy import accuracy
from bench.metrics.roc import auc, roc_curve, tpr_at_fpr
from bench.records import Records, Schema
from bench.registry import get, names
from bench.release import Model, View
from bench.rng import RecordRng, generator

PLANTED = Planted()


@pytest.mark.parametrize("members_first", [True, False])
def test_1_ties_are_broken_by_no_order(members_first: bool) -> None:
    """A constant score reads exactly chance; broken by sort order it reads 0 or 1."""
    membership = np.arange(500) < 200 if members_first else np.arange(500) >= 300
    assert auc(np.full(500, 3.7), membership) == 0.5
    assert accuracy(np.full(500, 3.7), membership) == pytest.approx(0.4, abs=1e-15)
    by_order = membership[np.argsort(-np.full(500, 3.7), kind="stable")][:200].mean()
    assert by_order in (0.0, 1.0)


def heavy_tails(n: int = 2000) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    rng = generator(0, "heavy tails")
    membership = np.arange(2 * n) < n
    return rng.standard_cauchy(2 * n) ** 3 + 0.4 * membership, membership


def test_2_curves_have_every_threshold() -> None:
    """A linear sweep of thresholds puts nearly all of them where there are no scores."""
    scores, membership = heavy_tails()
    true = mannwhitneyu(scores[membership], scores[~membership]).statistic / 2000**2
    assert auc(scores, membership) == pytest.approx(true, abs=1e-12)
    sweep = np.linspace(scores.max(), scores.min(), 1000)
    tpr = [(scores[membership] >= t).mean() for t in sweep]
    fpr = [(scores[~membership] >= t).mean() for t in sweep]
    assert abs(np.trapezoid(tpr, fpr) - true) > 0.05
    curve = roc_curve(scores, membership)
    assert np.trapezoid(curve.tpr, curve.fpr) == pytest.approx(true, abs=1e-12)


def test_2_a_rate_is_attained_and_not_above_the_asked_one() -> None:
    """1,010 strangers in two blocks of ties: no threshold has an FPR between 5 / 1010 and 40 / 1010."""
    nonmembers = np.concatenate([np.full(5, 9.0), np.full(35, 5.0), np.zeros(970)])
    members = np.concatenate([np.full(30, 9.5), np.full(60, 5.0), np.zeros(10)])
    scores, membership = np.concatenate([members, nonmembers]), np.arange(1110) < 100
    found = tpr_at_fpr(scores, membership, 0.01)
    assert found is not None
    assert found.tpr == 0.3  # not .9, at the FPR "nearest" to 1 %, and nothing in between
    assert found.fpr <= 0.01


def test_3_far_records_do_not_tie_at_zero() -> None:
    """exp(-d^2) is 0 for half of all records in 784 dimensions, and the log of a sum of zeros is no score."""
    rng = generator(0, "underflow")
    data, x = rng.normal(size=(50, 784)), rng.normal(size=(40, 784)) * np.linspace(1, 5, 40)[:, None]
    exponents = -((x[:, None] - data[None]) ** 2).sum(axis=2) / (2 * 0.5**2)
    assert (np.exp(exponents).mean(axis=1) == 0).mean() > 0.5
    found = kernel_log_density(x, data, 0.5, Device())
    assert np.isfinite(found).all()
    assert len(np.unique(found)) == 40
    assert np.array_equal(np.argsort(found), np.argsort(logsumexp(exponents, axis=1)))


def test_4_all_roles_are_prepared_alike(tmp_path: Path) -> None:
    """A user's own members are cropped, resized and turned grey like the records of the data set."""
    colour = generator(0, "prepared").integers(0, 256, (60, 12, 12, 3), dtype=np.uint8)
    np.savez(tmp_path / "members.npz", images=colour)
    whole = Records(np.arange(60), colour.transpose(0, 3, 1, 2).copy(), None, Schema("image", (3, 12, 12)))
    asked: dict[str, Any] = {"crop": 8, "resize": 4, "grey": True, "reference": 0, "validation": 0}
    split = make_split(whole, SplitOptions(members="members.npz", nonmembers=50, holdout=10, **asked), tmp_path)
    assert split.records.schema.shape == (1, 4, 4)
    # The file holds the very images of the data set, so every non-member has its twin among the members.
    members = {row.tobytes() for row in split.role("members").x}
    assert {row.tobytes() for row in split.role("nonmembers").x} <= members


def test_4_reference_records_are_no_candidates(tmp_path: Path) -> None:
    candidates = PLANTED.candidates
    with pytest.raises(PluginError, match="expected reference records that are no candidates, got 3 that are"):
        joined(candidates, candidates.take(np.arange(3)))
    (tmp_path / "n.txt").write_text("\n".join(map(str, range(10))), "utf-8")
    (tmp_path / "r.txt").write_text("\n".join(map(str, range(5, 15))), "utf-8")
    options = SplitOptions(members=5, nonmembers="n.txt", reference="r.txt", validation=0, holdout=5)
    with pytest.raises(InputError, match="nonmembers and reference share 5 records"):
        make_split(PLANTED.records, options, tmp_path)


ATTACKS = [name for name in names("attacks") if not cast("type[Attack]", get("attacks", name)).control]


@pytest.mark.parametrize("name", ATTACKS)
def test_5_no_setting_can_be_picked_on_the_scored_labels(name: str) -> None:
    """What an attack is given holds no truth about a record that it judges."""
    attack = cast("type[Attack]", get("attacks", name))()
    knowledge = PLANTED.knowledge(attack)
    told = set(knowledge.membership or {})
    assert not told & set(PLANTED.judged(attack).ids.tolist())
    assert bool(told) == (attack.knowledge == "labelled")
    assert not attack.tuned_on_labels


def test_7_a_shadow_that_saw_a_candidate_is_refused() -> None:
    """The target among its own shadows is the worst case of it."""
    seen = PLANTED.candidates.ids[:7]

    def release() -> Any:
        raise AssertionError("loaded")

    models = {"offline-0": Model(PLANTED.schema, Device(), release, None, seen)}
    with pytest.raises(PluginError, match="expected shadows that never saw a candidate, got 7 candidates that one saw"):
        shadow_models("lira", "offline", 1, PLANTED.candidates, Knowledge(models=models))


class Level(Attack):
    """Minus the distance of a record's mean to that of the samples: always negative, like a loss."""

    name = "level"
    access = "samples"

    def score_chunk(self, chunk: Chunk, state: Any, view: View, rng: RecordRng) -> NDArray[np.float64]:
        distances = np.abs(chunk.x.reshape(len(chunk), -1).mean(axis=1)[:, None] - view.samples.mean(axis=(1, 2, 3)))
        found: NDArray[np.float64] = -distances.min(axis=1).astype(np.float64)
        return found


def test_7_calibration_of_negative_scores_keeps_its_sign() -> None:
    """Dividing by a negative reference, or subtracting the wrong way round, would turn members into strangers."""
    attack = Calibrated()
    attack.statistic = Level()
    knowledge = PLANTED.knowledge(attack)
    rng = RecordRng(0, "test")
    view = PLANTED.view("samples")
    plain = Level().score(PLANTED.candidates, view, Knowledge(), rng).scores
    model = knowledge.models["offline-0"].view("samples")
    reference = Level().score(PLANTED.candidates, model, Knowledge(), rng).scores
    assert (plain <= 0).all()
    assert (reference <= 0).all()
    found = attack.score(PLANTED.candidates, view, knowledge, rng).scores
    np.testing.assert_allclose(found, plain - reference)
    assert auc(found, PLANTED.membership) > 0.6


def rising(calls: list[int]) -> Callable[..., NDArray[np.float64]]:
    """A loss that is lowest at the second look and worse ever after, whatever the point."""

    def losses(z: NDArray[np.float64], which: NDArray[np.int64]) -> NDArray[np.float64]:
        calls.append(len(calls))
        return np.full(len(which), 1.0 if len(calls) == 2 else 2.0 + len(calls))

    return losses


def test_8_the_best_loss_is_kept_and_not_the_last() -> None:
    assert powell(rising([]), np.zeros((3, 2)), iterations=2).loss.tolist() == [1.0, 1.0, 1.0]
    losses = rising([])
    found = lbfgs(lambda z, which: (losses(z, which), np.ones_like(z)), np.zeros((3, 2)), evaluations=12)
    assert found.loss.tolist() == [1.0, 1.0, 1.0]


def test_8_no_candidate_beyond_a_multiple_of_the_chunk_is_dropped() -> None:
    candidates = PLANTED.candidates  # 200, which 64 does not divide
    found = Level().score(candidates, PLANTED.view("samples"), Knowledge(), RecordRng(0), chunk=64).scores
    assert len(found) == len(candidates) == 200
    np.testing.assert_array_equal(
        found[192:], Level().score(candidates, PLANTED.view("samples"), Knowledge(), RecordRng(0)).scores[192:]
    )


def test_9_the_worst_of_many_attacks_is_corrected_for_the_choice() -> None:
    """The largest AUC of 20 attacks that know nothing reads .534 on 250 + 250 records; the headline reads .5."""
    membership, ids = np.arange(500) < 250, np.arange(500)
    largest, points, covered = [], [], []
    for seed in range(30):
        rng = generator(seed, "null attacks")
        scores = {f"attack {k}": rng.normal(size=(1, 500)) for k in range(20)}
        found, _ = headline(scores, membership, ids, seed, resamples=200)
        largest.append(max(auc(s[0], membership) for s in scores.values()))
        points.append(found.auc)
        covered.append(found.auc_low <= 0.5 <= found.auc_high)
    assert np.mean(largest) > 0.53
    assert abs(np.mean(points) - 0.5) < 4 * np.std(points) / np.sqrt(30)
    assert np.mean(covered) > 0.8
