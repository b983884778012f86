"""The honest-but-curious server of federated training: it judges by every model that it is sent."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.attacks.base import Attack, Chunk, Knowledge
from bench.errors import PluginError
from bench.records import Records
from bench.release import View
from bench.rng import RecordRng


@dataclass(frozen=True)
class Observed:
    """What the server has seen, opened.

    Attributes:
        clients: of each round, (client, its model); empty under secure aggregation.
        aggregates: the global model after each round; empty where the clients' own models are seen.
        cohorts: bool ``(rounds, clients)``, who took part.
    """

    clients: list[list[tuple[int, View]]]
    aggregates: list[View]
    cohorts: NDArray[np.bool_]


class UpdateObserver(Attack):
    """LOGAN's white-box score under the models that federated clients send: their largest, averaged over the rounds.

    The paper's passive global attacker trains a classifier on gradients and activations with records whose membership
    it knows; here the discriminator's logit needs none, of the largest of its discriminators where there are several.
    Under secure aggregation the server sees sums and global models alone: the score is then the global models' mean
    logit, plus the largest difference, over the clients that missed a round, between the rounds with and without one.
    """

    name = "update_observer"
    paper = (
        "Nasr, Shokri and Houmansadr, Comprehensive Privacy Analysis of Deep Learning, S&P 2019, section II; Melis, "
        "Song, De Cristofaro and Shmatikov, Exploiting Unintended Feature Leakage, S&P 2019, section 4"
    )
    access = "updates"
    reads_samples = False
    needs_roles = frozenset({"discriminator"})
    names_parts = True

    def prepare(self, candidates: Records, view: View, knowledge: Knowledge, rng: RecordRng) -> Observed:
        """Open what the rounds hold."""
        return self._observed(view)

    def _observed(self, view: View) -> Observed:
        """What the rounds hold, opened.

        Raises:
            PluginError: there are no rounds, or clients' models are seen in some of them only.
        """
        rounds = view.updates
        seen = [r.clients is not None for r in rounds]
        if not rounds or len(set(seen)) > 1:
            raise PluginError(
                f"{self.name}: expected rounds of updates that all hold the clients' models or none, got "
                f"{len(rounds)} rounds, {sum(seen)} of them with models"
            )
        everyone = sorted({client for r in rounds for client in r.cohort})
        return Observed(
            [
                [(everyone.index(c), view.opened(sent)) for c, sent in r.clients.items()]
                for r in rounds
                if r.clients is not None
            ],
            [view.opened(r.aggregate) for r in rounds if r.clients is None],
            np.array([[client in r.cohort for client in everyone] for r in rounds], dtype=np.bool_),
        )

    def name_parts(self, candidates: Records, view: View) -> NDArray[np.int64]:
        """The client whose models call the candidate most real; nobody, -1, where only sums are seen."""
        rounds = view.updates
        if any(r.clients is None for r in rounds):
            return np.full(len(candidates), -1, dtype=np.int64)
        everyone = np.array(sorted({client for r in rounds for client in r.cohort}))
        state = self._observed(view)
        chunk = Chunk(candidates.ids, candidates.floats(), candidates.labels)
        named: NDArray[np.int64] = everyone[predicted_client(client_scores(chunk, state))]
        return named

    def score_chunk(self, chunk: Chunk, state: Observed, view: View, rng: RecordRng) -> NDArray[np.float64]:
        if state.clients:
            found: NDArray[np.float64] = np.nanmax(client_scores(chunk, state), axis=1).mean(axis=0)
            return found
        return from_aggregates(np.stack([_logits(chunk, seen) for seen in state.aggregates]), state.cohorts)

    def diagnostics(self, state: Observed) -> dict[str, float]:
        """How much the server has seen."""
        return {"rounds": float(len(state.cohorts)), "clients": float(state.cohorts.shape[1])}


def client_scores(chunk: Chunk, observed: Observed) -> NDArray[np.float64]:
    """Logits ``(rounds, clients, n)`` under each client's model; NaN where it took no part."""
    found = np.full((*observed.cohorts.shape, len(chunk)), np.nan)
    for place, sent in enumerate(observed.clients):
        for client, model in sent:
            found[place, client] = _logits(chunk, model)
    return found


def predicted_client(scores: NDArray[np.float64]) -> NDArray[np.int64]:
    """Which client has each record, int64 ``(n,)``: the one whose models call it more real than the other models of the
    same rounds do, on average; of equals the first.

    Args:
        scores: ``(rounds, clients, n)``; NaN where a client took no part, which every client must have once.
    """
    # A round's models are all more or less sure than another round's, and not every client is in each.
    apart = scores - np.nanmean(scores, axis=1, keepdims=True)
    best: NDArray[np.int64] = np.nanmean(apart, axis=0).argmax(axis=0)
    return best


def from_aggregates(logits: NDArray[np.float64], cohorts: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Scores ``(n,)`` from the global models alone.

    Args:
        logits: ``(rounds, n)``, of each round's global model.
        cohorts: bool ``(rounds, clients)``, who took part.
    """
    mean: NDArray[np.float64] = logits.mean(axis=0)
    some = cohorts[:, cohorts.any(axis=0) & ~cohorts.all(axis=0)]
    if not some.shape[1]:  # every round has everyone: there is no difference to look at
        return mean
    with_it, without = some / some.sum(axis=0), ~some / (~some).sum(axis=0)
    differences: NDArray[np.float64] = (with_it - without).T @ logits
    best: NDArray[np.float64] = mean + differences.max(axis=0)
    return best


def _logits(chunk: Chunk, model: View) -> NDArray[np.float64]:
    largest: NDArray[np.float64] = model.logits(chunk.x, chunk.labels).max(axis=0)
    return largest
