"""Control: can members and non-members be told apart without any release?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bench.attacks.base import Attack, Knowledge
from bench.errors import PluginError
from bench.records import Records
from bench.release import View
from bench.rng import RecordRng


@dataclass(frozen=True)
class _Verdict:
    scores: dict[int, float]
    p_value: float
    auc: float


class Blind(Attack):
    """Control: a cross-validated classifier on the records themselves, with labels and no release.

    Above chance means that the split itself is distinguishable, and then every attack's figure on it says nothing
    about the model. The classifier is kernel ridge regression with a Gaussian kernel: its out-of-fold predictions
    are linear in the labels, so the permutation test refits it exactly for every permutation. Scores are ranks
    within their fold, because predictions of different folds are not on one scale.
    """

    name = "blind"
    paper = "after Das, Zhang and Tramer, Blind Baselines Beat Membership Inference Attacks for Foundation Models, 2024"
    access = "nothing"
    knowledge = "labels"
    control = True

    class Options(Attack.Options):
        folds: int = Field(5, ge=2)
        """Folds of the cross-validation."""
        permutations: int = Field(1999, ge=99)
        """Label permutations of the test; the smallest p-value is 1 / (permutations + 1)."""
        ridge: float = Field(1.0, gt=0)
        """Weight of the penalty, on kernels whose diagonal is 1."""

    options: Options

    def prepare(self, candidates: Records, view: View, knowledge: Knowledge, rng: RecordRng) -> _Verdict:
        if knowledge.membership is None:
            raise PluginError("blind: expected the membership of every candidate, got none")
        y = np.array([knowledge.membership[int(i)] for i in candidates.ids], dtype=np.float64)
        n, folds = len(y), self.options.folds
        kernel = gaussian_kernel(candidates.floats().reshape(n, -1))
        shared = rng.shared("folds")
        fold = shared.permutation(np.arange(n) % folds)
        labels = np.stack([y, *(shared.permutation(y) for _ in range(self.options.permutations))], axis=1)
        ranks, aucs = np.zeros(n), np.zeros(labels.shape[1])
        counted = 0
        for k in range(folds):
            test, train = np.flatnonzero(fold == k), np.flatnonzero(fold != k)
            system = kernel[np.ix_(train, train)] + self.options.ridge * np.eye(len(train))
            centred = labels[train] - labels[train].mean(axis=0)
            predicted = kernel[np.ix_(test, train)] @ np.linalg.solve(system, centred)
            order = mid_ranks(predicted)
            ranks[test] = order[:, 0] / len(test)
            if 0 < y[test].sum() < len(test):
                counted += 1
                aucs += rank_auc(order, labels[test])
        aucs /= max(1, counted)
        p_value = (1 + np.sum(aucs[1:] >= aucs[0] - 1e-12)) / labels.shape[1]
        return _Verdict(dict(zip(candidates.ids.tolist(), ranks.tolist(), strict=True)), float(p_value), float(aucs[0]))

    def score_chunk(
        self, ids: NDArray[np.int64], x: NDArray[np.float32], state: _Verdict, view: View, rng: RecordRng
    ) -> NDArray[np.float64]:
        return np.array([state.scores[int(i)] for i in ids])

    def diagnostics(self, state: _Verdict) -> dict[str, float]:
        return {"permutation_p": state.p_value, "mean_fold_auc": state.auc}


def gaussian_kernel(x: NDArray[np.float32]) -> NDArray[np.float64]:
    """exp(-d^2 / median d^2) between all rows; the bandwidth sees no label."""
    z = x.astype(np.float64) - x.mean(axis=0, dtype=np.float64)
    square = np.einsum("ij,ij->i", z, z)
    distance = np.maximum(square[:, None] + square[None, :] - 2 * z @ z.T, 0)
    middle = np.median(distance[np.triu_indices(len(x), 1)]) if len(x) > 1 else 1.0
    kernel: NDArray[np.float64] = np.exp(-distance / max(float(middle), 1e-12))
    return kernel


def mid_ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks from 1 down each column, ties averaged."""
    from scipy.stats import rankdata

    ranks: NDArray[np.float64] = rankdata(values, axis=0)
    return ranks


def rank_auc(ranks: NDArray[np.float64], labels: NDArray[np.float64]) -> NDArray[np.float64]:
    """AUC per column from mid-ranks (Mann-Whitney); .5 where a column lacks a class."""
    positives = labels.sum(axis=0)
    negatives = len(labels) - positives
    u = (ranks * labels).sum(axis=0) - positives * (positives + 1) / 2
    pairs = positives * negatives
    auc: NDArray[np.float64] = np.where(pairs > 0, u / np.maximum(pairs, 1), 0.5)
    return auc
