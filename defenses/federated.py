"""Federated averaging over clients that keep their records."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pydantic import Field, model_validator

from bench.errors import IncompatibleError, InputError
from bench.records import Schema
from bench.rng import generator
from defenses._aggregate import Aggregate, checked, federated_mean, load_aggregate, split_reference, weighted_mean
from defenses._fedavg import FederatedDefense, Federation, copied, evenly, named_parameters, rounds_of, settle
from defenses._partition import even_parts, skewed_parts
from defenses.base import Defense
from targets.base import Target, from_tensors, to_tensors

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from targets.base import Networks
    from targets.rounds import Round
    from targets.training import TrainingRequest, TrainingResult


class Federated(FederatedDefense):
    """Federated averaging: records stay with their clients, and a server averages the models that these send.

    A training step is one local step of every client of the round, in parallel, so that the released model has had as
    many updates in a row as the undefended one; the work is that of all sampled clients. Clients of a round make the
    same number of local steps, by the mean number of records of a client, where the paper's make as many as their own
    records need: here a client with few records passes over them more often. Clients keep what their optimisers
    remember unless told otherwise (``optimizer_state``): the paper's optimiser has no memory.

    All of a model is averaged, by the number of each client's records: parameters, running averages of weights, and
    statistics of BatchNorm, whose variances leave out how the clients' means differ. An ``aggregate`` of the user's is
    given the parameters alone, averages of weights included; buffers are averaged as before.

    The server sees each model that is sent; ``kept_rounds`` of the rounds are stored with the release, to save space
    and for no other reason. Secure aggregation is not run: its outcome, a sum, is what the release then shows alone.
    """

    name = "federated"
    paper = (
        "McMahan, Moore, Ramage, Hampson and Aguera y Arcas, Communication-Efficient Learning of Deep Networks from "
        "Decentralized Data, AISTATS 2017, algorithm 1; secure aggregation: Bonawitz et al., CCS 2017"
    )
    family = "architecture"
    releases_updates = True
    adaptive = ("update_observer",)
    files = ("aggregate",)

    class Options(FederatedDefense.Options):
        skew: float | None = Field(None, gt=0, allow_inf_nan=False)
        """Concentration of the Dirichlet by which labels are divided, small: few labels a client; None: by chance."""
        sampled: int | None = Field(2, ge=1)
        """Clients that take part in a round, drawn anew for each; None: all."""
        local_epochs: int = Field(1, ge=1)
        """Passes of a round over a client's records, for a client of mean size."""
        secure_aggregation: bool = False
        """Whether the server sees the clients' sum alone."""
        aggregate: str | None = Field(None, pattern=r"^.+\.py:[^\W\d]\w*$")
        """A function or a Flower strategy in place of the mean, as `./file.py:name`; other files are not watched."""
        kept_rounds: int = Field(8, ge=1)
        """Rounds whose models are stored with the release, evenly spaced, the last one among them."""

        @model_validator(mode="after")
        def _fits(self) -> Self:
            if self.sampled is not None and self.sampled > self.clients:
                raise ValueError(f"expected to sample at most {self.clients} clients, got sampled={self.sampled}")
            if self.secure_aggregation and (self.sampled or self.clients) < 2:
                raise ValueError("expected secure aggregation over at least 2 clients: the sum of one is its model")
            if self.secure_aggregation and self.aggregate is not None:
                raise ValueError("expected no aggregate of your own under secure aggregation, which shows a sum alone")
            return self

    options: Options

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        if self.options.aggregate is None:
            vars(self).update(files=())
        sees = "the clients' sum in each round" if self.options.secure_aggregation else "each client's model"
        self.caveat = f"The server sees {sees}, more than the released model shows: attacks on updates judge by that."

    def path(self, option: str) -> Path:
        """The file that holds the aggregation.

        Raises:
            InputError: there is none.
        """
        file, _ = split_reference(self.options.aggregate or "")
        located = self.base_dir / file
        if not located.is_file():
            raise InputError(
                f"{self.name}: expected a file with an aggregation as {option!r}, but there is no {located}"
            )
        return located

    def refuses(self, target: Target, schema: Schema, before: Sequence[Defense]) -> str | None:
        if (reason := super().refuses(target, schema, before)) is not None:
            return reason
        if self.options.skew is not None and schema.classes is None:
            return f"{self.name} with skew divides labels among clients, and these records have none"
        return None

    def parts_of(self, request: TrainingRequest) -> NDArray[np.int64]:
        """Which client has each record of a training, int64 ``(records,)``.

        Raises:
            IncompatibleError: there are fewer records than clients, or no labels to divide by.
        """
        o, records = self.options, request.records
        if o.skew is None:
            return even_parts(len(records), o.clients, request.seed)
        if records.labels is None:
            raise IncompatibleError(f"{self.name} with skew divides labels among clients, and these records have none")
        return skewed_parts(records.labels, o.clients, o.skew, request.seed)

    def cohorts(self, seed: int) -> Iterator[tuple[int, ...]]:
        """Who takes part in each round, drawn without replacement."""
        rng, o = generator(seed, "cohorts"), self.options
        while True:
            yield tuple(sorted(rng.choice(o.clients, o.sampled or o.clients, replace=False).tolist()))

    def aggregation(self) -> Aggregate:
        """What puts the parameters of several models together.

        Raises:
            InputError: there is no such function or strategy.
        """
        if self.options.aggregate is None:
            return federated_mean
        found = load_aggregate(self.path("aggregate"), split_reference(self.options.aggregate)[1])
        return partial(checked, found, f"{self.name}: aggregate {self.options.aggregate}")

    def procedure(self, request: TrainingRequest) -> TrainingResult:
        from targets.rounds import Round
        from targets.training import prepare, run

        o, about, aggregate, part_of = self.options, request.target.options, self.aggregation(), self.parts_of(request)
        local_steps = max(1, ceil(o.local_epochs * len(part_of) / o.clients / about.batch_size))
        kept = evenly(rounds_of(about.steps, local_steps), o.kept_rounds)
        seen: list[Round] = []

        def close(federation: Federation) -> None:
            clients = federation.taking_part
            sent = [client.networks for client in clients]
            put_together(federation.networks, sent, [c.records for c in clients], federation.number, aggregate)
            if federation.number not in kept:
                return
            shown = None
            if not o.secure_aggregation:
                shown = {index: copied(each, request) for index, each in zip(federation.cohort, sent, strict=True)}
            seen.append(Round(federation.cohort, copied(federation.networks, request), shown))

        networks, history = prepare(request)
        cohorts = self.cohorts(request.seed)
        federation = Federation(request, o, part_of, local_steps, networks, history, cohorts, close)
        result = run(request, networks, history, federation.step, list)
        return replace(result, parts=part_of, updates=tuple(seen))


def put_together(
    networks: Networks, sent: Sequence[Networks], sizes: Sequence[int], number: int, aggregate: Aggregate
) -> None:
    """Fill the global model from those that its clients sent: parameters as asked, buffers by the weighted mean.

    Args:
        networks: the global model, in training mode.
        sent: the clients' models.
        sizes: how many records each of them has.
        number: the round, from 1.
        aggregate: puts parameters together.
    """
    import torch

    current, models = arrays_of(networks), [arrays_of(each) for each in sent]
    found = {name: weighted_mean([model[name] for model in models], sizes) for name in current}
    names = list(named_parameters(networks))
    learnt = aggregate(
        [[model[name] for name in names] for model in models], list(sizes), [current[name] for name in names], number
    )
    found.update(zip(names, learnt, strict=True))
    from_tensors(networks, {name: torch.from_numpy(array) for name, array in found.items()})
    settle(networks)


def arrays_of(networks: Networks) -> dict[str, NDArray[Any]]:
    """Every parameter and buffer as an array."""
    return {name: tensor.cpu().numpy() for name, tensor in to_tensors(networks).items()}
