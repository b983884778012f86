"""Federated averaging with differential privacy for each client as a whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Self

import numpy as np
from pydantic import Field, model_validator

from bench.records import Schema
from bench.rng import generator
from defenses._accounting import SMALLEST_DELTA, gaussian_claim, noise_for
from defenses._dp_server import ClientsHistory, add_noisy_mean, keep_up, refuse_hidden_state, refuse_statistics
from defenses._fedavg import FederatedDefense, Federation, rounds_of
from defenses._partition import even_parts
from defenses.base import Defense
from targets.base import Draw, Target, to_tensors

if TYPE_CHECKING:
    from bench.results import PrivacyClaim
    from targets.training import TrainingRequest, TrainingResult


class DPFederated(FederatedDefense):
    """Federated averaging whose rounds hide whether a client took part at all, with all of its records.

    Each client joins a round by a coin of its own. What it changed in the trained parameters is clipped as one vector,
    summed, made noisy and divided by the *expected* number of clients, never by the number that came, and without
    weights by their records; a round without clients adds noise and counts like any other. The claim covers the global
    model after every round, for whoever does not see the clients' own updates: the server is trusted, and the release
    holds none of them. Which client has which record, and the number of clients, are taken as given; rounds last a
    fixed number of local steps. As under ``federated``, a training step is one local step of all who take part, so that
    the released model has had as many updates in a row as the undefended one.

    Buffers never leave a client. The global model's are made by the server, out of noisy weights and noise of its own:
    it runs the phases that read no record, which gives a generator its BatchNorm statistics, and moves running averages
    of weights as if each local step had ended in the round's weights. A network that reads records may hold no
    BatchNorm, and a target whose buffers only records can move is refused. What a client's own optimisers and batches
    remember stays with it; a round's clipped vector may depend on it, as on all that the client holds.

    The paper's estimator with a fixed denominator is used, and its flat clipping. Small numbers of clients get no
    useful guarantee: the noise is that of one client in so many, and ``delta`` must lie below 1 / ``clients``.
    """

    name = "dp_federated"
    paper = (
        "McMahan, Ramage, Talwar and Zhang, Learning Differentially Private Recurrent Language Models, ICLR 2018, "
        "algorithm 1; Geyer, Klein and Nabi, Differentially Private Federated Learning: A Client Level Perspective, "
        "arXiv:1712.07557, 2017"
    )
    family = "privacy"
    accounted = True
    caveat = "Epsilon is for a whole client against whoever sees the released model; the server sees what clients send."

    class Options(FederatedDefense.Options):
        clients: int = Field(50, ge=1)
        """Clients among whom the records are evenly divided; public."""
        sample_rate: float = Field(0.1, gt=0, le=1)
        """Probability with which each client joins a round."""
        local_steps: int = Field(10, ge=1)
        """Local steps of a round, the same for every client."""
        max_update_norm: float = Field(1.0, gt=0, allow_inf_nan=False)
        """Bound on the norm of what one client changes in a round, over all trained parameters."""
        epsilon: float | None = Field(None, gt=0, allow_inf_nan=False)
        """Privacy budget at the end of training; the noise is found from it. Give this or ``noise_multiplier``."""
        noise_multiplier: float | None = Field(None, gt=0, allow_inf_nan=False)
        """Standard deviation of the noise on the sum over ``max_update_norm``. Give this or ``epsilon``."""
        delta: float = Field(1e-3, ge=SMALLEST_DELTA, lt=1)
        """Probability with which the guarantee may fail; well below 1 / clients."""

        @model_validator(mode="after")
        def _one_of(self) -> Self:
            if (self.epsilon is None) == (self.noise_multiplier is None):
                raise ValueError("expected exactly one of `epsilon` and `noise_multiplier`")
            return self

    options: Options

    def refuses(self, target: Target, schema: Schema, before: Sequence[Defense]) -> str | None:
        if (reason := super().refuses(target, schema, before)) is not None:
            return reason
        if getattr(target.options, "norm", None) == "batch":
            return (
                f"{target.name} with norm=batch keeps statistics of its records, which no noise covers; use norm=group"
            )
        return None

    def cohorts(self, seed: int) -> Iterator[tuple[int, ...]]:
        """Who takes part in each round, each by a draw of its own."""
        rng, o = generator(seed, "sampled clients"), self.options
        while True:
            yield tuple(np.flatnonzero(rng.random(o.clients) < o.sample_rate).tolist())

    def claim(self, steps: int) -> PrivacyClaim:
        """What the global models of all rounds of a training of so many steps spend."""
        o, rounds = self.options, rounds_of(steps, self.options.local_steps)
        return gaussian_claim(
            noise_multiplier=self.noise_multiplier(steps),
            rate=o.sample_rate,
            steps=rounds,
            delta=o.delta,
            unit="client",
            population=o.clients,
            max_grad_norm=o.max_update_norm,
        )

    def noise_multiplier(self, steps: int) -> float:
        """As given, or what the budget asks for."""
        o = self.options
        if o.noise_multiplier is not None:
            return o.noise_multiplier
        return noise_for(o.epsilon or 0.0, o.delta, o.sample_rate, rounds_of(steps, o.local_steps))

    def procedure(self, request: TrainingRequest) -> TrainingResult:
        from targets.training import prepare, run

        o, steps = self.options, request.target.options.steps
        deviation = o.max_update_norm * self.noise_multiplier(steps)
        part_of = even_parts(len(request.records), o.clients, request.seed)
        networks, plain = prepare(request)
        refuse_statistics(request.target, networks)
        history = ClientsHistory(plain.every, request.device)
        # Two models that are both released must not share their noise: their difference would cancel it.
        noise = Draw(request.device, request.seed, "client noise", repr(request.target), repr(request.defenses))
        server = Draw(request.device, request.seed, "server")
        checked = False

        def close(federation: Federation) -> None:
            nonlocal checked
            clients = [client.networks for client in federation.taking_part]
            before = to_tensors(networks)
            add_noisy_mean(networks, clients, o.max_update_norm, deviation, o.sample_rate * o.clients, noise)
            keep_up(request, networks, federation.steps, server)
            if clients and not checked:
                refuse_hidden_state(request.target, before, networks, clients[0])
                checked = True

        federation = Federation(
            request, o, part_of, o.local_steps, networks, history, self.cohorts(request.seed), close
        )

        def step(number: int) -> None:
            federation.step(number)
            if not federation.cohort:
                history.repeat(number, request.target.phases())

        result = run(request, networks, history, step, lambda: [self.claim(steps)])
        return replace(result, parts=part_of)
