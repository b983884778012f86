"""The likelihood-ratio attack: a statistic against its distributions with and without the record."""

from __future__ import annotations

from bench.attacks import _likelihood as likelihood
from bench.attacks._shadow_attack import OnlineOptions, ShadowAttack
from bench.attacks._statistic import trained_on
from bench.attacks.base import Knowledge, Scored
from bench.records import Records
from bench.release import View
from bench.rng import RecordRng

MANY = 64  # shadows from which on each record has variances of its own (Carlini et al., section VI-C)


class Lira(ShadowAttack):
    """A statistic of the target beside its normal distributions under shadows with and without the record.

    Offline, no shadow was trained on any candidate: the score is (s - mean_out) / sd_out. The paper reports the
    probability of a smaller value, Phi of that; the order is the same, and Phi saturates into ties. Online, shadows
    are trained on random subsets of the candidates: the score is log N(s; mean_in, v_in) - log N(s; mean_out, v_out).

    It departs from the paper as follows. The paper's statistic is the logit of a classifier's confidence; here it is
    any score of the target. Each model's mean over all candidates is subtracted first, since models differ in their
    level; offline, where only the target saw candidates, that takes the same amount from all of them. Pooled
    variances are within records, around each record's own mean, since that between records says nothing of one. No
    standard deviation is below a thousandth of the spread of all values. Online, a candidate that is in no shadow, or
    in all, lacks one of the means: it is the other, moved by the candidates' average shift between in and out.

    A statistic with a setting that follows from all candidates together (the median radius of `monte_carlo`) is
    another one under offline shadows, which know none of them: fix the setting, or go online.
    """

    name = "lira"
    paper = "Carlini et al., Membership Inference Attacks From First Principles, S&P 2022, sections V and VI"

    class Options(OnlineOptions):
        pooled: bool | None = None
        """Whether all candidates share their variances; null: where there are fewer than 64 shadows."""

    options: Options

    def score_all(self, candidates: Records, view: View, knowledge: Knowledge, rng: RecordRng) -> Scored:
        models = self.shadows(candidates, knowledge)
        values = likelihood.centred(self.shadow_scores(candidates, models, knowledge, rng))
        s = likelihood.centred(self.scores(candidates, view, knowledge, rng))
        pooled = self.options.pooled if self.options.pooled is not None else len(models) < MANY
        trained = trained_on(candidates, models)
        inside, outside = likelihood.variances(values, trained), likelihood.variances(values, ~trained)
        var_out = likelihood.variance_of(outside, inside, values, pooled)
        if not self.online:
            return Scored((s - values.mean(axis=0)) / var_out**0.5, {"pooled": float(pooled)})
        mean_in, mean_out = likelihood.in_and_out(values, trained)
        var_in = likelihood.variance_of(inside, outside, values, pooled)
        lacking = trained.all(axis=0) | ~trained.any(axis=0)
        figures = {"pooled": float(pooled), "candidates_in_or_out_of_no_shadow": float(lacking.mean())}
        return Scored(likelihood.log_ratio(s, mean_in, var_in, mean_out, var_out), figures)
