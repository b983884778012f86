"""The probability of membership given one number per record, from records whose membership is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.attacks._density import kernel_log_density
from bench.devices import Device

Values = NDArray[np.float64]

KNOTS = 500  # quantiles at which the posterior is told; linear between them
NARROWEST = 1e-3  # bandwidth of the densities at least: u is a logarithm, and this a tenth of a percent
DECIMALS = 9  # of knots
REFINEMENT = 1e-6  # of a probability: what equal ones are told apart by


@dataclass(frozen=True)
class Posterior:
    """P(member | u), which never rises with u.

    Attributes:
        knots: values of u, ascending.
        probabilities: at each of them.
    """

    knots: Values
    probabilities: Values

    def __call__(self, u: Values) -> Values:
        """Probabilities ``(n,)`` of membership; constant beyond the knots."""
        found: Values = np.interp(u, self.knots, self.probabilities)
        return found


def fit_posterior(members: Values, nonmembers: Values, prior: float) -> Posterior:
    """Bayes' rule from the densities of u among members and non-members, made monotone by isotonic regression.

    The densities are Gaussian kernels of one bandwidth; the regression weighs each value of u by how often it occurs
    where a share ``prior`` of all records are members.

    Args:
        members, nonmembers: u of records that are known to be, and not to be, members; not empty.
        prior: share of members, between 0 and 1.
    """
    from sklearn.isotonic import IsotonicRegression

    # Knots that differ by rounding alone would have no slope between them.
    quantiles = _mixture_quantiles(members, nonmembers, prior)
    knots, counts = np.unique(np.round(quantiles, DECIMALS), return_counts=True)
    raw = bayes(knots, members, nonmembers, prior, bandwidth(members, nonmembers))
    monotone = IsotonicRegression(increasing=False).fit_transform(knots, raw, sample_weight=counts)
    return Posterior(knots, np.asarray(monotone, dtype=np.float64))


def bayes(u: Values, members: Values, nonmembers: Values, prior: float, width: float) -> Values:
    """``prior * f1 / (prior * f1 + (1 - prior) * f0)`` at ``u``, from the densities' logarithms.

    Far from all records both densities underflow and their ratio does not.
    """
    device = Device()
    inside, outside = (kernel_log_density(u[:, None], v[:, None], width, device) for v in (members, nonmembers))
    log_odds = np.log(prior) - np.log1p(-prior) + inside - outside
    probabilities: Values = np.exp(-np.logaddexp(0, -log_odds))
    return probabilities


def bandwidth(members: Values, nonmembers: Values) -> float:
    """Silverman's rule on what both kinds have of spread within themselves, for as many as the rarer kind has.

    Silverman, Density Estimation, 1986, equation 3.31.
    """
    within = np.concatenate([v - np.median(v) for v in (members, nonmembers)])
    low, high = np.quantile(within, [0.25, 0.75])
    spread = min(float(within.std()), float(high - low) / 1.34)
    return max(0.9 * spread / float(np.power(min(len(members), len(nonmembers)), 0.2)), NARROWEST)


def _mixture_quantiles(members: Values, nonmembers: Values, prior: float) -> Values:
    """u at equally spaced quantiles of a population with a share ``prior`` of members, its extremes among them."""
    both = np.concatenate([members, nonmembers])
    weights = np.repeat([prior / len(members), (1 - prior) / len(nonmembers)], [len(members), len(nonmembers)])
    order = np.argsort(both, kind="stable")
    reached = np.cumsum(weights[order])
    places = np.searchsorted(reached, np.linspace(0, 1, KNOTS) * reached[-1])
    quantiles: Values = both[order][places]
    return quantiles


def brier(members: Values, nonmembers: Values, prior: float) -> float:
    """Expected squared error of probabilities of membership, where a share ``prior`` of all records are members.

    Args:
        members, nonmembers: the probabilities that members and non-members were given.
    """
    return float(prior * np.mean((1 - members) ** 2) + (1 - prior) * np.mean(nonmembers**2))


def cross_fitted(known: Sequence[tuple[Values, Values]], prior: float) -> tuple[Values, Values]:
    """Probabilities that a posterior gives to the members and the non-members of models that it was not fitted on.

    Args:
        known: per model, u of its members and of its non-members; at least two models.
        prior: share of members.

    Returns:
        those of all models' members, and those of all models' non-members.
    """
    inside, outside = [], []
    for i, (members, nonmembers) in enumerate(known):
        others = [pair for j, pair in enumerate(known) if j != i]
        rest_in, rest_out = (np.concatenate(values) for values in zip(*others, strict=True))
        if len(rest_in) and len(rest_out):
            posterior = fit_posterior(rest_in, rest_out, prior)
            inside.append(posterior(members))
            outside.append(posterior(nonmembers))
    return np.concatenate([*inside, np.empty(0)]), np.concatenate([*outside, np.empty(0)])


def refined(probabilities: Values, u: Values, usual: Values) -> Values:
    """Probabilities that are told apart where they are equal: by a millionth, the more the smaller u is.

    Isotonic regression has plateaus, and a p-value has as many levels as there are records behind it. Probabilities
    that never rise with u order records by u wherever they order them at all, so this adds the order of u within a
    plateau and contradicts nothing; equal u stay equal.

    Args:
        probabilities, u: ``(n,)``.
        usual: values of u that say on which scale it varies.
    """
    low, middle, high = np.quantile(usual, [0.25, 0.5, 0.75])
    v = (u - middle) / max(float(high - low), NARROWEST)
    # Rational, so that far values do not saturate into ties.
    found: Values = (1 - REFINEMENT) * probabilities + REFINEMENT * (1 - v / (1 + np.abs(v))) / 2
    return found
