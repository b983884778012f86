"""Federated training: clients with records of their own train copies of one model, round by round."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from bench.errors import IncompatibleError
from bench.records import Schema
from bench.rng import derive_seed
from defenses._partition import records_of
from defenses.base import Defense
from targets.base import Networks, Target, from_tensors, modules, to_tensors

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import nn

    from targets.history import History
    from targets.trainee import Trainee
    from targets.training import TrainingRequest

OptimizerState = Literal["kept", "fresh"]


class FederatedDefense(Defense):
    """What ``federated`` and ``dp_federated`` share: clients, and what cannot be trained on several of them."""

    replaces_procedure = True

    class Options(Defense.Options):
        clients: int = Field(5, ge=1)
        """Clients among whom the records are divided; each record belongs to one."""
        optimizer_state: OptimizerState = "kept"
        """What a client's optimisers remember of earlier rounds: everything, or nothing as in the paper."""

    options: Any

    @property
    def partitions(self) -> int:
        return int(self.options.clients)

    def refuses(self, target: Target, schema: Schema, before: Sequence[Defense]) -> str | None:
        if (reason := super().refuses(target, schema, before)) is not None:
            return reason
        if type(target).fit is not Target.fit:
            return f"under {self.name} no one holds all records, but {target.name} takes something from them at once"
        return None


@dataclass
class Client:
    """One holder of records.

    Attributes:
        trainee: its copy of the model, with optimisers and random draws of its own.
        records: how many it holds.
    """

    trainee: Trainee
    records: int

    @property
    def networks(self) -> Networks:
        return self.trainee.networks

    def forget(self) -> None:
        """Bring its optimisers back to where they began."""
        for updater in self.trainee.updaters.values():
            updater.optimizer.state.clear()


class Federation:
    """A global model and its clients; step ``n`` is the n-th local step of whoever takes part, all in parallel.

    Args:
        request: the whole training; the defenses of its stack act within each client.
        options: how many clients there are, and what their optimisers remember.
        part_of: int64 ``(records,)``, which client has each record.
        local_steps: of a round; the last round of a training may be shorter.
        networks: the global model.
        history: where the clients' losses go.
        cohorts: who takes part in each round, in rising order; maybe nobody.
        close: told of each finished round, to put the models of its clients into ``networks``.

    Attributes:
        cohort: who takes part in the round.
        number: of the round, from 1.
        steps: the numbers of the round's steps.
    """

    def __init__(
        self,
        request: TrainingRequest,
        options: FederatedDefense.Options,
        part_of: NDArray[np.int64],
        local_steps: int,
        networks: Networks,
        history: History,
        cohorts: Iterator[tuple[int, ...]],
        close: Callable[[Federation], None],
    ) -> None:
        self.request, self.networks, self.history = request, networks, history
        self.local_steps, self.cohorts, self.close = local_steps, cohorts, close
        self.fresh = options.optimizer_state == "fresh"
        self.parts = records_of(request.records, part_of, options.clients)
        self.client = cache(self._client)
        self.cohort: tuple[int, ...] = ()
        self.number, self.steps = 0, range(0)

    def _client(self, index: int) -> Client:
        """A client, which comes into being when it first takes part."""
        from targets.trainee import Trainee
        from targets.training import build_networks, context_of, set_mode

        whole = self.request
        request = replace(
            whole,
            records=self.parts[index],
            expected_records=max(1, round(whole.expected_records / len(self.parts))),
            seed=derive_seed(whole.seed, "client", index),
        )
        context = context_of(request)
        networks = build_networks(request.target, request.defenses, context)
        from_tensors(networks, to_tensors(self.networks))  # what defenses look at before the first step
        set_mode(networks, train=True)
        return Client(Trainee(request, context, networks, self.history), len(request.records))

    @property
    def taking_part(self) -> list[Client]:
        """The clients of the round."""
        return [self.client(index) for index in self.cohort]

    def step(self, number: int) -> None:
        """One local step of every client of the round; the first begins the round, the last ends it.

        Raises:
            IncompatibleError: a defense of the stack ends the training of a client.
        """
        if number not in self.steps:
            last = min(number + self.local_steps - 1, self.request.target.options.steps)
            self.steps, self.number, self.cohort = range(number, last + 1), self.number + 1, next(self.cohorts)
            received = to_tensors(self.networks)
            for client in self.taking_part:
                from_tensors(client.networks, received)
                if self.fresh:
                    client.forget()
        for client in self.taking_part:
            client.trainee.step(number)
            if client.trainee.stops(number):
                raise IncompatibleError(
                    f"a defense of the stack ends training after step {number}, but under "
                    f"{self.request.defenses[0].name} no client ends before the others"
                )
        if number == self.steps[-1]:
            self.close(self)


def settle(networks: Networks) -> None:
    """Bring computed weights in line with a model that was put together.

    Spectral normalisation estimates a norm along vectors that it turns at each pass; the mean of several clients'
    vectors is too short, and vectors that were left behind point elsewhere. One more turn makes them unit vectors of
    the new weights. Other parametrizations compute what they computed before.
    """
    import torch
    from torch.nn.utils.parametrize import is_parametrized

    with torch.no_grad():
        for network in modules(networks, networks):
            for module in network.modules():
                if is_parametrized(module):
                    for name in module.parametrizations:  # type: ignore[union-attr]
                        getattr(module, name)


def trained_parameters(networks: Networks) -> list[nn.Parameter]:
    """The parameters that training updates, each once: averages of weights are none of them."""
    every = (p for network in modules(networks, networks) for p in network.parameters())
    return [p for p in dict.fromkeys(every) if p.requires_grad]


def named_parameters(networks: Networks) -> dict[str, nn.Parameter]:
    """Every parameter by the name that it is stored under, in order; a shared one under each of its names."""
    return {
        f"{role}.{index}.{name}": parameter
        for role, found in networks.items()
        for index, network in enumerate(found)
        for name, parameter in network.named_parameters(remove_duplicate=False)
    }


def trained_names(networks: Networks) -> set[str]:
    """The names of the parameters that training updates."""
    return {name for name, parameter in named_parameters(networks).items() if parameter.requires_grad}


def rounds_of(steps: int, local_steps: int) -> int:
    """How many rounds a training has."""
    return -(-steps // local_steps)


def evenly(total: int, kept: int) -> frozenset[int]:
    """At most so many of the numbers from 1 to ``total``, evenly spaced, the last one included.

    >>> sorted(evenly(10, 3))
    [3, 7, 10]
    """
    return frozenset({round(total * (i + 1) / kept) for i in range(kept)} - {0})


def copied(networks: Networks, request: TrainingRequest) -> Networks:
    """Other networks with the same weights, in eval mode, as a server keeps them."""
    from targets.training import build_networks, context_of, set_mode

    found = build_networks(request.target, request.defenses, context_of(request))
    from_tensors(found, to_tensors(networks))
    set_mode(found, train=False)
    return found
