"""The populations that the simulations take as the truth are what they say."""

from __future__ import annotations

import numpy as np
import pytest
from score_models import ScoreModel, all_models

from bench.metrics.privacy import accuracy
from bench.metrics.roc import auc, tpr_at_fpr
from bench.rng import generator


@pytest.mark.parametrize("model", all_models(), ids=lambda model: model.name)
def test_a_large_sample_reads_the_stated_figures(model: ScoreModel) -> None:
    m, n = 40_000, 80_000
    (scores,) = model.draw(generator(0, "population", model.name), 1, m, n)
    member = np.arange(m + n) < m
    assert auc(scores, member) == pytest.approx(model.auc, abs=0.007)
    assert accuracy(scores, member) == pytest.approx(model.accuracy(m, n), abs=0.01)
    if not model.grid:
        found = tpr_at_fpr(scores, member, 0.01)
        assert found is not None
        assert found.tpr == pytest.approx(model.tpr(0.01), rel=0.12)
