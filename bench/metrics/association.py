"""How strongly a table's columns go together, one figure per pair, whatever kinds of columns they are."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.records import Schema


class Associations:
    """Measures the associations of all pairs of columns, for many sets of rows of one schema.

    Two numeric columns: Spearman's rank correlation, -1..1. A numeric and a categorical one: the correlation ratio eta
    of the numeric one's ranks, 0..1. Two categorical ones: Cramér's V over the categories present, 0..1. A column that
    is constant goes with nothing: 0.

    Args:
        schema: of the encoded rows; a table without named columns has numeric ones only.
    """

    def __init__(self, schema: Schema) -> None:
        spans = [(bool(column.categories), span) for column, span in schema.spans()]
        if not schema.columns:
            spans = [(False, slice(i, i + 1)) for i in range(schema.shape[0])]
        self.numeric = np.array([span.start for categorical, span in spans if not categorical], dtype=np.int64)
        choices = [np.arange(span.start, span.stop) for categorical, span in spans if categorical]
        self.one_hot = np.concatenate([np.zeros(0, np.int64), *choices])
        # (values, columns): which categorical column each one-hot value belongs to
        self.member = np.zeros((len(self.one_hot), len(choices)))
        self.member[np.arange(len(self.one_hot)), np.repeat(np.arange(len(choices)), [len(c) for c in choices])] = 1

    def __call__(self, x: NDArray[Any]) -> NDArray[np.float64]:
        """The associations of rows ``(n, values)``, one per pair of columns, always in the same order."""
        from scipy.stats import rankdata

        ranks = rankdata(x[:, self.numeric], axis=0) - (len(x) + 1) / 2
        length = np.sqrt((ranks**2).sum(axis=0))
        ranks = ranks / np.where(length > 0, length, 1)
        hot = x[:, self.one_hot].astype(np.float64)
        counts = hot.sum(axis=0)
        weight = np.where(counts > 0, 1 / np.maximum(counts, 1), 0)

        spearman = ranks.T @ ranks
        # Ranks are centred and of length 1, so the sum of squares between the categories is the ratio itself.
        eta = np.sqrt(np.clip((ranks.T @ hot) ** 2 * weight @ self.member, 0, 1))
        # chi^2 / n = sum N_kl^2 / (n_k n_l) - 1
        together = (hot.T @ hot) ** 2 * weight * weight[:, None]
        squared = np.clip(self.member.T @ together @ self.member - 1, 0, None)
        present = (counts > 0).astype(np.float64) @ self.member
        most = np.minimum(present, present[:, None]) - 1
        cramer = np.sqrt(np.clip(squared / np.where(most > 0, most, np.inf), 0, 1))

        def pairs(square: NDArray[np.float64]) -> NDArray[np.float64]:
            return square[np.triu_indices(len(square), 1)]

        return np.concatenate([pairs(spearman), eta.ravel(), pairs(cramer)])
