"""Control: can members and non-members be told apart without any release?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bench.attacks.base import Attack, Chunk, Knowledge
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
        records: int = Field(4000, ge=2)
        """Most records a fold's classifier is trained on, a seeded subset: its memory grows with the square."""
        ridge: float = Field(1.0, gt=0)
        """Weight of the penalty, on kernels whose diagonal is 1."""

    options: Options

    def prepare(self, candidates: Records, view: View, knowledge: Knowledge, rng: RecordRng) -> _Verdict:
        if knowledge.membership is None:
            raise PluginError("blind: expected the membership of every candidate, got none")
        y = np.array([knowledge.membership[int(i)] for i in candidates.ids], dtype=np.float64)
        n, folds = len(y), self.options.folds
        x = candidates.floats().reshape(n, -1)
        shared = rng.shared("folds")
        fold = shared.permutation(np.arange(n) % folds)
        labels = np.stack(
            [y, *(shared.permutation(y) for _ in range(self.options.permutations))],
            axis=1,
            dtype=np.int8,
            casting="unsafe",
        )
        width = bandwidth(x[shared.permutation(n)[: self.options.records]])
        ranks, aucs = np.zeros(n), np.zeros(labels.shape[1])
        counted = 0
        for k in range(folds):
            test, train = np.flatnonzero(fold == k), np.flatnonzero(fold != k)
            train = np.sort(shared.permutation(train)[: self.options.records])
            system = gaussian_kernel(x[train], x[train], width) + self.options.ridge * np.eye(len(train))
            centred = labels[train] - labels[train].mean(axis=0)
            predicted = gaussian_kernel(x[test], x[train], width) @ np.linalg.solve(system, centred)
            order = mid_ranks(predicted)
            ranks[test] = order[:, 0] / len(test)
            if 0 < y[test].sum() < len(test):
                counted += 1
                aucs += rank_auc(order, labels[test].astype(np.float64))
        aucs /= max(1, counted)
        p_value = (1 + np.sum(aucs[1:] >= aucs[0] - 1e-12)) / labels.shape[1]
        return _Verdict(dict(zip(candidates.ids.tolist(), ranks.tolist(), strict=True)), float(p_value), float(aucs[0]))

    def score_chunk(self, chunk: Chunk, state: _Verdict, view: View, rng: RecordRng) -> NDArray[np.float64]:
        return np.array([state.scores[int(i)] for i in chunk.ids])

    def diagnostics(self, state: _Verdict) -> dict[str, float]:
        return {"permutation_p": state.p_value, "mean_fold_auc": state.auc}


def gaussian_kernel(a: NDArray[np.float32], b: NDArray[np.float32], width: float) -> NDArray[np.float64]:
    """exp(-d^2 / width) between the rows of ``a`` and ``b``."""
    kernel: NDArray[np.float64] = np.exp(-squared_distances(a, b) / max(width, 1e-12))
    return kernel


def bandwidth(x: NDArray[np.float32]) -> float:
    """The median squared distance between different rows; it sees no label."""
    return float(np.median(squared_distances(x, x)[np.triu_indices(len(x), 1)])) if len(x) > 1 else 1.0


def squared_distances(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float64]:
    """Squared Euclidean distances between the rows of ``a`` and ``b``."""
    centre = b.mean(axis=0, dtype=np.float64)
    a64, b64 = a.astype(np.float64) - centre, b.astype(np.float64) - centre
    sizes = np.einsum("ij,ij->i", a64, a64)[:, None] + np.einsum("ij,ij->i", b64, b64)[None, :]
    distance: NDArray[np.float64] = np.maximum(sizes - 2 * a64 @ b64.T, 0)
    return distance


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
